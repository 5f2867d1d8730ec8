"""The command line: thin views over the same functions as the screen.

Exit codes: 0 all jobs succeeded, 1 some failed, 2 the request is invalid (one line on stderr, no traceback), 3 a
condition of `run --fail-on` is met.
"""

import io
import os
import sqlite3
import sys
import time
from collections.abc import Sequence
from enum import StrEnum
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer
from typer.exceptions import TyperException

from qcompare.cli.jobs import StudyId
from qcompare.cli.jobs import commands as job_commands
from qcompare.cli.library import commands as library_commands
from qcompare.errors import QCompareError
from qcompare.settings import Settings
from qcompare.store import Store
from qcompare.study.ids import StudyIds, format_ids, parse_ids
from qcompare.study.reading import load_studies
from qcompare.study.records import Status, StudyRecord
from qcompare.study.spec import Study

if TYPE_CHECKING:
    from qcompare.compare.fail_on import Condition

app = typer.Typer(
    help="Compare quantized language models.",
    invoke_without_command=True,
    add_completion=False,
    pretty_exceptions_enable=False,
)

app.add_typer(job_commands)
app.add_typer(library_commands)
StudyFile = Annotated[Path, typer.Argument(help="A study file (YAML).", show_default=False)]
Model = Annotated[str | None, typer.Option(help="Compare this model instead of the file's.")]


@app.callback()
def settings_from_options(
    ctx: typer.Context,
    home: Annotated[Path | None, typer.Option(help="Folder that holds all state.")] = None,
    device: Annotated[str | None, typer.Option(help="auto, cpu, cuda, cuda:N, xpu, xpu:N or mps.")] = None,
    dtype: Annotated[str | None, typer.Option(help="auto, float32, bfloat16 or float16.")] = None,
    offline: Annotated[bool | None, typer.Option("--offline", help="Never ask a hub.")] = None,
    trust_remote_code: Annotated[
        bool | None, typer.Option("--trust-remote-code", help="Let models run code that they bring along.")
    ] = None,
    allow_unsafe_weights: Annotated[
        bool | None, typer.Option("--allow-unsafe-weights", help="Load pickled weights, which can run code.")
    ] = None,
) -> None:
    """Compare quantized language models."""
    if ctx.invoked_subcommand is None:
        print(ctx.get_help())
    ctx.obj = Settings.read(
        home=home,
        device=device,
        dtype=dtype,
        offline=offline,
        trust_remote_code=trust_remote_code,
        allow_unsafe_weights=allow_unsafe_weights,
    )
    # study files are read without settings: the tasks that they name are found there
    os.environ["QCOMPARE_HOME"] = str(ctx.obj.home)


class OutputFormat(StrEnum):
    """For people, or for programs: one JSON document a line, as REST gives it."""

    TEXT = "text"
    JSON = "json"


Format = Annotated[OutputFormat, typer.Option(help="text, or json as REST gives it.")]
Anyway = Annotated[bool, typer.Option("--anyway", help="Also when it does not seem to fit this machine.")]


@app.command()
def run(
    ctx: typer.Context,
    study_file: StudyFile,
    model: Model = None,
    anyway: Anyway = False,
    fail_on: Annotated[
        list[str] | None,
        typer.Option(help="Exit code 3 where this holds: 'best < 97% of bf16', 'mixed kl > 0.5'. May be repeated."),
    ] = None,
) -> None:
    """Run a study in the foreground, to the end, and print its table; one for each model of the file."""
    from qcompare.compare.fail_on import parse_condition

    conditions = [parse_condition(text) for text in fail_on or ()]
    _run(load_studies(study_file, model), ctx.obj, anyway, conditions)


