"""What limits a comparison, in short sentences that stand under its verdict."""

from collections.abc import Mapping
from datetime import datetime

from qcompare.compare.noise import half_width, is_numerical
from qcompare.compare.table import Comparison, Row
from qcompare.present.numbers import divergence, named, questions
from qcompare.study.noise import NoiseFloor
from qcompare.study.result import AwqReport, CheckpointReport, Faithful
from qcompare.words import gettext, gettext_noop, ngettext, translate

RECORDED = "recording"
"""Tag of the study that comes with the app."""
NO_TRAINING_DATA = {"hellaswag", "piqa", "winogrande"}
"""Tasks whose few-shot examples lm-eval takes from training data, which the demo bundle does not hold."""


def caveats(comparison: Comparison) -> tuple[str, ...]:
    """What limits a comparison: how much was asked, on which data, and what was not measured."""
    notes = []
    if RECORDED in comparison.tags:
        notes.append(_recording(comparison))
    if comparison.model and comparison.model.note:
        notes.append(f"{comparison.model.name}: {gettext(comparison.model.note)}")
    if comparison.questions:
        notes.append(gettext("{questions} per recipe.", questions=questions(comparison.questions)))
    if any(row.simulated and not row.is_baseline for row in comparison.rows):
        notes.append(gettext("Accuracy is true to the format; speed was not measured."))
    notes += noise_notes(comparison)
    if any(row.kv_cache for row in comparison.rows):
        notes.append(gettext("FP8 KV cache: scale 1.0, as vLLM’s kv_cache_dtype=fp8; simulated."))
    for row in comparison.rows:
        if row.awq:
            notes.append(gettext("{values}.", values=named(translate(row.title), _mappings(row.awq))))
        if row.checkpoint:
            notes.append(gettext("{values}.", values=named(translate(row.title), checkpoint_facts(row.checkpoint))))
        notes += served_notes(row)
    if labels := sorted({row.rounding for row in comparison.rows if row.rounding and row.rounding != "rtn"}):
        notes.append(
            gettext("Rounding: {names}; the published tables round to nearest.", names=gettext(", ").join(labels))
        )
    if any("demo" in source for source in comparison.data):
        notes.append(_bundle(comparison))
    if comparison.repeated:
        notes.append(gettext("The same in several studies, shown once: {names}.", names=comparison.repeated))
    for number, apart in enumerate(comparison.set_apart[1:], start=1):
        names = [translate(row.title) for row in comparison.rows if row.group == number]
        notes.append(gettext("Not compared: {names} ({reason}).", names=gettext(", ").join(names), reason=apart))
    failed = [translate(row.title) for row in comparison.rows if row.error]
    if failed:
        notes.append(gettext("Failed and left out: {names}.", names=gettext(", ").join(failed)))
    return tuple(notes)


MOST_NOISE_ROWS = 6
"""Rows whose numerical noise a caveat lists one by one; the charts and CSV have all."""


def noise_notes(comparison: Comparison) -> list[str]:
    """What another compute dtype changes of each row, and which differences are no larger than that."""
    measured = [row for row in comparison.rows if row.noise and row.group == 0]
    notes = []
    for pair in dict.fromkeys((row.noise.dtype, row.noise.other_dtype) for row in measured if row.noise):
        rows = [row for row in measured if row.noise and (row.noise.dtype, row.noise.other_dtype) == pair]
        text = gettext_noop(
            "Numerical noise: computed in {other} instead of {dtype}, the same weights give other answers: {changes}."
        )
        changes = gettext("; ").join(_all_changes(rows))
        notes.append(gettext(text, other=pair[1], dtype=pair[0], changes=changes))
    if names := [translate(row.title) for row in measured if is_within_noise(row, comparison)]:
        text = gettext_noop("Differences from BF16 inside it, so numerical and not damage: {names}.")
        notes.append(gettext(text, names=gettext(", ").join(names)))
    return notes


def is_within_noise(row: Row, comparison: Comparison) -> bool:
    """The row's difference from the original is one that computing makes by itself."""
    original, found = comparison.baseline, row.versus_bf16
    return bool(original and found and row.group == 0 and is_numerical(row, original, found.difference))


def _all_changes(rows: list[Row]) -> list[str]:
    """What changes of each row; of many, of those with the least and the most."""
    measured = [(row, row.noise) for row in rows if row.noise]
    if len(measured) <= MOST_NOISE_ROWS:
        return [_changes(*each) for each in measured]
    ordered = sorted(measured, key=lambda each: each[1].changed)
    between = gettext("the {n} others in between", n=len(ordered) - 2)
    return [_changes(*ordered[0]), _changes(*ordered[-1]), between]


