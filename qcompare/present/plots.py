"""Figures of a comparison (Plotly). Deterministic: the same comparison gives the same figure, byte for byte.

Backgrounds are transparent and text is a middle grey, so one figure serves light, dark and print. Each figure has its
words beside it: `describe_accuracy`.
"""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from qcompare.compare.beside import published_beside
from qcompare.compare.chance import Z95
from qcompare.compare.noise import half_width, kl_half_width
from qcompare.compare.selection import title
from qcompare.compare.table import Comparison, Row
from qcompare.present import numbers, palette
from qcompare.present.placing import Name, add_names, series_of, with_room
from qcompare.words import Message, gettext, translate

if TYPE_CHECKING:
    from plotly.graph_objects import Figure

FONT = "system-ui, -apple-system, 'Segoe UI', Roboto, 'Noto Sans', sans-serif"
NOISE = "rgba(134, 140, 150, 0.30)"
"""Bands of what another compute dtype makes by itself."""
NOISE_WIDTH = 12
"""Pixels."""
LEAST_NOISE = 0.03
"""Share of an axis below which a band has no room for its name."""
BUDGET = "budget"
"""What annotations are called that name a budget."""
MARK = 13
"""Pixels of a recipe's mark."""
SIDE_BY_SIDE = 0.042
"""Share of the axis from one point to the next of the same bits."""
ROW_HEIGHT, SLIDE_ROW_HEIGHT, MARGINS = 44, 20, 76
"""Pixels of one bar, of one on a slide, which is enlarged, and of all that is not bars."""


def accuracy_bars(comparison: Comparison, row_height: int = ROW_HEIGHT) -> "Figure":
    """Average accuracy of every recipe with its 95 % interval, in the order of the table."""
    import plotly.graph_objects as go

    rows = comparison.scored
    figure = go.Figure(
        go.Bar(
            x=[row.average for row in rows],
            y=[translate(row.title) for row in rows],
            orientation="h",
            marker={"color": [palette.colour(row.recipe) for row in rows], "cornerradius": 3},
            error_x=_error_bars(rows),
            customdata=[_hover(row) for row in rows],
            hovertemplate="%{customdata}<extra></extra>",
            width=0.62,
        )
    )
    _noise_bands(figure, [(row.average or 0.0, translate(row.title), half_width(row)) for row in rows], "x")
    for row in rows:
        figure.add_annotation(
            x=_upper(row),
            y=translate(row.title),
            text=numbers.score(row.average),
            showarrow=False,
            xanchor="left",
            xshift=10,
        )
    style(figure, comparison, row_height)
    # A place for every recipe from the start, so that bars stay put while others finish.
    names = [translate(row.title) for row in comparison.rows]
    figure.update_yaxes(
        categoryorder="array", categoryarray=names, range=[len(names) - 0.5, -0.5], showgrid=False,
        tickfont={"size": 14}, ticklabelstandoff=8, tickvals=names,
    )  # fmt: skip
    figure.update_xaxes(title=gettext("accuracy"), range=[0, 1.3 * max(map(_upper, rows), default=1.0)])
    return figure


def accuracy_against_bits(comparison: Comparison, row_height: int = ROW_HEIGHT) -> "Figure":
    """Average accuracy against average bits of the quantized weights; BF16, budgets, best trade-offs as lines."""
    points = [
        Point(row, _counted_bits(row, comparison), row.average or 0.0, Z95 * (row.average_stderr or 0.0),
              half_width(row) or 0.0)
        for row in comparison.scored
        if row.bits and not row.is_baseline
    ]  # fmt: skip
    seen = [end for point in points for end in point.ends] + [each.value for each in published_beside(comparison)]
    seen += [comparison.baseline.average or 0.0] if comparison.baseline else []
    figure = _against_bits(comparison, points, with_room(seen), row_height, rising=True)
    _add_published(figure, comparison)
    _baseline_line(figure, comparison)
    figure.update_yaxes(title=gettext("accuracy"))
    return figure


