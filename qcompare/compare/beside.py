"""Published figures that may stand beside measured ones: same model, schemes and tasks."""

from collections.abc import Iterator
from dataclasses import dataclass

from qcompare.compare.published import AVERAGE, PUBLISHED
from qcompare.compare.table import Comparison
from qcompare.study.formats import SCHEMES
from qcompare.study.recipe import is_baseline

TASKS = {"lambada_openai", "hellaswag", "piqa", "winogrande", "mmlu"}
OF_FAMILY = {"mxfp": ("table1", "table2", "table3"), "mxfp_rceil": ("table1", "table2", "table3"), "int": ("table4",)}
"""Tables by family of schemes."""


@dataclass(frozen=True)
class Printed:
    """A published average."""

    recipe: str
    bits: float
    """Average, scales not counted."""
    value: float
    source: str
    """Table and document."""


def published_beside(comparison: Comparison) -> tuple[Printed, ...]:
    """The printed averages of a comparison's model, each once; none where what was asked differs."""
    study = comparison.study
    if comparison.several or set(study.tasks) != TASKS or study.num_fewshot or not study.ignore_scale_zp_bits:
        return ()
    return tuple({(found.recipe, found.bits): found for found in _of_model(comparison)}.values())


def _of_model(comparison: Comparison) -> Iterator[Printed]:
    low = SCHEMES[comparison.study.schemes[0]]
    model = comparison.study.model.partition("@")[0].lower()
    for table in PUBLISHED:
        for cell in table.cells if table.name in OF_FAMILY.get(low.format, ()) else ():
            if cell.model.lower() == model and cell.metric == AVERAGE and not is_baseline(cell.recipe):
                bits = float(low.bits) if cell.avg_bits is None else cell.avg_bits
                yield Printed(cell.recipe, bits, cell.value, f"{table.title}, {table.document}")
