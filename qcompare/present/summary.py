"""What a run came to, as GitHub-flavoured Markdown for the summary of a CI job."""

import os
from collections.abc import Mapping
from pathlib import Path

from qcompare.compare.fail_on import Condition
from qcompare.compare.table import Comparison
from qcompare.present.answer import answer
from qcompare.present.markup import markdown
from qcompare.present.render import render


def summary(comparison: Comparison, conditions: Mapping[Condition, bool]) -> str:
    """Verdict, conditions and table.

    Args:
        conditions: whether each is met: then the run has failed.
    """
    marks = [f"- {'❌' if met else '✅'} fails on `{each.text}`" for each, met in conditions.items()]
    said = answer(comparison).plain
    return "\n\n".join(
        part
        for part in (
            f"## {markdown(said.claim)}",
            markdown(" ".join(said.details)),
            "\n".join(marks),
            render(comparison, "md"),
        )
        if part
    )


def write_summary(text: str) -> Path | None:
    """Add it to the summary of the running GitHub job; None outside of one."""
    path = summary_file()
    if path is None:
        return None
    with path.open("a", encoding="utf-8") as file:
        file.write(text + "\n")
    return path


def summary_file() -> Path | None:
    """The summary of the running GitHub job; None outside of one."""
    path = os.environ.get("GITHUB_STEP_SUMMARY")
    return Path(path) if path else None
