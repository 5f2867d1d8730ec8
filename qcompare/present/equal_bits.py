"""Did choosing layers by sensitivity help? One sentence per budget, no more than the paired statistics say."""

from collections.abc import Sequence

from qcompare.compare.equal_bits import EqualBits, equal_bits
from qcompare.compare.table import Comparison, Row
from qcompare.present.answer import listed
from qcompare.words import gettext, gettext_noop, translate


def choosing_paid(comparison: Comparison) -> tuple[str, ...]:
    """One sentence per budget at which a recipe that chose its layers stands beside others; empty where none does."""
    return tuple(_sentence(found) for found in equal_bits(comparison))


def _sentence(found: EqualBits) -> str:
    others = [each.row for each in found.others]
    if found.worse_than:
        text = gettext_noop("At {bits} bits {recipe} answers fewer questions right than {others}.")
    elif found.better_than:
        text = gettext_noop("At {bits} bits {recipe} answers more questions right than {others}.")
    else:
        text = gettext_noop("At {bits} bits the questions show no significant gain of {recipe} over {others}.")
    rows = found.worse_than or found.better_than or tuple(others)
    name, bits = translate(found.chosen.title), f"{found.avg_bits:g}"
    said = [gettext(text, recipe=name, bits=bits, others=_listed(rows))]
    rest = [row for row in others if row not in rows]
    if rest and found.better_than and not found.worse_than:
        said.append(gettext("Against {others} the difference may be chance.", others=_listed(rest)))
    return " ".join([*said, *_kl(found)])


def _kl(found: EqualBits) -> tuple[str, ...]:
    compared = [each.row for each in found.others if each.kl]
    if not compared:
        return ()
    if len(found.closer_than) == len(compared):
        return (gettext("Its predictions are closer to the original’s than all of theirs."),)
    if found.closer_than:
        text = gettext_noop("Its predictions are closer to the original’s than those of {others}.")
        return (gettext(text, others=_listed(found.closer_than)),)
    return (gettext("Its predictions are not closer to the original’s than theirs."),)


def _listed(rows: Sequence[Row]) -> str:
    return listed([translate(row.title) for row in rows])
