"""All figures of a comparison, with their titles and words: one line a figure, shown by the screen and the report."""

import json
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import cached_property
from math import sqrt
from typing import TYPE_CHECKING, Any

from qcompare.compare.selection import Selection
from qcompare.compare.sensitivity import read_layer_scores
from qcompare.compare.statistics import TaskDifference
from qcompare.compare.table import Comparison, Row
from qcompare.present import numbers, palette
from qcompare.present.html import fragment, script_json
from qcompare.present.layer_map import layer_map_figure, layer_maps
from qcompare.present.placing import Name, add_names, series_of, with_room
from qcompare.present.plots import (
    ROW_HEIGHT,
    SLIDE_ROW_HEIGHT,
    accuracy_against_bits,
    accuracy_bars,
    describe_accuracy,
    divergence_against_bits,
    style,
)
from qcompare.store import Store
from qcompare.study.task import TASKS, short_name
from qcompare.words import gettext, gettext_noop, translate

if TYPE_CHECKING:
    from plotly.graph_objects import Figure

LOSS_TO_GAIN = [[0.0, palette.LOSS], [0.5, "rgba(134, 140, 150, 0.15)"], [1.0, palette.GAIN]]
"""Orange to blue: distinguishable for colour-blind readers; every cell also shows its number."""
SMALLEST_BUBBLE, LARGEST_BUBBLE = 8, 44
"""Pixels of a bubble that stands for no distance, and what the furthest adds to it."""


@dataclass(frozen=True)
class FigureKind:
    """A figure that a comparison may have."""

    title: str
    draw: Callable[[Comparison, int], "Figure"]
    """Takes the pixels of a row, too."""
    describe: Callable[[Comparison], str]
    """Its words, for those who do not see it; empty where there is nothing to draw."""


def change_heatmap(comparison: Comparison, row_height: int = ROW_HEIGHT) -> "Figure":
    """Change against BF16 of every recipe on every task, in points, with the questions lost and gained."""
    import plotly.graph_objects as go

    rows = [row for row in comparison.scored if row.versus_bf16]
    tasks = comparison.tasks
    cells = [[row.versus_bf16.task(task) if row.versus_bf16 else None for task in tasks] for row in rows]
    values = [[None if cell is None else 100 * cell.difference for cell in line] for line in cells]
    texts = [
        [
            "" if cell is None else f"{numbers.points(cell.difference)}{'' if cell.is_significant else ' ?'}"
            for cell in line
        ]
        for line in cells
    ]
    hovers = [["" if cell is None else _counts(cell) for cell in line] for line in cells]
    widest = max((abs(value) for line in values for value in line if value is not None), default=1.0) or 1.0
    figure = go.Figure(
        go.Heatmap(
            z=values, x=[TASKS.title(task) for task in tasks], y=[translate(row.title) for row in rows], text=texts,
            texttemplate="%{text}", textfont={"size": 14}, customdata=hovers, colorscale=LOSS_TO_GAIN, zmin=-widest,
            zmax=widest, showscale=False, xgap=3, ygap=3, hovertemplate="%{y}, %{x}: %{customdata}<extra></extra>",
        )
    )  # fmt: skip
    style(figure, comparison, row_height)
    figure.update_yaxes(autorange="reversed", showgrid=False, tickfont={"size": 14})
    figure.update_xaxes(showgrid=False)
    return figure


def _counts(cell: TaskDifference) -> str:
    return gettext("{lost} lost, {gained} gained of {n}", lost=cell.lost, gained=cell.gained, n=cell.questions)


def describe_changes(comparison: Comparison) -> str:
    """The heatmap in words: the largest loss of each recipe."""
    parts = []
    for row in comparison.scored:
        changes = row.versus_bf16.tasks if row.versus_bf16 else ()
        if changes:
            worst = min(changes, key=lambda change: change.difference)
            parts.append(
                gettext(
                    "{recipe} {points} on {task}",
                    recipe=row.title,
                    points=numbers.points(worst.difference),
                    task=TASKS.title(worst.task),
                )
            )
    if not parts:
        return ""
    return gettext(
        "Change against BF16 in points; a question mark: may be chance. Largest loss: {losses}.",
        losses=gettext("; ").join(parts),
    )