def _changes(row: Row, noise: NoiseFloor) -> str:
    """`Uniform 11 of 48, ±1.9 points, KL 0.95`."""
    said = []
    if (half := half_width(row)) is not None:
        text = gettext_noop("{changed} of {n}, so ±{points} points of its average")
        said.append(gettext(text, changed=noise.changed, n=noise.questions, points=f"{100 * half:.1f}"))
    if noise.kl is not None:
        said.append(gettext("KL {kl}", kl=divergence(noise.kl)))
    listed = gettext(", ").join(said)
    return f"{translate(row.title)} {listed}"


FAITHFUL: Mapping[Faithful | None, str] = {
    Faithful.WEIGHTS: gettext_noop("weights only, dequantized"),
    Faithful.ACTIVATIONS: gettext_noop("weights and activations rounded"),
    Faithful.KERNEL: gettext_noop("real kernel"),
    None: gettext_noop("not quantized"),
}


def checkpoint_facts(found: CheckpointReport) -> str:
    """What a checkpoint is, whose, and what of it the scores contain: `GGUF Q4_K_M by org (licence mit), …`."""
    what = found.method or gettext("checkpoint")
    if found.author:
        what = gettext("{method} by {author}", method=what, author=found.author)
    if found.license:
        what = gettext("{what} (licence {license})", what=what, license=found.license)
    if found.base_model:
        what = gettext("{what}, made from {base}", what=what, base=found.base_model)
    return gettext("{what}, {faithful}", what=what, faithful=gettext(FAITHFUL[found.faithful]))


def _recording(comparison: Comparison) -> str:
    """When it was recorded, and on which machine."""
    when = f"{datetime.fromtimestamp(comparison.created):%Y-%m-%d}"
    machine = next((row.environment for row in comparison.rows if row.environment), None)
    if machine is None:
        return gettext("A recording, made by this app on {day}.", day=when)
    return gettext(
        "A recording, made by this app on {day} on another machine ({machine}).",
        day=when,
        machine=machine.device_name,
    )


def served_notes(row: Row) -> list[str]:
    """What is not known of a served row, and what it could not answer."""
    if not row.served:
        return []
    values = {"recipe": row.title, "model": row.served.model, "url": row.served.url}
    text = gettext_noop(
        "{recipe} is {model} at {url}: what weights it holds is not known, and speeds are as of that server. No KL "
        "divergence: a server does not tell the probabilities of the whole vocabulary."
    )
    notes = [gettext(text, **values)]
    if row.served.no_speeds:
        notes.append(gettext("{recipe}: no speed ({reason}).", recipe=row.title, reason=row.served.no_speeds))
    for reason in dict.fromkeys(map(translate, row.left_out.values())):
        tasks = [task for task, why in row.left_out.items() if translate(why) == reason]
        said = {"recipe": row.title, "tasks": gettext(", ").join(tasks), "reason": reason}
        notes.append(gettext("{recipe} did not answer {tasks}: {reason}.", **said))
    return notes


def _mappings(awq: AwqReport) -> str:
    """`60 mappings applied, 30 skipped (v_proj → o_proj)`: skipped ones by their kind."""
    kinds = dict.fromkeys(" → ".join(end.rpartition(".")[2] for end in name.split(" → ")) for name in awq.skipped)
    applied = ngettext("{n} mapping applied", "{n} mappings applied", len(awq.applied))
    if not kinds:
        return applied
    return gettext(
        "{applied}, {n} skipped ({kinds})", applied=applied, n=len(awq.skipped), kinds=gettext(", ").join(kinds)
    )


def _bundle(comparison: Comparison) -> str:
    """That the questions are the bundle's, and what makes scores on them differ from published ones."""
    notes = []
    if "lambada_openai" in comparison.study.tasks:
        notes.append(gettext("LAMBADA without its paragraph breaks"))
    if "gsm8k" in comparison.study.tasks:
        notes.append(gettext("GSM8K with other worked examples, so not its standard score"))
    if comparison.study.num_fewshot and NO_TRAINING_DATA & set(comparison.study.tasks):
        notes.append(gettext("few-shot examples from the validation questions"))
    if not notes:
        return gettext("Questions from the demo bundle.")
    return gettext("Questions from the demo bundle ({differences}).", differences=gettext(", ").join(notes))