@app.command("app")
def open_app(
    ctx: typer.Context,
    browser: Annotated[
        bool | None,
        typer.Option("--browser/--no-browser", help="Open a browser on it. Default: where somebody sits at it."),
    ] = None,
    desktop: Annotated[bool, typer.Option("--desktop", help="Open it in a window of its own (pywebview).")] = False,
    port: Annotated[
        int | None, typer.Option(min=1, max=65535, help="Default: 7860, or the next one that is free.")
    ] = None,
) -> None:
    """Open the app and serve it until interrupted; one that is open already for this home is brought up."""
    from qcompare.ui.desktop import start_in_window
    from qcompare.ui.start import start

    settings = ctx.obj if port is None else ctx.obj.model_copy(update={"port": port})
    if desktop:
        start_in_window(settings)
    else:
        start(settings, browser)


@app.command()
def demo(ctx: typer.Context) -> None:
    """Run the demo study (SmolLM2-135M, five recipes) and print its table."""
    _run([Study()], ctx.obj)


@app.command()
def submit(
    ctx: typer.Context,
    study_file: StudyFile,
    model: Model = None,
    anyway: Anyway = False,
    format: Format = OutputFormat.TEXT,
) -> None:
    """Queue a study, print its id and return at once; one for each model of the file."""
    for record in _submit(load_studies(study_file, model), ctx.obj, anyway):
        if format is OutputFormat.JSON:
            from qcompare.api import submitted

            print(submitted(Store(ctx.obj.home), record).model_dump_json())
        else:
            print(record.id)


@app.command()
def plan(
    ctx: typer.Context,
    study_file: StudyFile,
    model: Model = None,
    curve: Annotated[
        bool, typer.Option("--curve", help="Print size and predicted loss of every budget instead, as CSV.")
    ] = False,
    format: Format = OutputFormat.TEXT,
) -> None:
    """Check a study and print what it would do; nothing runs."""
    if format is OutputFormat.JSON:
        from qcompare.api import plan_document

        for study in load_studies(study_file, model):
            print(plan_document(study, ctx.obj).model_dump_json())
        return
    from rich.console import Console

    from qcompare.cli.terminal import curve_lines, plan_table, question_lines
    from qcompare.plan.plan import make_plan
    from qcompare.plan.preflight import notes, problems

    # a file or pipe has no width: nothing is cut there
    console = Console(width=None if sys.stdout.isatty() else 140)
    for study in load_studies(study_file, model):
        found = make_plan(study, ctx.obj)
        if curve:
            for line in curve_lines(study, ctx.obj):
                print(line)
            continue
        console.print(plan_table(found))
        for line in question_lines(study, ctx.obj):
            print(line)
        for note in notes(found, ctx.obj):
            print(f"note: {note}")
        for problem in problems(found, ctx.obj):
            print(f"does not fit: {problem}")


@app.command("list")
def list_studies(
    ctx: typer.Context,
    search: Annotated[str, typer.Option(help="Words in the name, model, recipes or tags.")] = "",
    tag: Annotated[str, typer.Option(help="Only studies with this tag.")] = "",
    status: Annotated[Status | None, typer.Option(help="Only studies in this state.")] = None,
) -> None:
    """List studies, newest first."""
    from qcompare.cli.terminal import inert

    studies = Store(ctx.obj.home).search(search, status, tag)
    for study in studies:
        tags = f"  [{', '.join(study.tags)}]" if study.tags else ""
        print(inert(f"{study.id}  {study.status:<9}  {_when(study.created)}  {study.name}{tags}"))
    if not studies and (search or tag or status):
        print("No study matches.", file=sys.stderr)
    elif not studies:
        print("No studies yet: 'python -m qcompare demo' runs the first.", file=sys.stderr)


@app.command()
def status(
    ctx: typer.Context,
    study_id: StudyId,
    format: Format = OutputFormat.TEXT,
    since: Annotated[str, typer.Option(help="With json: the cursor of an earlier answer.")] = "",
) -> None:
    """Show where a study's jobs stand."""
    if format is OutputFormat.JSON:
        from qcompare.api import status as status_document

        print(status_document(Store(ctx.obj.home), study_id, since).model_dump_json())
        return
    from qcompare.cli.terminal import inert, progress_line
    from qcompare.present.job_progress import read_job_progress

    store = Store(ctx.obj.home)
    study = store.study(study_id)
    print(inert(f"{study.id}  {study.status}  {study.name}"))
    for progress in read_job_progress(store, study.id):
        print("  " + progress_line(progress))


