"""Conditions under which a run counts as failed, for CI: `best < 97% of bf16`, `mixed kl > 0.5`, `head < 0.4`."""

import operator
import re
from collections.abc import Callable
from dataclasses import dataclass

from qcompare.compare.table import Comparison, Row
from qcompare.errors import InvalidStudy, unknown
from qcompare.words import gettext_noop

HIGHEST = "best"
"""The quantized row with the highest average, whatever its recipe."""
OPERATORS: dict[str, Callable[[float, float], bool]] = {
    "<": operator.lt, "<=": operator.le, ">": operator.gt, ">=": operator.ge,
}  # fmt: skip
QUANTITIES: dict[str, Callable[[Row], float | None]] = {
    "average": lambda row: row.average,
    "kl": lambda row: row.divergence.kl if row.divergence else None,
    "size": lambda row: row.size_bytes,
    "bits": lambda row: row.bits.achieved if row.bits else None,
}
NUMBER = r"\d+(?:\.\d+)?"
CONDITION = re.compile(
    rf"(?P<row>[\w.-]+)(?:\s+(?P<quantity>[a-z]+))?\s*(?P<operator><=|>=|<|>)\s*"
    rf"(?:(?P<percent>{NUMBER})\s*%\s*of\s+(?P<other>[\w.-]+)|(?P<value>{NUMBER}))"
)


@dataclass(frozen=True)
class Condition:
    """A row, a quantity, and a limit: a number, or a share of another row's."""

    text: str
    row: str
    quantity: str
    operator: str
    limit: float
    """Where `other` is given: percent of it."""
    other: str | None


def parse_condition(text: str) -> Condition:
    """
    Raises:
        InvalidStudy: it is none.

    >>> parse_condition("best < 97% of bf16").limit
    97.0
    """
    found = CONDITION.fullmatch(text.strip())
    if found is None:
        raise InvalidStudy(
            "'{text}' is no condition: write ROW [average|kl|size|bits] < NUMBER or ROW < PERCENT% of ROW, such as "
            "'{example}'",
            text=text[:60],
            example=f"{HIGHEST} < 97% of bf16",
        )
    quantity = found["quantity"] or "average"
    if quantity not in QUANTITIES:
        raise InvalidStudy(unknown(gettext_noop("quantity"), quantity, QUANTITIES))
    limit = float(found["percent"] or found["value"])
    return Condition(text.strip(), found["row"], quantity, found["operator"], limit, found["other"])


def holds(condition: Condition, comparison: Comparison) -> bool:
    """Whether a finished comparison meets the condition: the run has failed.

    Raises:
        InvalidStudy: it names a row that is not there, or one without that quantity.
    """
    value = _value(comparison, condition.row, condition.quantity)
    limit = condition.limit
    if condition.other:
        limit = limit / 100 * _value(comparison, condition.other, condition.quantity)
    return OPERATORS[condition.operator](value, limit)


def _value(comparison: Comparison, name: str, quantity: str) -> float:
    rows = {row.job_id.partition(".")[2]: row for row in comparison.rows}
    found = [row for key, row in rows.items() if name in (key, row.recipe)]
    row = comparison.best if name == HIGHEST else found[0] if len(found) == 1 else None
    if row is None:
        raise InvalidStudy(unknown(gettext_noop("row"), name, [HIGHEST, *rows]))
    value = QUANTITIES[quantity](row)
    if value is None:
        raise InvalidStudy("{row} has no {quantity} to compare", row=name, quantity=quantity)
    return float(value)
