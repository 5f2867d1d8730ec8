"""What the command line prints while and before a study runs. `results.render` prints its outcome."""

import re
import time
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any

from qcompare.compare.selection import with_cache
from qcompare.errors import InvalidStudy
from qcompare.evaluate.tasks.questions import SUFFIXES, prepare
from qcompare.export.model_card import agreement
from qcompare.jobs.exports import export_state
from qcompare.models.devices import describe_device
from qcompare.models.sources import absolute
from qcompare.plan.curve import curves_of_studies
from qcompare.plan.plan import Plan, PlannedJob
from qcompare.present import numbers
from qcompare.present.job_progress import JobProgress, read_job_progress
from qcompare.settings import Settings
from qcompare.store import Store
from qcompare.study.records import Job, Range, Status
from qcompare.study.secrets import redact_bytes
from qcompare.study.spec import Study
from qcompare.words import verbatim

POLL_SECONDS = 0.5
LINE_EVERY_SECONDS = 10.0
CONTROL = re.compile(r"[\x00-\x08\x0b-\x1f\x7f-\x9f]")
"""All control characters but tabs and line breaks."""
CHUNK_BYTES = 1 << 16
PREVIEW_LETTERS = 600
"""Of a question, in a plan."""


def inert(text: str) -> str:
    """A text that a terminal only shows: what it would take for commands is written out.

    >>> inert("\x1b[2Jhidden\r\n")
    '␛[2Jhidden␍\\n'
    """
    return CONTROL.sub(lambda found: chr(0x2400 + ord(found[0])) if ord(found[0]) < 32 else "␡", text)


def plan_table(plan: Plan) -> Any:
    """A plan as a rich renderable: one row a job, totals below."""
    from rich.console import Group
    from rich.table import Table

    table = Table(
        "recipe", title=f"{plan.facts.title} on {_device(plan.device)}: {plan.questions} questions per recipe"
    )
    for heading in ("bits asked", "achieved", "with scales", "size", "memory", "time"):
        table.add_column(heading, justify="right")
    for job in plan.jobs:
        table.add_row(*_cells(job))
    low, high = plan.bit_range
    return Group(
        table,
        f"budgets from {low:g} to {high:g} bits can be reached",
        f"{time_range(plan.seconds)} in all, {numbers.size(plan.disk_bytes)} of disk; estimates from {plan.basis}",
    )


def _device(id: str) -> str:
    found = describe_device(id)
    return f"{found.label} ({found.name})" if found.name else found.label


def _cells(job: PlannedJob) -> tuple[str, ...]:
    return (
        str(with_cache(verbatim(job.recipe.row_title or job.recipe.name), job.recipe)),
        numbers.MISSING if job.avg_bits is None else f"{job.avg_bits:g}",
        f"{job.bits.achieved:.3f}" if job.bits else numbers.MISSING if job.recipe.served else "after scoring",
        numbers.MISSING if job.bits is None else f"{job.bits.achieved_with_scales:.3f}",
        numbers.size(job.size_bytes),
        size_range(job.cost.memory_bytes),
        time_range(job.cost.seconds),
    )


def curve_lines(study: Study, settings: Settings) -> Iterator[str]:
    """CSV: what every budget would give, by the layer scores that studies of the same model have stored.

    Raises:
        InvalidStudy: none has stored any.
    """
    store, model = Store(settings.home), absolute(study.model, settings)
    alike = [record.id for record in store.studies() if record.spec.model == model]
    wanted = {study.of_recipe(recipe).schemes for recipe in study.recipes if recipe.takes_budget}
    found = [curves for curves in curves_of_studies(store, alike, ()) if curves.schemes in wanted]
    if not found:
        raise InvalidStudy(
            "no layer scores of {model} for these schemes yet: run a study whose recipe scores layers", model=model
        )
    yield "schemes,scores,recipe,budget,avg_bits,size_bytes,predicted_loss"
    for each in found:
        for curve in each.curves:
            for budget, point in zip(each.budgets, curve.points, strict=True):
                name = f"{'+'.join(each.schemes)},{each.scorer},{curve.recipe}"
                yield f"{name},{budget:g},{point.avg_bits:.4f},{point.size_bytes},{point.predicted:.6g}"


def time_range(seconds: Range) -> str:
    """An estimated duration: "about 4 min (3 to 5 min)"."""
    return f"{numbers.about(seconds.likely)} ({numbers.span(seconds.low, seconds.high)})"


