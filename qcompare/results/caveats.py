"""What limits a comparison, in short sentences that stand under its verdict."""

from datetime import datetime

from qcompare.results.numbers import count_of
from qcompare.results.table import Comparison
from qcompare.study.records import AwqReport

RECORDED = "recording"
"""Tag of the study that comes with the app."""
NO_TRAINING_DATA = {"hellaswag", "piqa", "winogrande"}
"""Tasks whose few-shot examples lm-eval takes from training data, which the demo bundle does not hold."""


def caveats(comparison: Comparison) -> tuple[str, ...]:
    """What limits a comparison: how much was asked, on which data, and what was not measured."""
    notes = []
    if RECORDED in comparison.tags:
        when = f"{datetime.fromtimestamp(comparison.created):%d %B %Y}"
        notes.append(f"A recording, made by this app on {when}{_on(comparison)}.")
    if comparison.questions:
        notes.append(f"{count_of(comparison.questions, 'question')} a recipe.")
    if any(row.simulated and not row.is_reference for row in comparison.rows):
        notes.append("Simulated formats: accuracy is faithful, speed is not measured.")
    for row in comparison.rows:
        if row.awq:
            notes.append(f"{row.title}: {_mappings(row.awq)}.")
    if labels := sorted({row.rounding for row in comparison.rows if row.rounding and row.rounding != "rtn"}):
        notes.append(f"Rounding: {', '.join(labels)}; the published tables round to nearest.")
    if any("demo" in source for source in comparison.data):
        notes.append(f"Questions from the demo bundle{_data_differs(comparison)}.")
    if comparison.repeated:
        notes.append(f"The same in several studies, shown once: {', '.join(comparison.repeated)}.")
    for number, apart in enumerate(comparison.set_apart[1:], start=1):
        names = [row.title for row in comparison.rows if row.group == number]
        notes.append(f"Not compared: {', '.join(names)} ({apart}).")
    failed = [row.title for row in comparison.rows if row.error]
    if failed:
        notes.append(f"Failed and left out: {', '.join(failed)}.")
    return tuple(notes)


def _on(comparison: Comparison) -> str:
    """The machine of a recording."""
    machine = next((row.environment for row in comparison.rows if row.environment), None)
    return f" on another machine ({machine.device_name})" if machine else ""


def _mappings(awq: AwqReport) -> str:
    """`60 mappings applied, 30 skipped (v_proj → o_proj)`: skipped ones by their kind."""
    kinds = dict.fromkeys(" → ".join(end.rpartition(".")[2] for end in name.split(" → ")) for name in awq.skipped)
    skipped = f", {len(awq.skipped)} skipped ({', '.join(kinds)})" if kinds else ""
    return f"{len(awq.applied)} mappings applied{skipped}"


def _data_differs(comparison: Comparison) -> str:
    """What makes scores on the bundle's data differ from published ones."""
    notes = []
    if "lambada_openai" in comparison.study.tasks:
        notes.append("LAMBADA without its paragraph breaks")
    if "gsm8k" in comparison.study.tasks:
        notes.append("GSM8K with other worked examples, so not its standard score")
    if comparison.study.num_fewshot and NO_TRAINING_DATA & set(comparison.study.tasks):
        notes.append("few-shot examples from the validation questions")
    return f" ({', '.join(notes)})" if notes else ""
