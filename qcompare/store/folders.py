"""A job's folder: the only link, besides the index, between a running job and those who watch it.

studies/<study id>/study.yaml, and for each job studies/<study id>/<job id>/ with

- log.txt: what the process printed
- events.jsonl: one `Progress` a line
- pulse.json: the newest `Pulse`
- result/: published by rename; result.json, samples.parquet, layers.json (recipes that score layers) and
  next_tokens.json (answers to prompts), or export.json of an export, and a seal over them
- lock: held by the process that works on the job
"""

import json
import os
import shutil
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from pydantic import ValidationError

from qcompare.errors import NotFound
from qcompare.store import seal
from qcompare.store.logs import read_since
from qcompare.store.moving import replace, replace_folder
from qcompare.study.json_lines import json_lines
from qcompare.study.layers import LayerScores
from qcompare.study.next_tokens import AnswerTokens, NextTokens
from qcompare.study.records import Progress, Pulse
from qcompare.study.result import SCHEMA_VERSION, ExportReport, Result

MAX_EVENT_BYTES = 4096


class JobFolder:
    """Files of one job."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self.log = path / "log.txt"
        self.events = path / "events.jsonl"
        self.pulse_file = path / "pulse.json"
        self.published = path / "result"
        self.result_file = self.published / "result.json"
        self.samples_file = self.published / "samples.parquet"
        self.layers_file = self.published / "layers.json"
        self.next_tokens_file = self.published / "next_tokens.json"
        self.export_file = self.published / "export.json"

    def progress(self) -> Progress | None:
        """The newest complete event, read from the end of the file."""
        for line in reversed(json_lines(_tail(self.events, MAX_EVENT_BYTES))):
            try:
                return Progress.model_validate_json(line)
            except ValidationError:
                continue  # a line cut by the window or still being written
        return None

    def report(self, progress: Progress) -> None:
        """Append an event."""
        with self.events.open("a", encoding="utf-8", newline="\n") as file:
            file.write(progress.model_dump_json() + "\n")

    def pulse(self) -> Pulse | None:
        """The newest sign of life."""
        try:
            return Pulse.model_validate_json(self.pulse_file.read_text(encoding="utf-8"))
        except (OSError, ValidationError):
            return None

    def beat(self, pulse: Pulse) -> None:
        """Give a sign of life."""
        draft = self.pulse_file.with_suffix(".draft")
        draft.write_text(pulse.model_dump_json(), encoding="utf-8")
        replace(draft, self.pulse_file)

    def log_tail(self, max_bytes: int = 16_000) -> str:
        """The end of the log, whole lines, carriage returns of progress bars resolved."""
        piece = read_since(self.log, 0, max_bytes)
        return piece.lines + piece.rest

    def result(self) -> Result:
        """The published result.

        Raises:
            NotFound: nothing is published yet, or by a newer qcompare.
        """
        try:
            values = json.loads(self.result_file.read_text(encoding="utf-8"))
        except FileNotFoundError:
            raise NotFound("job {job} has no result yet", job=self.path.name) from None
        except ValueError:
            raise NotFound(
                "job {job}: its result is damaged: resume it to compute it again", job=self.path.name
            ) from None
        version = values.get("schema_version")
        if version != SCHEMA_VERSION:
            raise NotFound(
                "job {job}: its result has schema version {version}, this qcompare reads {known}: "
                "install the version that wrote it",
                job=self.path.name,
                version=version,
                known=SCHEMA_VERSION,
            )
        return Result.model_validate(values)

    def export_report(self) -> ExportReport | None:
        """What came of writing a checkpoint; None until that is done."""
        try:
            return ExportReport.model_validate_json(self.export_file.read_text(encoding="utf-8"))
        except (OSError, ValidationError):
            return None

    def layer_scores(self) -> LayerScores | None:
        """How sensitive the model's layers are; None for recipes that do not score them, and for older results."""
        try:
            return LayerScores.model_validate_json(self.layers_file.read_text(encoding="utf-8"))
        except (OSError, ValidationError):
            return None

    def next_tokens(self) -> tuple[AnswerTokens, ...]:
        """How likely the tokens of its answers were; empty for older results, and those of a newer qcompare."""
        try:
            return NextTokens.model_validate_json(self.next_tokens_file.read_text(encoding="utf-8")).answers
        except (OSError, ValidationError):
            return ()

    @contextmanager
    def publish(self) -> Iterator[Path]:
        """A folder to write the result into; it becomes `result/` when the block ends without an error."""
        self.path.mkdir(parents=True, exist_ok=True)
        draft = Path(tempfile.mkdtemp(prefix=".draft-", dir=self.path))
        try:
            yield draft
            seal.seal(draft)
            replace_folder(draft, self.published)
        finally:
            shutil.rmtree(draft, ignore_errors=True)

    def damage(self) -> str | None:
        """What is wrong with the published result, in a few words; None when it is whole."""
        return seal.damage(self.published)

    def discard_result(self) -> None:
        """Remove the published result, and drafts that a dead process left."""
        for folder in (self.published, *self.path.glob(".draft-*/")):
            shutil.rmtree(folder, ignore_errors=True)

    def size_bytes(self) -> int:
        """Bytes of all files."""
        return folder_bytes(self.path)


def folder_bytes(folder: Path) -> int:
    """Bytes of all files below a folder; those that vanish while it is read do not count."""
    total = 0
    for path in folder.rglob("*"):
        try:
            total += path.stat().st_size if path.is_file() else 0
        except FileNotFoundError:
            continue
    return total


def _tail(path: Path, max_bytes: int) -> str:
    try:
        with path.open("rb") as file:
            size = file.seek(0, os.SEEK_END)
            file.seek(max(0, size - max_bytes))
            data = file.read(max_bytes)
    except FileNotFoundError:
        return ""
    if size > max_bytes:
        data = data[data.find(b"\n") + 1 :]
    return data.decode("utf-8", errors="replace")