def size_range(num_bytes: Range) -> str:
    """An estimated size: "1.66 GB (1.48 to 1.86)"."""
    return f"{numbers.size(num_bytes.likely)} ({numbers.size(num_bytes.low)}–{numbers.size(num_bytes.high)})"


def progress_line(progress: JobProgress) -> str:
    """One line for a job: "Mixed · 5 bits     running    37%  1:02  hellaswag 40/100"."""
    fraction = f"{progress.fraction:4.0%}" if progress.status is Status.RUNNING else "    "
    words = progress.error or " · ".join(filter(None, [progress.words, progress.vitals]))
    if progress.status is Status.SUCCESS and progress.estimate:
        words += f"; estimated {numbers.clock(progress.estimate.seconds.likely)}"
    return inert(
        f"{progress.title:<18} {progress.status:<9} {fraction} {numbers.clock(progress.elapsed):>7}  {words}"
    )


def watch(store: Store, study_id: str) -> Iterator[str]:
    """Lines that tell how a study goes on, until all its jobs have ended."""
    said: dict[str, tuple[str, float]] = {}
    while True:
        jobs = read_job_progress(store, study_id)
        for progress in jobs:
            news = f"{progress.status} {progress.words.split(' ')[0]}"
            before, when = said.get(progress.job_id, ("", 0.0))
            stale = progress.status is Status.RUNNING and time.monotonic() - when > LINE_EVERY_SECONDS
            if (news != before or stale) and progress.status is not Status.QUEUED:
                said[progress.job_id] = (news, time.monotonic())
                yield progress_line(progress)
        if all(progress.status.ended for progress in jobs):
            return
        time.sleep(POLL_SECONDS)


def logs(store: Store, jobs: Iterable[Job], follow: bool) -> Iterator[str]:
    """Text of the logs of jobs, each after a header line."""
    for job in jobs:
        if follow or job.status is not Status.QUEUED:
            yield f"==> {job.id}\n"
            yield from _log(store, job, follow)


def _log(store: Store, job: Job, follow: bool) -> Iterator[str]:
    position = 0
    while True:
        ended = store.job(job.id).status.ended  # asked before reading: nothing is written after the end
        text, position = _read(store.folder(job.id).log, position)
        if text:
            yield text
        elif ended or not follow:
            return
        else:
            time.sleep(POLL_SECONDS)


def _read(path: Path, position: int) -> tuple[str, int]:
    try:
        with path.open("rb") as file:
            file.seek(position)
            data = file.read(CHUNK_BYTES)
    except FileNotFoundError:
        return "", position
    if cut := data.rfind(b"\n") + 1:  # whole lines, so that no token is cut in two
        data = data[:cut]
    return inert(redact_bytes(data).decode("utf-8", errors="replace")), position + len(data)


def watch_export(store: Store, job_id: str, format: str) -> Iterator[str]:
    """Lines that tell how an export goes on, until it has ended."""
    said = ""
    while (state := export_state(store, job_id, format)) and not state.status.ended:
        if state.stage != said:
            said = state.stage
            yield said
        time.sleep(POLL_SECONDS)


def export_summary(store: Store, job_id: str, format: str) -> tuple[str, bool]:
    """What an export came to, in words, and whether it succeeded."""
    state = export_state(store, job_id, format)
    if state is None or state.report is None:
        return f"export failed: {state.error if state and state.error else 'its process was killed'}", False
    done = state.report
    return inert(
        f"{done.folder}: {numbers.size(done.size_bytes)}, {done.bits_per_weight:.3f} bits per weight, "
        f"{done.layers} quantized layers\n"
        f"loaded again in {done.dtype}: logits differ from the measured model's by {agreement(done)}\n"
        f"“{done.prompt}” goes on with “{' '.join(done.text.split())}”\n"
        f"{numbers.about(done.seconds)} in all"
    ), True


def question_lines(study: Study, settings: Settings) -> Iterator[str]:
    """The first questions of each file of a study, as the model will see them."""
    for path in [Path(name) for name in study.tasks if name.lower().endswith(SUFFIXES)]:
        found = prepare(path, settings.home)
        yield f"{path.name}: {found.count} questions, as the model sees them, and the right answer:"
        for question in found.first:
            answer = f" [{question.answer.strip()}]" if question.answer else ""
            yield "    " + f"{question.prompt[:PREVIEW_LETTERS]}{answer}".replace("\n", "\n    ")
