"""A comparison as text: `table` for the terminal, `md` and `latex` for papers, `csv` and `json` for programs."""

import csv
import io
from collections.abc import Callable

from qcompare.compare.noise import half_width
from qcompare.compare.statistics import PairedDifference, TaskDifference
from qcompare.compare.table import Comparison, Row
from qcompare.errors import QCompareError, unknown
from qcompare.present import numbers
from qcompare.present.answer import answer_lines
from qcompare.present.caveats import noise_notes, served_notes
from qcompare.present.markup import latex_table, markdown, markdown_table, one_line, plain_cell
from qcompare.study.ids import format_ids
from qcompare.study.records import Status
from qcompare.study.result import SERVER_BATCHES, TaskScore
from qcompare.study.task import short_name
from qcompare.words import gettext, gettext_noop, translate

TERMINAL_WIDTH = 240
"""Wide enough for a row of eight tasks: a table that wraps cannot be read or grepped."""
SPEEDS = ("prompt_tokens_per_second", "decode_tokens_per_second", "first_token_seconds")
CSV_COLUMNS = (
    *("study_id", "model", "recipe", "avg_bits_asked", "avg_bits", "avg_bits_with_scales", "bits_per_weight"),
    *("size_bytes", "status", "task", "metric", "value", "stderr", "n", "acc_norm", "acc_norm_stderr"),
    *("flexible", "flexible_stderr"),
    *(
        "percent_of_bf16",
        "diff_to_bf16",
        "diff_low",
        "diff_high",
        "lost",
        "gained",
        "p",
        "p_holm",
        "kl",
        "kl_stderr",
        "top1_agreement",
        "perplexity",
    ),
    "error",
    "server",
    *(f"{name}_at_{batch}" for batch in SERVER_BATCHES for name in SPEEDS),
    "kv_cache",
    *("noise_dtype", "noise_questions", "noise_changed", "noise_lost", "noise_gained", "noise_half_width"),
    *("noise_kl", "noise_kl_stderr", "noise_kl_shift"),
)


def render(comparison: Comparison, format: str) -> str:
    """The comparison as text, ending without a newline.

    Args:
        format: a key of `FORMATS`.

    Raises:
        QCompareError: there is no such format.
    """
    if format not in FORMATS:
        raise QCompareError(unknown(gettext_noop("format"), format, FORMATS))
    return FORMATS[format](comparison)


def _terminal(comparison: Comparison) -> str:
    from rich.box import SIMPLE_HEAD
    from rich.console import Console
    from rich.table import Table
    from rich.text import Text

    table = Table(box=SIMPLE_HEAD, title=_heading(comparison), title_justify="left", title_style="")
    header, *lines = _cells(comparison)
    for position, name in enumerate(header):
        table.add_column(name, justify="left" if position == 0 else "right", no_wrap=True)
    for line in lines:
        # Text, not str: a name in [brackets] is no markup.
        table.add_row(*(Text(cell) for cell in line))
    console = Console(file=io.StringIO(), width=TERMINAL_WIDTH, color_system=None, legacy_windows=False)
    console.print(table)
    text: str = console.file.getvalue()  # type: ignore[attr-defined]
    said = [*answer_lines(comparison), ""]
    return "\n".join([*said, *(line.rstrip() for line in text.rstrip().splitlines()), *problems(comparison)])


def _markdown(comparison: Comparison) -> str:
    header, *lines = _cells(comparison)
    notes = [markdown(problem) for problem in problems(comparison)]
    said = [markdown(" ".join(answer_lines(comparison)))]
    return "\n\n".join([markdown(_heading(comparison)), markdown_table(header, lines), *said, *notes])


def _csv(comparison: Comparison) -> str:
    out = io.StringIO()
    writer = csv.DictWriter(out, CSV_COLUMNS, lineterminator="\n")
    writer.writeheader()
    for row in comparison.rows:
        for line in _csv_lines(comparison, row):
            writer.writerow({name: plain_cell(value) for name, value in line.items()})
    return out.getvalue().rstrip("\n")


def _csv_lines(comparison: Comparison, row: Row) -> list[dict[str, object]]:
    paired = row.versus_bf16
    common: dict[str, object] = {
        "study_id": format_ids(comparison.study_ids),
        "model": comparison.study.model,
        "recipe": row.recipe,
        "avg_bits_asked": row.avg_bits,
        "avg_bits": row.bits and row.bits.achieved,
        "avg_bits_with_scales": row.bits and row.bits.achieved_with_scales,
        "bits_per_weight": row.bits_per_weight,
        "size_bytes": row.size_bytes,
        "status": row.status.value,
        "error": row.error,
        "server": row.served and row.served.url,
        "kv_cache": row.kv_cache,
    }
    per_task = [
        common | score.model_dump(include={*CSV_COLUMNS}) | _task_difference(row, score.task) for score in row.tasks
    ]
    average: dict[str, object] = {
        "task": "average",
        "metric": "acc",
        "value": row.average,
        "stderr": row.average_stderr,
        "n": sum(score.n for score in row.tasks if score.averaged) or None,
        "percent_of_bf16": row.percent_of_bf16,
        "diff_to_bf16": paired and paired.difference,
        "diff_low": paired and paired.low,
        "diff_high": paired and paired.high,
    }
    if paired:
        average |= paired.model_dump(include={"lost", "gained", "p", "p_holm"})
    if row.divergence:
        average |= row.divergence.model_dump(include={*CSV_COLUMNS})
    average |= _noise(row)
    if row.served:
        for speed in row.served.speeds:
            average |= {f"{name}_at_{speed.batch}": getattr(speed, name) for name in SPEEDS}
    return [*per_task, common | average]