def describe_divergence(comparison: Comparison) -> str:
    """KL divergences in words."""
    found = [
        f"{translate(row.title)} {numbers.divergence(row.divergence.kl)}"
        for row in comparison.scored
        if row.divergence and not row.is_baseline
    ]
    return (
        gettext(
            "KL divergence to BF16 on held-out text, lower is nearer: {values}.", values=gettext("; ").join(found)
        )
        if found
        else ""
    )


def size_bubbles(comparison: Comparison, row_height: int = ROW_HEIGHT) -> "Figure":
    """Accuracy against size; the larger a bubble, the further the recipe's predictions are from BF16's."""
    import plotly.graph_objects as go

    figure = go.Figure()
    rows = _sized(comparison)
    furthest = max((_distance(row) for row in rows), default=0.0) or 1.0
    names, joined = [], set()
    for each in series_of(rows):
        if len(each.rows) > 1:
            joined |= {row.job_id for row in each.rows}
            figure.add_scatter(
                x=[_megabytes(row) for row in each.rows], y=[row.average for row in each.rows], name=each.name,
                mode="lines", line={"color": palette.colour(each.rows[0].recipe), "width": 1.5}, hoverinfo="skip",
            )  # fmt: skip
        row = each.rows[-1]
        radius = _bubble(row, furthest) / 2 + 3
        names.append(Name(each.name, _megabytes(row), row.average or 0.0, row.recipe, radius))
    for row in sorted(rows, key=lambda row: (row.size_bytes or 0, row.average or 0)):
        kl = numbers.divergence(row.divergence.kl if row.divergence else None)
        hover = (
            f"<b>{translate(row.title)}</b><br>{numbers.size(row.size_bytes)}, {numbers.score(row.average)}, KL {kl}"
        )
        figure.add_scatter(
            x=[_megabytes(row)],
            y=[row.average],
            name=translate(row.title),
            mode="markers",
            showlegend=row.job_id not in joined,
            marker={
                "size": [_bubble(row, furthest)],
                "color": palette.colour(row.recipe),
                "symbol": palette.marker(row.recipe),
                "opacity": 0.75,
                "line": {"width": 1, "color": palette.TEXT},
            },
            customdata=[hover],
            hovertemplate="%{customdata}<extra></extra>",
            cliponaxis=False,
        )
    style(figure, comparison, row_height)
    figure.update_xaxes(title=gettext("size, MB"), range=with_room([_megabytes(row) for row in rows], 0.2))
    figure.update_yaxes(title=gettext("accuracy"), range=with_room([row.average or 0.0 for row in rows], 0.2))
    add_names(figure, names)
    return figure


def _sized(comparison: Comparison) -> list[Row]:
    return [row for row in comparison.scored if row.size_bytes]


def _distance(row: Row) -> float:
    return row.divergence.kl if row.divergence else 0.0


def _megabytes(row: Row) -> float:
    return (row.size_bytes or 0) / 1e6


def _bubble(row: Row, furthest: float) -> float:
    """Pixels across."""
    return SMALLEST_BUBBLE + LARGEST_BUBBLE * sqrt(_distance(row) / furthest)


def describe_sizes(comparison: Comparison) -> str:
    """The bubbles in words."""
    parts = [
        gettext("{recipe} {size} with {score}", recipe=row.title, size=numbers.size(row.size_bytes),
            score=numbers.score(row.average))
        for row in _sized(comparison)
    ]  # fmt: skip
    if not parts:
        return ""
    bubbles = gettext("The larger a bubble, the further the predictions are from BF16’s (KL divergence).")
    return " ".join((bubbles, gettext("{values}.", values=gettext("; ").join(parts))))