@app.command()
def verdict(
    ctx: typer.Context,
    study_ids: Annotated[list[str], typer.Argument(metavar="ID...", help="Ids of studies, or their beginnings.")],
    format: Format = OutputFormat.TEXT,
) -> None:
    """Say in sentences what a study shows."""
    from qcompare.api import verdict_document
    from qcompare.compare.table import read_comparison

    found = verdict_document(read_comparison(Store(ctx.obj.home), parse_ids(format_ids(tuple(study_ids)))))
    print(found.model_dump_json() if format is OutputFormat.JSON else " ".join((found.claim, *found.details)))


@app.command()
def show(
    ctx: typer.Context,
    study_ids: Annotated[list[str], typer.Argument(metavar="ID...", help="Ids of studies, or their beginnings.")],
    format: Annotated[
        str, typer.Option(help="table, json, csv, md, latex, html, published_md or _latex; lm_eval (needs --out).")
    ] = "table",
    out: Annotated[Path | None, typer.Option(help="Folder for lm-eval's results_*.json and samples_*.jsonl.")] = None,
) -> None:
    """Print a study's results, or those of several studies of one model side by side."""
    store, ids = Store(ctx.obj.home), parse_ids(format_ids(tuple(study_ids)))
    if format != "lm_eval":
        _show(store, ids, format)
    elif out is None:
        raise QCompareError("lm_eval: these are several files: give a folder with --out")
    else:
        from qcompare.present.lm_eval import write_lm_eval

        for path in write_lm_eval(store, ids, out):
            print(path)


@app.command()
def export(
    ctx: typer.Context,
    study_id: StudyId,
    recipe: Annotated[str, typer.Argument(help="mixed, or mixed-5 where a study has several budgets.")],
    out: Annotated[Path, typer.Option(help="Folder for the checkpoint; must not exist yet, or be empty.")],
    format: Annotated[str, typer.Option(help="auto_round, llm_compressor or gguf.")] = "auto_round",
    vllm: Annotated[
        bool, typer.Option("--vllm", help="For vLLM: one scheme for layers that it fuses, within the same budget.")
    ] = False,
    push: Annotated[
        str | None, typer.Option(metavar="ORG/NAME", help="Then upload it to the hub with your token (HF_TOKEN).")
    ] = None,
) -> None:
    """Write a measured recipe as a real checkpoint, load it again and compare."""
    from qcompare.cli.terminal import export_summary, watch_export
    from qcompare.export.push import check_name, push_folder, read_token
    from qcompare.jobs.executors.background import watch_over
    from qcompare.jobs.exports import find_job, queue_export

    token = read_token(push, _ask_unseen) if push and check_name(push) else None
    store = Store(ctx.obj.home)
    job = find_job(store, study_id, recipe)
    queue_export(store, job, format, out, ctx.obj, fused=vllm)
    watch_over(ctx.obj)
    for line in watch_export(store, job.id, format):
        print(line, file=sys.stderr, flush=True)
    text, done = export_summary(store, job.id, format)
    print(text)
    if done and push and token:
        print(push_folder(out, push, token))
    raise typer.Exit(0 if done else 1)


@app.command()
def doctor(
    ctx: typer.Context,
    executor: Annotated[
        str | None, typer.Option(help="Check instead what runs jobs: local, ray, slurm, hf; its cluster and a node.")
    ] = None,
) -> None:
    """Check this machine: device, dtype, compiler, disk, hub, demo bundle."""
    from qcompare.jobs.executors import EXECUTORS
    from qcompare.plan.doctor import findings

    healthy = True
    found = EXECUTORS[executor](Store(ctx.obj.home), ctx.obj).check() if executor else findings(ctx.obj)
    for finding in found:
        healthy &= finding.ok
        print(f"{'ok  ' if finding.ok else 'FAIL'}  {finding.name:<12} {finding.text}")
    raise typer.Exit(0 if healthy else 1)