def _add_published(figure: "Figure", comparison: Comparison) -> None:
    """Open diamonds for published averages of the same model, labelled as such."""
    for printed in published_beside(comparison):
        name = gettext("{recipe}, published", recipe=title(printed.recipe))
        figure.add_scatter(
            x=[printed.bits],
            y=[printed.value],
            name=name,
            mode="markers",
            marker={"size": 12, "symbol": "diamond-open", "color": palette.colour(printed.recipe)},
            hovertemplate=f"{numbers.named(name, numbers.score(printed.value))}<br>{printed.source}<extra></extra>",
        )


def divergence_against_bits(comparison: Comparison, row_height: int = ROW_HEIGHT) -> "Figure":
    """KL divergence to BF16 against average bits: lower is nearer to the original."""
    points = [
        Point(row, _counted_bits(row, comparison), row.divergence.kl, Z95 * (row.divergence.kl_stderr or 0.0),
              kl_half_width(row) or 0.0)
        for row in comparison.scored
        if row.bits and row.divergence and not row.is_baseline
    ]  # fmt: skip
    _, highest = with_room([0.0, *(end for point in points for end in point.ends)])
    figure = _against_bits(comparison, points, (0.0, highest), row_height, rising=False)
    _baseline_noise(figure, comparison)
    figure.update_yaxes(title=gettext("KL divergence, nats a token"))
    return figure


def _noise_bands(figure: "Figure", ends: Sequence[tuple[float, float | str, float | None]], along: str) -> None:
    """Behind each mark, how far another compute dtype moves it: (x, y, half of the band) of each.

    Args:
        along: the axis of the values, `x` or `y`.
    """
    known = [end for end in ends if end[2]]
    if not known:
        return
    bar = {
        "type": "data",
        "array": [half for _, _, half in known],
        "color": NOISE,
        "thickness": NOISE_WIDTH,
        "width": 0,
    }
    figure.add_scatter(
        x=[x for x, _, _ in known], y=[y for _, y, _ in known], name=gettext("numerical noise"), mode="markers",
        marker={"size": 1, "color": NOISE}, hoverinfo="skip", **{f"error_{along}": bar},
    )  # fmt: skip


def _baseline_noise(figure: "Figure", comparison: Comparison) -> None:
    """From zero to how far the original is from itself in another dtype: below that is as near as can be."""
    noise = comparison.baseline.noise if comparison.baseline else None
    if noise and noise.kl:
        room = noise.kl > LEAST_NOISE * figure.layout.yaxis.range[1]
        text = gettext("numerical noise of BF16") if room else ""
        figure.add_hrect(
            y0=0, y1=noise.kl, fillcolor=NOISE, line_width=0, layer="below",
            annotation={"text": text, "font": {"color": palette.TEXT}}, annotation_position="top left",
        )  # fmt: skip


@dataclass(frozen=True)
class Point:
    """One recipe in a figure against bits."""

    row: Row
    bits: float
    value: float
    half: float
    """Half of its 95 % interval."""
    noise: float = 0.0
    """How far another compute dtype moves it."""
    shift: float = 0.0
    """Bits by which it is drawn beside its place, so that what has the same bits stands side by side."""

    @property
    def x(self) -> float:
        """Where it is drawn."""
        return self.bits + self.shift

    @property
    def ends(self) -> tuple[float, float]:
        """Of all that is drawn of it."""
        half = max(self.half, self.noise)
        return self.value - half, self.value + half


