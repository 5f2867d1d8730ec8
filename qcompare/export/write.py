"""A measured recipe as a real checkpoint: written, loaded again in a fresh process, compared, and only then done.

Everything is written beside the target and renamed onto it at the end: what stops an export leaves nothing that looks
done.
"""

import errno
import json
import os
import shutil
import subprocess
import sys
import time
from collections.abc import Callable
from contextlib import AbstractContextManager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from qcompare.errors import JobError
from qcompare.export.gguf import GgufExport
from qcompare.export.model_card import model_card
from qcompare.export.pack import check_experts, check_format
from qcompare.export.target import check_target, draft_of, remove_draft
from qcompare.formats.bits import count
from qcompare.models.config import read_config
from qcompare.models.facts import ModelFacts
from qcompare.recipes.base import Recipe
from qcompare.recipes.groups import torn_groups
from qcompare.recipes.lab import Lab, stored_size
from qcompare.settings import Settings
from qcompare.store import Store
from qcompare.store.moving import replace
from qcompare.study.records import ExportRequest, Job
from qcompare.study.result import ExportReport, Result
from qcompare.study.spec import Study
from qcompare.study.stage import Stage

PROMPT = "The capital of France is Paris, and it is famous for the Eiffel Tower, its museums and its food."
SAME = 0.9
"""Share of the prompt's next words that must be the same after reloading."""


@dataclass(frozen=True)
class Compared:
    """Two models' logits of one prompt."""

    max: float
    """Largest difference."""
    mean: float
    same: float
    """Share of places with the same most likely next token."""

    @classmethod
    def of(cls, ours: Any, theirs: Any) -> "Compared":
        """Compare arrays of shape (tokens, vocabulary); rows of the embedding past the last token may be left out."""
        size = min(ours.shape[1], theirs.shape[1])
        ours, theirs = ours[:, :size], theirs[:, :size]
        difference = abs(ours - theirs)
        same = (ours.argmax(-1) == theirs.argmax(-1)).mean()
        return cls(float(difference.max()), float(difference.mean()), float(same))


EnterStage = Callable[[Stage], AbstractContextManager[object]]