def _noise(row: Row) -> dict[str, object]:
    """What another compute dtype changes; `noise_half_width` is of the average, as all differences are."""
    if row.noise is None:
        return {}
    found = {f"noise_{name}": value for name, value in row.noise.model_dump().items()}
    found |= {"noise_dtype": row.noise.other_dtype, "noise_half_width": half_width(row)}
    return {name: value for name, value in found.items() if name in CSV_COLUMNS}


def _task_difference(row: Row, task: str) -> dict[str, object]:
    if moved := row.metric(task):
        counts = {"lost": moved.worse, "gained": moved.better}
        return {"diff_to_bf16": moved.difference, "diff_low": moved.low, "diff_high": moved.high, **counts} | (
            moved.model_dump(include={"p", "p_holm"})
        )
    found = row.versus_bf16.task(task) if row.versus_bf16 else None
    if found is None:
        return {}
    return {"diff_to_bf16": found.difference, **found.model_dump(include={"lost", "gained", "p", "p_holm"})}


def _json(comparison: Comparison) -> str:
    return comparison.model_dump_json(indent=2)


def _heading(comparison: Comparison) -> str:
    model = comparison.model_title
    beside = {score.task for row in comparison.rows for score in row.tasks if not score.averaged}
    tasks = ", ".join(short_name(task) for task in comparison.study.tasks if task not in beside)
    if not tasks:
        return gettext("{model}: average accuracy across no tasks", model=model)
    return gettext("{model}: average accuracy across {tasks}", model=model, tasks=tasks)


def _cells(comparison: Comparison) -> list[list[str]]:
    """The table as text, header first."""
    tasks = comparison.study.tasks
    header = [
        gettext("Recipe"),
        gettext("Average"),
        gettext("vs BF16, points (95 %)"),
        gettext("lost/gained"),
        *map(short_name, tasks),
        "KL",
        gettext("Bits"),
        gettext("with scales"),
        gettext("Size"),
    ]
    if served := any(row.served for row in comparison.rows):
        at = " / ".join(map(str, SERVER_BATCHES))
        header += [
            gettext("prompt tokens/s of the server at {n}", n=at),
            gettext("decode tokens/s at {n}", n=at),
            gettext("first token at {n}", n=at),
        ]
    return [header, *(_line(row, tasks, served) for row in comparison.rows)]


def _line(row: Row, tasks: tuple[str, ...], served: bool) -> list[str]:
    if row.environment is None and row.status is not Status.SUCCESS:
        missing = len(tasks) + 6 + served * len(SPEEDS)
        return [translate(row.title), gettext(row.status.value), *[numbers.MISSING] * missing]
    scores = (row.task(task) for task in tasks)
    return [
        translate(row.title),
        numbers.score_with_percent(row.average, row.percent_of_bf16),
        difference(row.versus_bf16),
        flips(row.versus_bf16),
        *(_score(s) for s in scores),
        numbers.divergence(row.divergence.kl if row.divergence else None),
        numbers.bits(row.bits.achieved if row.bits else None),
        numbers.bits(row.bits.achieved_with_scales if row.bits else None),
        numbers.size(row.size_bytes),
        *(_speed(row, name) for name in SPEEDS if served),
    ]


def _speed(row: Row, name: str) -> str:
    """A speed of a row's server, one a batch size: `123 / 456`."""
    if row.served is None:
        return numbers.MISSING
    shown = numbers.latency if name.endswith("seconds") else numbers.rate
    speeds = [row.served.speed(batch) for batch in SERVER_BATCHES]
    return " / ".join(shown(getattr(speed, name) if speed else None) for speed in speeds)


def _score(found: TaskScore | None) -> str:
    if found is None or found.averaged:
        return numbers.score_with_error(found.value, found.stderr) if found else numbers.MISSING
    return (
        numbers.metric(found) if found.stderr is None else f"{numbers.metric(found)} ± {numbers.metric_error(found)}"
    )


def difference(paired: PairedDifference | None) -> str:
    """A paired difference in points: `−2.2 [−2.9, −1.5]`."""
    if paired is None:
        return numbers.MISSING
    return f"{numbers.points(paired.difference)} [{numbers.points(paired.low)}, {numbers.points(paired.high)}]"


def flips(paired: PairedDifference | TaskDifference | None) -> str:
    """Questions lost and gained: `−14 +3`."""
    return numbers.MISSING if paired is None else f"{numbers.MINUS}{paired.lost} +{paired.gained}"


def problems(comparison: Comparison) -> list[str]:
    """What failed, could not be compared, stands apart, or is numerical, a line each."""
    failed = [
        numbers.named(f"{translate(row.title)} {gettext(row.status.value)}", translate(row.error))
        for row in comparison.rows
        if row.error
    ]
    unpaired = [
        numbers.named(translate(row.title), translate(row.unpaired_because))
        for row in comparison.rows
        if row.unpaired_because
    ]
    apart = [
        gettext(
            "{recipe} is not compared with the others: {reason}",
            recipe=row.title,
            reason=comparison.set_apart[row.group],
        )
        for row in comparison.rows
        if row.group
    ]
    served = [note for row in comparison.rows for note in served_notes(row)]
    return failed + unpaired + apart + served + noise_notes(comparison)


def _latex(comparison: Comparison) -> str:
    """Needs the booktabs package."""
    header, *lines = _cells(comparison)
    notes = [f"% {one_line(problem)}" for problem in problems(comparison)]
    return "\n".join([*notes, latex_table(header, lines), f"% {one_line(_heading(comparison))}"])


FORMATS: dict[str, Callable[[Comparison], str]] = {
    "table": _terminal,
    "json": _json,
    "csv": _csv,
    "md": _markdown,
    "latex": _latex,
}
"""Formats of `show`."""