def _submit(studies: Sequence[Study], settings: Settings, anyway: bool) -> list[StudyRecord]:
    from qcompare.jobs.submit import submit as queue
    from qcompare.plan.plan import make_plan

    if len(studies) > 1:
        for study in studies:  # all or none
            make_plan(study, settings)
    return [queue(study, settings, anyway=anyway) for study in studies]


def _run(
    studies: Sequence[Study], settings: Settings, anyway: bool = False, conditions: "Sequence[Condition]" = ()
) -> None:
    from qcompare.cli.terminal import watch
    from qcompare.jobs.executors.background import watch_over

    records = _submit(studies, settings, anyway)
    store = Store(settings.home)
    watch_over(settings)
    for record in records:
        print(f"study {record.id}: {record.name}", file=sys.stderr)
        try:
            for line in watch(store, record.id):
                print(line, file=sys.stderr, flush=True)
        except KeyboardInterrupt:
            print(f"\nThe study goes on in the background: 'status {record.id}' shows it.", file=sys.stderr)
            raise typer.Exit(130) from None
        _show(store, (record.id,), "table")
    ok = all(store.study(record.id).status is Status.SUCCESS for record in records)
    met = [_summarize(store, record.id, conditions) for record in records]
    raise typer.Exit(1 if not ok else 3 if any(met) else 0)


def _summarize(store: Store, study_id: str, conditions: "Sequence[Condition]") -> bool:
    """Say which conditions are met, and write the summary of a CI job; gives whether any is."""
    from qcompare.compare.fail_on import holds
    from qcompare.compare.table import read_comparison
    from qcompare.present.summary import summary, summary_file, write_summary

    if not conditions and summary_file() is None:
        return False
    comparison = read_comparison(store, (study_id,))
    found = {condition: holds(condition, comparison) for condition in conditions} if comparison.scored else {}
    for condition, met in found.items():
        print(f"{'FAIL' if met else 'ok  '}  {condition.text}", file=sys.stderr)
    if summary_file() is not None:
        write_summary(summary(comparison, found))
    return any(found.values())


def _show(store: Store, study_ids: StudyIds, format: str) -> None:
    from qcompare.cli.terminal import inert
    from qcompare.compare.settings_diff import read_settings_diff
    from qcompare.present.settings_diff import settings_diff_lines
    from qcompare.present.take_away import as_text

    text = as_text(store, study_ids, format)
    if format == "table" and len(study_ids) > 1:
        text = "\n".join([text, "", *settings_diff_lines(read_settings_diff(store, study_ids))])
    print(inert(text) if sys.stdout.isatty() else text)


def _ask_unseen(text: str) -> str:
    return str(typer.prompt(text, hide_input=True))


def _when(moment: float) -> str:
    return time.strftime("%Y-%m-%d %H:%M", time.localtime(moment))


def _write_utf8() -> None:
    """On Windows a file or pipe is given the system's old encoding, which has few letters; a console is not."""
    for stream in (sys.stdout, sys.stderr):
        if sys.platform == "win32" and isinstance(stream, io.TextIOWrapper) and not stream.isatty():
            stream.reconfigure(encoding="utf-8", newline="\n")


def main() -> None:
    """Entry point: what is wrong becomes one line and exit code 2."""
    _write_utf8()
    try:
        sys.exit(app(standalone_mode=False))
    except TyperException as error:
        text = " ".join(error.format_message().split())
        print(f"qcompare: {text} ('python -m qcompare --help' shows what there is)", file=sys.stderr)
        sys.exit(2)
    except typer.Abort:
        sys.exit(1)
    except QCompareError as error:
        from qcompare.cli.terminal import inert
        from qcompare.study.secrets import redact

        print(f"qcompare: {inert(redact(str(error)))}", file=sys.stderr)
        sys.exit(2)
    except BrokenPipeError:
        sys.exit(0)
    except (OSError, sqlite3.Error) as error:  # a home that cannot be written, an index that is none, a full disk
        from qcompare.jobs.failures import explain

        print(f"qcompare: {explain(error).message}", file=sys.stderr)
        sys.exit(2)
