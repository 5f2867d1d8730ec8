"""Which layer got which scheme: block by projection, one panel a recipe."""

import re
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from qcompare.compare.selection import Selection
from qcompare.compare.sensitivity import Sensitivity, chosen_by_scores, sensitivities
from qcompare.present import numbers, palette
from qcompare.present.plots import FONT
from qcompare.study.layers import LayerScores
from qcompare.study.result import Result
from qcompare.words import gettext, translate

if TYPE_CHECKING:
    from plotly.graph_objects import Figure

_BLOCK = re.compile(r"^(?P<stem>.*?)\.(?P<block>\d+)\.(?P<rest>.+)$")


@dataclass(frozen=True)
class LayerMap:
    """The layers of one recipe on a grid."""

    title: str
    recipe: str
    blocks: tuple[int, ...]
    projections: tuple[str, ...]
    """Short names, in the order of the model."""
    schemes: Mapping[tuple[str, int], str]
    """Scheme by (projection, block)."""
    asked: tuple[str, ...]
    """The schemes that it chose from, low to high."""
    sensitivity: Mapping[tuple[str, int], Sensitivity]
    """Scores by (projection, block); empty where none were stored."""

    @property
    def ranked(self) -> list[Sensitivity]:
        """The layers of a recipe that was chosen by their scores, the one where a bit buys most first."""
        found = sorted(self.sensitivity.values(), key=lambda each: each.rank)
        return found if any(each.worth is not None for each in found) else []

    @property
    def text(self) -> str:
        """The map in words: which projections hold the high scheme, and where they lie."""
        high = self.asked[-1]
        raised = [place for place, scheme in self.schemes.items() if scheme == high]
        if not raised:
            return gettext("{title}: no layer at {high}.", title=self.title, high=high)
        most = gettext(", ").join(f"{name} {n}" for name, n in Counter(name for name, _ in raised).most_common(3))
        blocks = [block for _, block in raised]
        found = gettext(
            "{title}: {n} of {total} layers at {high}, in blocks {first} to {last}; most often {most}.",
            title=self.title, n=len(raised), total=len(self.schemes), high=high, first=min(blocks), last=max(blocks),
            most=most,
        )  # fmt: skip
        return " ".join((found, *self._about_scores()))

    def _about_scores(self) -> Iterator[str]:
        if not chosen_by_scores(self.recipe):
            return
        if not self.ranked:
            yield gettext("How sensitive the layers are was not stored with this study.")
            return
        names = gettext(", ").join(each.layer for each in self.ranked[:3])
        yield gettext("A bit buys most in {layers}.", layers=names)


def place(layer: str) -> tuple[str, int] | None:
    """(projection, block) of a layer by its full name; None outside numbered blocks."""
    match = _BLOCK.match(layer)
    return (match["rest"].split(".")[-1], int(match["block"])) if match else None


def layer_map(result: Result, title: str, asked: tuple[str, ...], scores: LayerScores | None = None) -> LayerMap:
    """Lay the layers of a result on a grid. Layers outside numbered blocks are left out."""
    places = {name: found for name in result.layer_config if (found := place(name))}
    schemes = {place: result.layer_config[name] for name, place in places.items()}
    by_scores = chosen_by_scores(result.recipe)
    scored = sensitivities(result.layer_config, asked, scores, by_scores) if scores else []
    return LayerMap(
        title=title,
        recipe=result.recipe,
        blocks=tuple(sorted({block for _, block in schemes})),
        projections=tuple(dict.fromkeys(projection for projection, _ in schemes)),
        schemes=schemes,
        asked=asked,
        sensitivity={places[each.layer]: each for each in scored if each.layer in places},
    )


def layer_maps(selection: Selection, scores: Mapping[str, LayerScores]) -> tuple[LayerMap, ...]:
    """Maps of the recipes that mix schemes: one scheme everywhere needs no map.

    Args:
        scores: by job id; may lack some.
    """
    titles = selection.titles
    mixing = (result for result in selection.results if len(set(result.layer_config.values())) > 1)
    return tuple(
        layer_map(result, translate(titles[result.job_id]), selection.schemes(result), scores.get(result.job_id))
        for result in mixing
        if result.job_id not in selection.repeats
    )