def _against_bits(
    comparison: Comparison, points: Sequence[Point], span: tuple[float, float], row_height: int, rising: bool
) -> "Figure":
    """One colour a recipe; a line joins its budgets. Without several budgets, a line joins the best trade-offs."""
    import plotly.graph_objects as go

    figure = go.Figure()
    first, last = _bit_span(comparison)
    by_job = {point.row.job_id: point for point in _side_by_side(points, SIDE_BY_SIDE * (last - first))}
    series = series_of([point.row for point in points])
    if all(len(each.rows) == 1 for each in series):
        front = best_trade_offs(points, rising)
        figure.add_trace(
            go.Scatter(
                x=[point.bits for point in front], y=[point.value for point in front],
                mode="lines", name=gettext("best trade-offs"),
                line={"color": palette.GREY, "width": 1.5, "shape": "hv"}, hoverinfo="skip",
            )
        )  # fmt: skip
    names = []
    for each in series:
        joined = [by_job[row.job_id] for row in each.rows]
        figure.add_trace(_marks(each.name, joined))
        names.append(Name(each.name, joined[-1].x, joined[-1].value, joined[-1].row.recipe, MARK / 2 + 3))
    _noise_bands(figure, [(point.x, point.value, point.noise) for point in by_job.values()], "y")
    style(figure, comparison, row_height)
    without = comparison.study.ignore_scale_zp_bits
    counted = gettext("average bits, without scales") if without else gettext("average bits, with scales")
    figure.update_xaxes(title=counted, range=[first, last])
    figure.update_yaxes(range=span)
    add_names(figure, names)
    _budget_lines(figure, comparison)
    return figure


def _side_by_side(points: Sequence[Point], step: float) -> list[Point]:
    """Points of about the same bits, beside each other in the order of the rows."""
    placed: list[Point] = []
    for point in points:
        same = [other for other in points if abs(other.bits - point.bits) < step / 2]
        placed.append(replace(point, shift=(same.index(point) - (len(same) - 1) / 2) * step))
    return placed


def _marks(name: str, points: Sequence[Point]) -> object:
    import plotly.graph_objects as go

    recipe = points[0].row.recipe
    colour, symbol = palette.colour(recipe), palette.marker(recipe)
    return go.Scatter(
        x=[point.x for point in points],
        y=[point.value for point in points],
        name=name,
        mode="lines+markers" if len(points) > 1 else "markers",
        line={"color": colour, "width": 1.5},
        marker={"size": MARK, "color": colour, "symbol": symbol, "line": {"width": 1, "color": palette.TEXT}},
        error_y={
            "type": "data", "array": [point.half for point in points], "color": colour, "thickness": 2, "width": 6
        },
        customdata=[_hover(point.row) for point in points],
        hovertemplate="%{customdata}<extra></extra>",
        cliponaxis=False,
    )  # fmt: skip


def best_trade_offs(points: Sequence[Point], rising: bool) -> list[Point]:
    """The Pareto front: points that none beats with as few bits, by bits.

    Args:
        rising: more is better.
    """
    front: list[Point] = []
    for point in sorted(points, key=lambda point: (point.bits, -point.value if rising else point.value)):
        if not front or (point.value > front[-1].value if rising else point.value < front[-1].value):
            front.append(point)
    return front


def _at_bits(recipe: Message, bits: str) -> str:
    return gettext("{recipe} at {bits} bits", recipe=recipe, bits=bits)


def describe_accuracy(comparison: Comparison) -> str:
    """The two accuracy figures in words, for those who do not see them."""
    parts = []
    for row in comparison.scored:
        bits = numbers.bits(_counted_bits(row, comparison)) if row.bits else ""
        name = _at_bits(row.title, bits) if row.bits else translate(row.title)
        half = half_width(row)
        noise = gettext(" (numerical noise ±{points} points)", points=f"{100 * half:.1f}") if half else ""
        parts.append(numbers.named(name, numbers.score_with_error(row.average, row.average_stderr) + noise))
    if not parts:
        return gettext("No scores yet.")
    said = gettext("Average accuracy ± standard error. {values}.", values=gettext("; ").join(parts))
    printed = [
        numbers.named(_at_bits(title(each.recipe), f"{each.bits:g}"), numbers.score(each.value))
        for each in published_beside(comparison)
    ]
    if not printed:
        return said
    return said + " " + gettext("Published, as open diamonds: {values}.", values=gettext("; ").join(printed))


