"""Figures of a comparison (Plotly). Deterministic: the same comparison gives the same figure, byte for byte.

Backgrounds are transparent and text is a middle grey, so one figure serves light, dark and print. Each figure has its
words beside it: `describe_accuracy`.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from qcompare.compare.beside import published_beside
from qcompare.compare.chance import Z95
from qcompare.compare.noise import half_width, kl_half_width
from qcompare.compare.selection import title
from qcompare.compare.table import Comparison, Row
from qcompare.present import numbers, palette
from qcompare.words import Message, gettext, translate

if TYPE_CHECKING:
    from plotly.graph_objects import Figure

FONT = "system-ui, -apple-system, 'Segoe UI', Roboto, 'Noto Sans', sans-serif"
NOISE = "rgba(134, 140, 150, 0.30)"
"""Bands of what another compute dtype makes by itself."""
ROW_HEIGHT, MARGINS = 44, 76
"""Pixels of one bar, and of all that is not bars."""


def accuracy_bars(comparison: Comparison) -> "Figure":
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
    style(figure, comparison)
    # A place for every recipe from the start, so that bars stay put while others finish.
    names = [translate(row.title) for row in comparison.rows]
    figure.update_yaxes(
        categoryorder="array", categoryarray=names, range=[len(names) - 0.5, -0.5], showgrid=False,
        tickfont={"size": 14}, ticklabelstandoff=8, tickvals=names,
    )  # fmt: skip
    figure.update_xaxes(title=gettext("accuracy"), range=[0, 1.3 * max(map(_upper, rows), default=1.0)])
    return figure


def accuracy_against_bits(comparison: Comparison) -> "Figure":
    """Average accuracy against average bits of the quantized weights; BF16, budgets, best trade-offs as lines."""
    points = [
        Point(row, _counted_bits(row, comparison), row.average or 0.0, Z95 * (row.average_stderr or 0.0))
        for row in comparison.scored
        if row.bits and not row.is_baseline
    ]
    figure = _against_bits(comparison, points, rising=True)
    _noise_bands(figure, [(point.bits, point.value, half_width(point.row)) for point in points], "y")
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


def divergence_against_bits(comparison: Comparison) -> "Figure":
    """KL divergence to BF16 against average bits: lower is nearer to the original."""
    points = [
        Point(row, _counted_bits(row, comparison), row.divergence.kl, Z95 * (row.divergence.kl_stderr or 0.0))
        for row in comparison.scored
        if row.bits and row.divergence and not row.is_baseline
    ]
    figure = _against_bits(comparison, points, rising=False)
    moved = [(point.bits, point.value, kl_half_width(point.row)) for point in points]
    _noise_bands(figure, moved, "y")
    _baseline_noise(figure, comparison)
    figure.update_yaxes(title=gettext("KL divergence, nats a token"), rangemode="tozero")
    return figure


def _noise_bands(figure: "Figure", ends: Sequence[tuple[float, float | str, float | None]], along: str) -> None:
    """Behind each mark, how far another compute dtype moves it: (x, y, half of the band) of each.

    Args:
        along: the axis of the values, `x` or `y`.
    """
    known = [end for end in ends if end[2]]
    if not known:
        return
    bar = {"type": "data", "array": [half for _, _, half in known], "color": NOISE, "thickness": 16, "width": 0}
    figure.add_scatter(
        x=[x for x, _, _ in known], y=[y for _, y, _ in known], name=gettext("numerical noise"), mode="markers",
        marker={"size": 1, "color": NOISE}, hoverinfo="skip", **{f"error_{along}": bar},
    )  # fmt: skip


def _baseline_noise(figure: "Figure", comparison: Comparison) -> None:
    """From zero to how far the original is from itself in another dtype: below that is as near as can be."""
    noise = comparison.baseline.noise if comparison.baseline else None
    if noise and noise.kl:
        figure.add_hrect(
            y0=0, y1=noise.kl, fillcolor=NOISE, line_width=0, layer="below",
            annotation={"text": gettext("numerical noise of BF16"), "font": {"color": palette.TEXT}},
            annotation_position="top left",
        )  # fmt: skip


@dataclass(frozen=True)
class Point:
    """One recipe in a figure against bits."""

    row: Row
    bits: float
    value: float
    half: float
    """Half of its 95 % interval."""


def _against_bits(comparison: Comparison, points: Sequence[Point], rising: bool) -> "Figure":
    import plotly.graph_objects as go

    figure = go.Figure()
    front = best_trade_offs(points, rising)
    figure.add_trace(
        go.Scatter(
            x=[point.bits for point in front], y=[point.value for point in front],
            mode="lines", name=gettext("best trade-offs"),
            line={"color": palette.GREY, "width": 1.5, "shape": "hv"}, hoverinfo="skip",
        )
    )  # fmt: skip
    for position, point in enumerate(sorted(points, key=lambda point: (point.bits, point.value))):
        figure.add_trace(_mark(point, "top left" if position % 2 == 0 else "top right"))
    style(figure, comparison)
    _budget_lines(figure, comparison)
    without = comparison.study.ignore_scale_zp_bits
    counted = gettext("average bits, without scales") if without else gettext("average bits, with scales")
    figure.update_xaxes(title=counted, range=_bit_span(comparison))
    return figure


def _mark(point: Point, where: str) -> object:
    import plotly.graph_objects as go

    colour, symbol = palette.colour(point.row.recipe), palette.marker(point.row.recipe)
    return go.Scatter(
        x=[point.bits],
        y=[point.value],
        name=translate(point.row.title),
        mode="markers+text",
        text=[translate(point.row.title)],
        textposition=where,
        marker={"size": 13, "color": colour, "symbol": symbol, "line": {"width": 1, "color": palette.TEXT}},
        error_y={"type": "data", "array": [point.half], "color": colour, "thickness": 2, "width": 6},
        customdata=[_hover(point.row)],
        hovertemplate="%{customdata}<extra></extra>",
        cliponaxis=False,
    )


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
    """Axis range with room for the names right of the points."""
    seen = [_counted_bits(row, comparison) for row in comparison.scored if row.bits and not row.is_baseline]
    seen += comparison.study.avg_bits
    margin = max(1.0, max(seen) - min(seen))
    return min(seen) - 0.35 * margin, max(seen) + 0.4 * margin


def _baseline_line(figure: "Figure", comparison: Comparison) -> None:
    baseline = comparison.baseline
    if baseline:
        figure.add_hline(
            y=baseline.average, line={"dash": "dash", "color": palette.GREY, "width": 1.5},
            annotation={"text": f"BF16 {numbers.score(baseline.average)}", "font": {"color": palette.TEXT}},
            annotation_position="top right",
        )  # fmt: skip


def _budget_lines(figure: "Figure", comparison: Comparison) -> None:
    for budget in comparison.study.avg_bits:
        figure.add_vline(
            x=budget, line={"dash": "dot", "color": palette.GREY, "width": 1.5},
            annotation={"text": gettext("budget {bits}", bits=f"{budget:g}"), "font": {"color": palette.TEXT}},
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


def style(figure: "Figure", comparison: Comparison) -> None:
    """What the accuracy figures share, their height too: they stand side by side."""
    figure.update_layout(
        template="none",
        height=max(340, MARGINS + ROW_HEIGHT * len(comparison.rows)),
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
