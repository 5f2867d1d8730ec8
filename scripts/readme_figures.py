"""Write the figures of the README from the recorded study: `python -m scripts.readme_figures`.

Whatever stands between the two marks is replaced. Run it after `record_demo.py`, and when the table changes.
"""

import re
import tempfile
from datetime import UTC, datetime
from pathlib import Path
from textwrap import fill

from qcompare.compare.table import Comparison, read_comparison
from qcompare.present import numbers
from qcompare.present.render import render
from qcompare.store import Store
from qcompare.store.packing import unpack
from qcompare.ui.recording import RECORDINGS
from qcompare.words import thousands

README = Path(__file__).parents[1] / "README.md"
BEGIN, END = "<!-- measured: assets/recording, by scripts/readme_figures.py -->", "<!-- end -->"
STUDY = "assets/studies/recorded_winner.yaml"
WIDTH = 118
THOUSANDS = re.compile(r"(?<=\d) (?=\d{3}\b)")
LIBRARIES = ("torch", "transformers", "auto-round", "lm-eval")


def main() -> None:
    """Rewrite the block of the README."""
    README.write_text(rewritten(README.read_text(encoding="utf-8")), encoding="utf-8")


def rewritten(readme: str) -> str:
    """A README with the recorded study's figures in its block."""
    before, _, rest = readme.partition(BEGIN)
    _, _, after = rest.partition(END)
    return f"{before}{BEGIN}\n{figures()}\n{END}{after}"


def figures() -> str:
    """What was asked, the table, what the app says of it, and how it was run."""
    with tempfile.TemporaryDirectory() as folder:
        store = Store(Path(folder))
        study_id = unpack(store, next(iter(RECORDINGS.values())))
        comparison = read_comparison(store, (study_id,))
        jobs = store.jobs(study_id)
        remark = store.study(study_id).notes
        seconds = max(job.finished or 0 for job in jobs) - min(job.started or 0 for job in jobs)
        _, table, *notes = render(comparison, "md").split("\n\n")
    texts = [_asked(comparison), table, *notes, _run(comparison, seconds, remark)]
    return "\n\n".join(text if text == table else _filled(text) for text in texts)


def _filled(text: str) -> str:
    """In lines, without a break inside a number."""
    return fill(THOUSANDS.sub("\u00a0", text), WIDTH, break_on_hyphens=False)


def _asked(comparison: Comparison) -> str:
    assert comparison.model
    tokens = next((row.divergence.tokens for row in comparison.rows if row.divergence), 0)
    return (
        f"The recorded study: {comparison.model.name}, `{','.join(comparison.study.schemes)}`, "
        f"{comparison.study.limit} questions per task, KL over {thousands(tokens)} tokens of held-out stories. "
        f"{comparison.model.note or ''}"
    )


def _run(comparison: Comparison, seconds: float, notes: str) -> str:
    machine = next(row.environment for row in comparison.rows if row.environment)
    peak = max(row.peak_memory_bytes or 0 for row in comparison.rows)
    day = f"{datetime.fromtimestamp(comparison.created, UTC):%Y-%m-%d}"
    versions = ", ".join(f"{name} {machine.libraries[name].partition('+')[0]}" for name in LIBRARIES)
    return (
        f"`qcompare run {STUDY}` on {machine.threads} cores of {machine.device_name} ({machine.dtype}), {day}, "
        f"{versions}: {_duration(seconds)} with the demo model at hand; no job held more than {numbers.size(peak)}. "
        f"{notes}"
    ).strip()


def _duration(seconds: float) -> str:
    return f"{numbers.clock(seconds)} {'hours' if seconds >= 3600 else 'minutes'}"


if __name__ == "__main__":
    main()