class Export:
    """The steps of one export."""

    def __init__(
        self, store: Store, study: Study, job: Job, request: ExportRequest, settings: Settings, stage: EnterStage
    ) -> None:
        """
        Args:
            job: that writes it.
            stage: enters a stage for the time of its block.
        """
        from qcompare.models.machine import avoid_attention_plans, pick_device, pick_dtype

        self.store, self.job, self.settings, self._stage = store, job, settings, stage
        self.request, self.format, self.target = request, request.format, Path(request.folder)
        self.study = study.model_copy(update={"shared_layers": True}) if request.fused else study
        self.measured_folder = store.folder(request.job_id)
        self.measured: Result = self.measured_folder.result()
        self.config = self.measured.layer_config
        avoid_attention_plans()
        self.device = pick_device(settings.device, job.device)
        # compressed-tensors keeps MX layers in bfloat16; everything else is compared in the dtype it was measured in
        self.dtype = "bfloat16" if self.format == "llm_compressor" else pick_dtype(self.device, settings.dtype)
        recipe = job.recipe_spec
        assert isinstance(recipe, Recipe)
        self.lab = Lab(self.study, recipe, job.avg_bits, settings, self.device, self.dtype, self.target.parent)
        self.study = self.lab.study
        self.started = time.monotonic()

    def run(self) -> ExportReport:
        """All steps; the target exists when this returns.

        Raises:
            QCompareError: it cannot be done, or the checkpoint is not what was measured. No target is left.
        """
        check_format(self.config, self.format, written=bool(self.lab.recipe.writes))
        check_target(self.target, self.measured.size_bytes or 0)
        remove_draft(self.request)
        draft = draft_of(self.request)
        draft.mkdir()
        try:
            report = self._write(draft / "checkpoint", draft)
            if self.target.exists():
                self.target.rmdir()  # empty, as checked
            replace(draft / "checkpoint", self.target)
        except Exception as error:
            if _disk_is_full(error):
                raise JobError(
                    "the disk of {folder} is full: free some space; nothing was kept", folder=self.target
                ) from error
            raise
        finally:
            remove_draft(self.request)
        return report

    def _write(self, folder: Path, work: Path) -> ExportReport:
        with self._stage(Stage.FETCHING):
            self.lab.fetch()
            check_experts(self.lab.facts, self.format)
            if self.format == "gguf":
                self._gguf.check()
        facts = self.lab.facts
        if self.lab.local.revision != self.measured.model.revision:
            raise JobError(
                "{model} has changed since it was measured: run the study again, then export", model=facts.title
            )
        if self.study.shared_layers and torn_groups(facts.layers, self.config):
            with self._stage(Stage.FUSING):
                self.config = self.lab.recipe.choose(self.lab)
        with self._stage(Stage.MEASURED):
            expected = self._expected(work)
        with self._stage(Stage.WRITING):
            self._pack(folder)
        with self._stage(Stage.RELOADING):
            report = self._reloaded(folder, work, expected, facts)
        with self._stage(Stage.CARD):
            self._document(folder, report, facts)
        return report

    def _expected(self, work: Path) -> dict[str, Any]:
        """Logits of the prompt by the model as it was measured, and with its weights rounded only; by file name."""
        from qcompare.export.reload import prompt_logits
        from qcompare.quantize.simulate import simulate

        if self.lab.recipe.writes:
            return {}  # it was measured from the checkpoint itself
        config = self.config
        model, tokenizer = self.lab.load()
        model, tokenizer = self.lab.quantize(model, tokenizer, config)
        found = {"reloaded.npy": prompt_logits(model, tokenizer, PROMPT)}
        if self.format == "llm_compressor" and self.study.rounding == "rtn":
            model, _ = self.lab.load()
            simulate(model, config, activations=False)
            found["reloaded-weights.npy"] = prompt_logits(model, tokenizer, PROMPT)
        return found

    def _pack(self, folder: Path) -> None:
        from qcompare.export.pack import pack, packed_by_auto_round
        from qcompare.models.sources import load
        from qcompare.quantize.fp8 import write_compressed
        from qcompare.quantize.simulate import simulate

        if self.lab.recipe.writes:
            kept = self.measured_folder.path / "checkpoint"
            if not kept.is_dir():
                raise JobError(
                    "the checkpoint of {job} was removed: run the study again, then export", job=self.measured.job_id
                )
            shutil.copytree(kept, folder)
            return
        if self.format == "gguf":
            folder.mkdir()
            self._gguf.write(folder / self._gguf.file_name)
            return
        model, tokenizer = load(self.lab.local, self.device, self._packed_dtype, self.settings, False)
        if packed_by_auto_round(self.config):
            pack(model, tokenizer, self.config, self.lab.rounding(self.config), self.format, folder, self.device)
            return
        rows = self.lab.calibration_rows(tokenizer) if self.lab.calibrated(self.config) else None
        simulate(model, self.config, activations=False)  # as measured; llm-compressor then finds little to round
        write_compressed(model, tokenizer, self.config, folder, rows=rows)

    @property
    def _packed_dtype(self) -> str:
        """In float32 nothing of the stored weights is lost, nor in their own dtype, which widens no other layers."""
        config = read_config(self.lab.local.path / "config.json")
        stored = str(config.get("dtype") or config.get("torch_dtype") or self.dtype)
        return stored if self.dtype == "float32" else self.dtype

    @property
    def _gguf(self) -> GgufExport:
        return GgufExport(self.lab.local.path, self.lab.facts, self.config, self._packed_dtype, self.device)

    def _reloaded(self, folder: Path, work: Path, expected: dict[str, Any], facts: ModelFacts) -> ExportReport:
        import numpy

        found = self._in_a_fresh_process(folder, work)
        self._check_layers(found["layers"])
        compared = {name: Compared.of(numpy.load(work / name), logits) for name, logits in expected.items()}
        # where the loader rounds activations by a rule of its own, the weights alone must agree
        decisive = compared.get("reloaded-weights.npy", compared.get("reloaded.npy", Compared(0.0, 0.0, 1.0)))
        if not decisive.same >= SAME:
            raise JobError(
                "the checkpoint is not what was measured: logits differ by {mean} on average, the same next word in "
                "{same} % of places; nothing was kept",
                mean=f"{decisive.mean:.3g}",
                same=f"{100 * decisive.same:.0f}",
            )
        whole, weights = compared.get("reloaded.npy", decisive), compared.get("reloaded-weights.npy")
        size = stored_size(folder)
        return ExportReport(
            format=self.format,
            folder=str(self.target),
            layers=len(found["layers"]),
            size_bytes=size,
            bits_per_weight=8 * size / facts.num_params,
            max_difference=whole.max,
            mean_difference=whole.mean,
            top1_agreement=whole.same,
            weights_difference=weights.max if weights else None,
            dtype=found["dtype"],
            prompt=PROMPT,
            text=found["text"],
            seconds=time.monotonic() - self.started,
        )

    def _in_a_fresh_process(self, folder: Path, work: Path) -> dict[str, Any]:
        (work / "prompt.txt").write_text(PROMPT, encoding="utf-8")
        words = [str(folder), self.study.model, self.device, self.dtype, str(work / "prompt.txt")]
        done = subprocess.run(
            [sys.executable, "-m", "qcompare.export.reload", *words, str(work / "reloaded")],
            env=os.environ | self.settings.environment() | {"PYTHONUTF8": "1"}, cwd=work, capture_output=True,
            encoding="utf-8", errors="replace",
        )  # fmt: skip
        print(done.stdout, done.stderr, sep="\n", flush=True)
        if done.returncode:
            last = (done.stderr.strip().splitlines() or [f"exit code {done.returncode}"])[-1]
            raise JobError("the checkpoint cannot be loaded again: {reason}; nothing was kept", reason=last[:300])
        values: dict[str, Any] = json.loads((work / "reloaded.json").read_text(encoding="utf-8"))
        return values

    def _check_layers(self, names: list[str]) -> None:
        from qcompare.study.formats import quantized

        wanted = set(quantized(self.config))
        if missing := sorted(wanted - set(names)):
            raise JobError(
                "{n} of {total} layers are not quantized in the checkpoint, such as {layer}; nothing was kept",
                n=len(missing),
                total=len(wanted),
                layer=missing[0],
            )

    def _document(self, folder: Path, report: ExportReport, facts: ModelFacts) -> None:
        exported = self.measured.model_copy(
            update={"layer_config": self.config, "bits": count(facts.layers, self.config, self.job.avg_bits)}
        )
        changed = sum(self.measured.layer_config.get(name) != scheme for name, scheme in self.config.items())
        fits = not torn_groups(facts.layers, self.config)
        (folder / "README.md").write_text(model_card(exported, facts.layers, report, fits, changed), encoding="utf-8")
        (folder / "study.yaml").write_text(self.study.to_yaml(), encoding="utf-8")


def _disk_is_full(error: BaseException | None) -> bool:
    """It, or what led to it, says so; libraries wrap the system's error, and the reloading process only prints it."""
    while error is not None:
        if getattr(error, "errno", None) in (errno.ENOSPC, errno.EDQUOT) or "no space left" in str(error).lower():
            return True
        error = error.__cause__ or error.__context__
    return False
