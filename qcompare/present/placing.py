"""Where points and their names stand in a figure, so that none hides another."""

from collections.abc import Hashable, Iterator, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from qcompare.compare.selection import title
from qcompare.compare.table import Row
from qcompare.present import palette
from qcompare.words import translate

if TYPE_CHECKING:
    from plotly.graph_objects import Figure

LINE_HEIGHT = 18
"""Pixels that a name takes."""
LIFT = 10
"""Pixels that a name stands above its point: a line may go on to the right of it."""
ABOVE_AND_BELOW = 88
"""Pixels of a figure's height that are not its plot: margins, ticks, the title of an axis."""
LETTER, WIDE_LETTER = 7.2, 13.5
"""Pixels of a letter of a name; of a Chinese one."""
POINT = "point"
"""What annotations are called that name a point."""
NEAR = 0.12
"""Points closer than this share of an axis stand in one column of names."""


@dataclass(frozen=True)
class Series:
    """A recipe at several budgets, whose points a line joins; or a row by itself."""

    name: str
    rows: tuple[Row, ...]
    """By budget."""


def series_of(rows: Sequence[Row]) -> list[Series]:
    """The rows, those together that differ in nothing but the budget."""
    groups: dict[Hashable, list[Row]] = {}
    for row in rows:
        alone = row.avg_bits is None or row.named
        groups.setdefault(row.job_id if alone else _without_budget(row), []).append(row)
    return [each for group in groups.values() for each in _split(group)]


def _split(group: list[Row]) -> Iterator[Series]:
    if len(group) > 1 and len({row.avg_bits for row in group}) == len(group):
        yield Series(_without_budget(group[0]), tuple(sorted(group, key=lambda row: row.avg_bits or 0.0)))
    else:
        yield from (Series(translate(row.title), (row,)) for row in group)


def _without_budget(row: Row) -> str:
    """The row's name as it would be with one budget only."""
    with_budget = translate(title(row.recipe, row.avg_bits, several=True))
    return translate(row.title).replace(with_budget, translate(title(row.recipe)))


@dataclass(frozen=True)
class Name:
    """The name of a point, right of it."""

    text: str
    x: float
    y: float
    recipe: str
    radius: float
    """Pixels from the point's middle to its edge, or to that of what stands beside it."""


def add_names(figure: "Figure", names: Sequence[Name]) -> None:
    """Write names right of their points, moved apart where they would overlap, with a line to the point.

    Where a figure is narrow, `plots.js` shows a legend in their place.

    Args:
        figure: has its height and the ranges of its axes; gets a right margin for the names of the last points.
    """
    (left, right), (low, high) = figure.layout.xaxis.range, figure.layout.yaxis.range
    a_pixel = (high - low) / (figure.layout.height - ABOVE_AND_BELOW)
    columns = in_columns(names, NEAR * (right - left))
    for column in columns:
        heights = spread([name.y for name in column], LINE_HEIGHT * a_pixel)
        for name, height in zip(column, heights, strict=True):
            figure.add_annotation(
                name=POINT, text=name.text, x=name.x, y=name.y,
                ax=name.radius + 16, ay=(name.y - height) / a_pixel - LIFT,
                xanchor="left", align="left", showarrow=True, arrowhead=0, arrowwidth=1, standoff=name.radius,
                arrowcolor=palette.colour(name.recipe), font={"color": palette.TEXT},
            )  # fmt: skip
    if columns:
        figure.update_layout(margin_r=24 + max(name.radius + 12 + _width(name.text) for name in columns[-1]))


def in_columns(names: Sequence[Name], near: float) -> list[list[Name]]:
    """Names from left to right, those together that are at most so far from the next; from the bottom up in each."""
    found: list[list[Name]] = []
    for name in sorted(names, key=lambda name: name.x):
        if found and name.x - found[-1][-1].x <= near:
            found[-1].append(name)
        else:
            found.append([name])
    return [sorted(column, key=lambda name: name.y) for column in found]


def spread(values: Sequence[float], least: float) -> list[float]:
    """Rising values moved so that neighbours are at least so far apart, together as little as possible.

    Least squares under that condition: pool adjacent violators (Barlow et al., 1972) on the values less their place.
    """
    pools: list[tuple[float, int]] = []  # (mean, how many)
    for place, value in enumerate(values):
        mean, count = value - place * least, 1
        while pools and pools[-1][0] > mean:
            other, others = pools.pop()
            mean, count = (mean * count + other * others) / (count + others), count + others
        pools.append((mean, count))
    flat = [mean for mean, count in pools for _ in range(count)]
    return [mean + place * least for place, mean in enumerate(flat)]


def with_room(values: Sequence[float], share: float = 0.06) -> tuple[float, float]:
    """The range of an axis: that of the values, and such a share of it more at both ends."""
    low, high = min(values, default=0.0), max(values, default=0.0)
    margin = share * (high - low) or 0.1 * abs(high) or 1.0
    return low - margin, high + margin


def _width(text: str) -> float:
    return sum(WIDE_LETTER if ord(letter) > 0x2E80 else LETTER for letter in text)
