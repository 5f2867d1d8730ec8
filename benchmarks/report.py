"""One table a benchmark: printed, and kept in `RESULTS.md` between the benchmark's own two marks."""

import datetime
import os
import platform
import re
from collections.abc import Mapping, Sequence
from pathlib import Path

from qcompare.models.environment import library_versions

RESULTS = Path(__file__).with_name("RESULTS.md")
Cell = str | int | float | bool | None


def report(name: str, title: str, rows: Sequence[Mapping[str, Cell]], notes: Sequence[str] = ()) -> None:
    """Print a table with its conditions and put it in the place of the benchmark's last one.

    Args:
        name: the benchmark's, as in `python -m benchmarks.NAME`.
        rows: all with the same keys, the columns.
        notes: sentences below the table.
    """
    text = "\n".join([f"## {title}", "", *_table(rows), "", *(f"- {note}" for note in (*notes, conditions(name)))])
    print("\n" + text, flush=True)
    begin, end = f"<!-- {name} -->", f"<!-- /{name} -->"
    kept = RESULTS.read_text(encoding="utf-8")
    section = f"{begin}\n{text}\n{end}"
    if begin in kept:
        kept = re.sub(f"{begin}.*?{end}", lambda _: section, kept, flags=re.DOTALL)
    else:
        kept = f"{kept.rstrip()}\n\n{section}\n"
    RESULTS.write_text(kept, encoding="utf-8")


def conditions(name: str) -> str:
    """Command, machine, versions and day."""
    versions = ", ".join(f"{library} {version}" for library, version in library_versions().items())
    return f"`python -m benchmarks.{name}`, {datetime.date.today()}, {machine()}; {versions}"


def machine() -> str:
    """Processor, cores and operating system."""
    model = platform.processor() or platform.machine()
    cpuinfo = Path("/proc/cpuinfo")
    if cpuinfo.exists():
        found = re.search(r"model name\s*: (.*)", cpuinfo.read_text(encoding="utf-8"))
        model = found[1] if found else model
    return f"{os.cpu_count()} cores of {model}, {platform.system()}, no GPU used"


def _table(rows: Sequence[Mapping[str, Cell]]) -> list[str]:
    columns = list(rows[0])
    body = [[_cell(row[column]) for column in columns] for row in rows]
    return ["| " + " | ".join(line) + " |" for line in ([*columns], ["---"] * len(columns), *body)]


def _cell(value: Cell) -> str:
    if isinstance(value, bool):
        return "yes" if value else "no"
    if isinstance(value, float):
        return f"{value:.1e}" if 0 < abs(value) < 0.01 else f"{value:.2f}" if value < 100 else f"{value:.0f}"
    return "" if value is None else str(value)
