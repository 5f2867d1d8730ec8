"""The published tables as HTML: what was printed, under which conditions, and what of it contradicts itself."""

from dataclasses import dataclass

from qcompare.compare.published import PUBLISHED, Cell, PublishedTable
from qcompare.compare.selection import title
from qcompare.present.html import fragment
from qcompare.words import Message


@dataclass(frozen=True)
class Printed:
    """One published table, laid out."""

    table: PublishedTable
    columns: tuple[str, ...]
    """Models, without their organisation; of one model, the metrics."""
    lines: tuple[tuple[Message, tuple[Cell | None, ...]], ...]
    """Recipe with its budget, and its cells in the order of the columns."""


def published_tables_html() -> str:
    """All tables, in the order of their documents."""
    return fragment("published_tables", tables=[_laid_out(table) for table in PUBLISHED])


def _laid_out(table: PublishedTable) -> Printed:
    models = dict.fromkeys(cell.model for cell in table.cells)
    metrics = dict.fromkeys(cell.metric for cell in table.cells)
    columns = [(model, metric) for model in models for metric in metrics]
    cells = {(cell.recipe, cell.avg_bits, cell.model, cell.metric): cell for cell in table.cells}
    rows = dict.fromkeys((cell.recipe, cell.avg_bits) for cell in table.cells)
    short = {model: model.rpartition("/")[2] for model in models}
    return Printed(
        table,
        tuple(f"{short[model]}, {metric}" if len(metrics) > 1 else short[model] for model, metric in columns),
        tuple(
            (title(recipe, bits, several=True), tuple(cells.get((recipe, bits, *column)) for column in columns))
            for recipe, bits in rows
        ),
    )