def _counted_bits(row: Row, comparison: Comparison) -> float:
    assert row.bits is not None
    return row.bits.achieved if comparison.study.ignore_scale_zp_bits else row.bits.achieved_with_scales


def _bit_span(comparison: Comparison) -> tuple[float, float]:
    """Axis range of the points and budgets."""
    seen = [_counted_bits(row, comparison) for row in comparison.scored if row.bits and not row.is_baseline]
    seen += _budgets(comparison)
    margin = max(1.0, max(seen) - min(seen))
    return min(seen) - 0.15 * margin, max(seen) + 0.15 * margin


def _baseline_line(figure: "Figure", comparison: Comparison) -> None:
    baseline = comparison.baseline
    if baseline:
        figure.add_hline(
            y=baseline.average, line={"dash": "dash", "color": palette.GREY, "width": 1.5},
            annotation={"text": f"BF16 {numbers.score(baseline.average)}", "font": {"color": palette.TEXT}},
            annotation_position="top left",
        )  # fmt: skip


def _budgets(comparison: Comparison) -> list[float]:
    """Those that rows were made for."""
    return sorted({row.avg_bits for row in comparison.rows if row.avg_bits is not None})


def _budget_lines(figure: "Figure", comparison: Comparison) -> None:
    for budget in _budgets(comparison):
        figure.add_vline(
            x=budget, line={"dash": "dot", "color": palette.GREY, "width": 1.5},
            annotation={
                "name": BUDGET, "text": gettext("budget {bits}", bits=f"{budget:g}"), "font": {"color": palette.TEXT}
            },
            annotation_position="bottom left",
        )  # fmt: skip


def _upper(row: Row) -> float:
    """The upper end of a row's interval."""
    return (row.average or 0.0) + Z95 * (row.average_stderr or 0.0)


def _error_bars(rows: Sequence[Row]) -> dict[str, object]:
    half = [None if row.average_stderr is None else Z95 * row.average_stderr for row in rows]
    return {"type": "data", "array": half, "color": palette.TEXT, "thickness": 2, "width": 6}


def _hover(row: Row) -> str:
    lines = [f"<b>{translate(row.title)}</b>", numbers.score_with_percent(row.average, row.percent_of_bf16)]
    if row.average is not None and row.average_stderr is not None:
        low, high = row.average - Z95 * row.average_stderr, row.average + Z95 * row.average_stderr
        lines.append(gettext("Interval (95 %): {low} to {high}", low=f"{low:.4f}", high=f"{high:.4f}"))
    if half := half_width(row):
        lines.append(gettext("Numerical noise: ±{points} points", points=f"{100 * half:.1f}"))
    if row.bits:
        lines.append(
            gettext("{bits} bits, {size}", bits=numbers.bits(row.bits.achieved), size=numbers.size(row.size_bytes))
        )
    return "<br>".join(lines)


def style(figure: "Figure", comparison: Comparison, row_height: int) -> None:
    """What the accuracy figures share, their height too: they stand side by side."""
    figure.update_layout(
        template="none",
        height=max(340, MARGINS + row_height * len(comparison.rows)),
        margin={"l": 12, "r": 16, "t": 12, "b": 44},
        paper_bgcolor="rgba(0,0,0,0)",
        plot_bgcolor="rgba(0,0,0,0)",
        font={"family": FONT, "size": 13, "color": palette.TEXT},
        showlegend=False,
        dragmode=False,
        hoverlabel={"font": {"family": FONT, "size": 13}},
        modebar={"remove": ["zoom", "pan", "select", "lasso", "zoomIn", "zoomOut", "autoScale", "resetScale"]},
    )
    axis = {"gridcolor": palette.LINE, "zeroline": False, "automargin": True, "fixedrange": True}
    figure.update_xaxes(**axis)
    figure.update_yaxes(**axis)
