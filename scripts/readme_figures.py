"""Write the figures of the README, from recorded studies and benchmarks: `python -m scripts.readme_figures`.

Whatever stands between the two marks is replaced. Run it after `record_demo.py` and `benchmarks.study`, and when the
table changes.
"""

import re
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from pathlib import Path
from textwrap import fill

from qcompare.compare.equal_bits import equal_bits
from qcompare.compare.table import Comparison, read_comparison
from qcompare.present import numbers
from qcompare.present.render import render
from qcompare.store import Store
from qcompare.store.packing import unpack
from qcompare.ui.recording import RECORDINGS, STORIES
from qcompare.words import thousands

ROOT = Path(__file__).parents[1]
README, RESULTS = ROOT / "README.md", ROOT / "benchmarks" / "RESULTS.md"
BEGIN, END = "<!-- measured: assets/recording, by scripts/readme_figures.py -->", "<!-- end -->"
ESSENCE = ("Recipe", "Average", "vs BF16, points (95 %)", "KL", "Size")
"""Columns of the table of a further story."""
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
    """What was asked, the table, what the app says of it, and how it was run; of the other studies, the essence."""
    first, *others = RECORDINGS
    with _recorded(first) as (comparison, store):
        _, table, *notes = render(comparison, "md").split("\n\n")
        texts = [_asked(comparison), table, *notes, _best_against_mixed(comparison), _run(first, comparison, store)]
    texts = [text if text == table else _filled(text) for text in texts]
    for story in others:
        with _recorded(story) as (comparison, store):
            _, table, answer, *_ = render(comparison, "md").split("\n\n")
            texts += [_filled(f"Also recorded, {STORIES[story]}. {answer}"), _essence(table)]
            texts.append(_filled(_run(story, comparison, store)))
    return "\n\n".join([*texts, _filled(_against_plain_script(RESULTS.read_text(encoding="utf-8")))])


def _best_against_mixed(comparison: Comparison) -> str:
    """At each budget: KL of our choice of layers as a share of AutoScheme's, and how many more answers are right."""
    found = []
    for bits in equal_bits(comparison):
        for other in bits.others:
            if (bits.chosen.recipe, other.row.recipe) != ("best", "mixed") or other.paired is None:
                continue
            assert bits.chosen.divergence and other.row.divergence
            share, paired = bits.chosen.divergence.kl / other.row.divergence.kl, other.paired
            points, low, high = map(numbers.points, (paired.difference, paired.low, paired.high))
            p = f"p {numbers.equals(paired.p)}, after Holm {numbers.equals(paired.p_holm)}"
            found.append(f"{share:.2f} and {points} [{low}, {high}] at {bits.avg_bits:g} bits ({p})")
    return (
        f"`best` against `mixed`, share of its KL and points of average accuracy: {'; '.join(found)}. Holm's "
        f"correction is over all {len(comparison.pairs)} pairs of rows; the intervals go with it."
    )


def _against_plain_script(results: str) -> str:
    """What `benchmarks.study` found, for each number of questions."""
    found = []
    for name in ("study --limit 25", "study"):
        [section] = re.findall(f"<!-- {name} -->(.*?)<!-- /{name} -->", results, re.DOTALL)
        [(dtype, questions)] = re.findall(r"^## .*, (\w+) \(.* (\d+) questions\)", section, re.MULTILINE)
        *_, ratio = re.findall(r"\| \*\*whole study\*\* \|.*", section)[0].strip("| ").split(" | ")
        [day] = re.findall(r"`python -m [^`]*`, ([\d-]+)", section)
        found.append(f"{float(ratio):.1f} times as long at {questions} questions per task ({dtype}, {day})")
    return (
        f"A plain script with auto-round and lm-eval, which measures no KL, takes {' and '.join(found)}. Starting up "
        "and scoring layers cost the same for any number: [benchmarks/RESULTS.md](benchmarks/RESULTS.md)."
    )


@contextmanager
def _recorded(story: str) -> Iterator[tuple[Comparison, Store]]:
    with tempfile.TemporaryDirectory() as folder:
        store = Store(Path(folder))
        yield read_comparison(store, (unpack(store, RECORDINGS[story]),)), store


def _essence(table: str) -> str:
    """Size against damage: some columns of a table."""
    rows = [line.strip("| ").split(" | ") for line in table.splitlines()]
    places = [rows[0].index(column) for column in ESSENCE]
    return "\n".join(f"| {' | '.join(row[place] for place in places)} |" for row in rows)


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


def _run(story: str, comparison: Comparison, store: Store) -> str:
    [study] = store.studies()
    jobs = store.jobs(study.id)
    seconds = max(job.finished or 0 for job in jobs) - min(job.started or 0 for job in jobs)
    machine = next(row.environment for row in comparison.rows if row.environment)
    peak = max(row.peak_memory_bytes or 0 for row in comparison.rows)
    day = f"{datetime.fromtimestamp(comparison.created, UTC):%Y-%m-%d}"
    versions = ", ".join(f"{name} {machine.libraries[name].partition('+')[0]}" for name in LIBRARIES)
    return (
        f"`qcompare run assets/studies/recorded_{story}.yaml` on {machine.threads} cores of {machine.device_name} "
        f"({machine.dtype}), {day}, {versions}: {_duration(seconds)} with the demo model at hand; "
        f"no job held more than {numbers.size(peak)}. {study.notes}"
    ).strip()


def _duration(seconds: float) -> str:
    return f"{numbers.clock(seconds)} {'hours' if seconds >= 3600 else 'minutes'}"


if __name__ == "__main__":
    main()