def layer_map_figure(maps: Sequence[LayerMap]) -> "Figure":
    """One panel a recipe, blocks from left (input) to right (output); the high scheme in the recipe's colour."""
    from plotly.subplots import make_subplots

    figure = make_subplots(
        rows=len(maps), cols=1, shared_xaxes=True, vertical_spacing=min(0.12, 0.3 / max(len(maps), 1)),
        subplot_titles=[numbers.named(each.title, _legend(each.asked)) for each in maps],
    )  # fmt: skip
    for position, each in enumerate(maps, start=1):
        figure.add_trace(_heatmap(each, each.asked), row=position, col=1)
    lines = sum(len(each.projections) for each in maps)
    figure.update_layout(
        template="none",
        height=100 + 20 * lines + 40 * len(maps),
        margin={"l": 12, "r": 16, "t": 36, "b": 48},
        paper_bgcolor="rgba(0,0,0,0)",
        plot_bgcolor="rgba(0,0,0,0)",
        font={"family": FONT, "size": 12, "color": palette.TEXT},
        dragmode=False,
    )
    figure.update_annotations(font={"size": 14, "color": palette.TEXT}, x=0, xanchor="left")
    figure.update_yaxes(autorange="reversed", automargin=True, fixedrange=True, showgrid=False, zeroline=False)
    figure.update_xaxes(fixedrange=True, showgrid=False, zeroline=False)
    figure.update_xaxes(title=gettext("block, from input to output"), row=len(maps), col=1)
    return figure


def _legend(schemes: Sequence[str]) -> str:
    low, *between, high = schemes
    if between:
        return gettext(
            "{high} in colour, {low} in grey, {between} between",
            high=high,
            low=low,
            between=gettext(", ").join(between),
        )
    return gettext("{high} in colour, {low} in grey", high=high, low=low)


def _heatmap(each: LayerMap, schemes: Sequence[str]) -> object:
    import plotly.graph_objects as go

    cells = [[each.schemes.get((projection, block)) for block in each.blocks] for projection in each.projections]
    # None leaves a gap: this block has no such layer.
    depth = {scheme: place / (len(schemes) - 1) for place, scheme in enumerate(schemes)}
    shade = [[None if scheme is None else depth.get(scheme, 0.0) for scheme in line] for line in cells]
    return go.Heatmap(
        z=shade,
        x=list(each.blocks),
        y=list(each.projections),
        text=cells,
        zmin=0,
        zmax=1,
        colorscale=[[0, palette.LOW_SCHEME], [1, palette.colour(each.recipe)]],
        showscale=False,
        xgap=2,
        ygap=2,
        customdata=[[_hover(each, (name, block)) for block in each.blocks] for name in each.projections],
        hovertemplate=gettext("block") + " %{x}, %{y}: %{text}%{customdata}<extra></extra>",
    )


def _hover(each: LayerMap, place: tuple[str, int]) -> str:
    """The score of a layer, in further lines."""
    found = each.sensitivity.get(place)
    return "" if found is None else "".join(f"<br>{line}" for line in (losses(found), reason(found)) if line)


def losses(layer: Sensitivity) -> str:
    return gettext(
        "loss {loss_low} at {low}, {loss_high} at {high}; rank {rank} of {layers}",
        loss_low=f"{layer.loss_low:.3g}",
        low=layer.low,
        loss_high=f"{layer.loss_high:.3g}",
        high=layer.high,
        rank=layer.rank,
        layers=layer.layers,
    )


def reason(layer: Sensitivity) -> str:
    """Why it got its scheme; empty where it was not chosen by these scores."""
    if layer.worth is None:
        return ""
    times = f"{layer.worth:.2g}"
    if layer.scheme == layer.low:
        return gettext("a bit would buy {times} times what it buys in the last layer raised", times=times)
    return gettext("a bit buys {times} times what it buys in the last layer raised", times=times)