def time_by_stage(comparison: Comparison, row_height: int = ROW_HEIGHT) -> "Figure":
    """Where the time went: one bar a recipe, one colour a stage."""
    import plotly.graph_objects as go

    rows = [row for row in comparison.scored if row.seconds]
    stages = list(dict.fromkeys(stage for row in rows for stage in row.seconds))
    names = [translate(row.title) for row in rows]
    figure = go.Figure()
    for n, stage in enumerate(stages):
        again, colour = divmod(n, len(palette.STAGES))
        figure.add_bar(
            name=gettext(short_name(stage)),
            orientation="h",
            y=names,
            x=[row.seconds.get(stage) for row in rows],
            marker={"color": palette.STAGES[colour], "pattern": {"shape": "/" if again else ""}},
            hovertemplate=f"%{{y}}, {gettext(short_name(stage))}: %{{x:.0f}} s<extra></extra>",
        )
    style(figure, comparison, row_height)
    legend = {"orientation": "h", "y": -0.35, "traceorder": "normal"}
    figure.update_layout(barmode="stack", showlegend=True, legend=legend)
    figure.update_layout(height=figure.layout.height + 90)
    figure.update_yaxes(autorange="reversed", showgrid=False, tickfont={"size": 14}, dtick=1)
    figure.update_xaxes(title=gettext("seconds"))
    return figure


def describe_times(comparison: Comparison) -> str:
    """Times in words: each recipe's total and its longest stage."""
    parts = []
    for row in comparison.scored:
        if row.seconds:
            longest = max(row.seconds, key=lambda stage: row.seconds[stage])
            total = numbers.clock(sum(row.seconds.values()))
            parts.append(
                gettext(
                    "{recipe} {total}, most of it {stage} ({time})",
                    recipe=row.title,
                    total=total,
                    stage=gettext(longest),
                    time=numbers.clock(row.seconds[longest]),
                )
            )
    return gettext("{values}.", values=gettext("; ").join(parts)) if parts else ""


KINDS: tuple[FigureKind, ...] = (
    FigureKind(gettext_noop("Accuracy and its interval (95 %)"), accuracy_bars, describe_accuracy),
    FigureKind(gettext_noop("Accuracy against bits"), accuracy_against_bits, describe_accuracy),
    FigureKind(gettext_noop("Change on each task"), change_heatmap, describe_changes),
    FigureKind(gettext_noop("Distance from BF16 against bits"), divergence_against_bits, describe_divergence),
    FigureKind(gettext_noop("Size, accuracy and distance from BF16"), size_bubbles, describe_sizes),
    FigureKind(gettext_noop("Where the time went"), time_by_stage, describe_times),
)
"""In the order of the page."""


@dataclass(frozen=True)
class Drawn:
    """A figure of a study, with what stands around it."""

    title: str
    figure: "Figure"
    words: str
    """What it shows, for those who do not see it."""
    more: str = ""
    """HTML below it."""
    wide: bool = False
    """It takes the width of two."""

    @cached_property
    def plot(self) -> dict[str, Any]:
        """As Plotly's script takes it: `data` and `layout`."""
        found: dict[str, Any] = json.loads(self.figure.to_json())
        return found


def figures(store: Store, comparison: Comparison, selection: Selection, for_slides: bool = False) -> list[Drawn]:
    """All figures that there are.

    Args:
        for_slides: low enough to be enlarged, and a figure for each recipe's map of layers.
    """
    drawn, height = [], SLIDE_ROW_HEIGHT if for_slides else ROW_HEIGHT
    for kind in KINDS if comparison.best else ():
        if words := kind.describe(comparison):
            drawn.append(Drawn(gettext(kind.title), kind.draw(comparison, height), words))
    maps = layer_maps(selection, read_layer_scores(store, selection))
    for some in [[each] for each in maps] if for_slides else filter(None, [maps]):
        words, more = " ".join(each.text for each in some), fragment("layers", maps=some)
        drawn.append(Drawn(gettext("Which layer got which scheme"), layer_map_figure(some), words, more, wide=True))
    return drawn


def plot_data(drawn: Sequence[Drawn]) -> str:
    """What the figures show, in their order, as `plots.js` draws it: JSON, which may stand in a script of a page."""
    return script_json([each.plot for each in drawn])


def figures_html(drawn: Sequence[Drawn]) -> str:
    """Figures of a screen, with their data."""
    return fragment("figures", figures=drawn, plots=plot_data(drawn)) if drawn else ""
