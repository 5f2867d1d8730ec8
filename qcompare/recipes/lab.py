"""What a recipe may use to build a model: fetch, load, calibrate, score layers, quantize, measure.

Used by jobs and by exports. It keeps what later steps, and the result, need to know of how the model was built.
"""

from collections.abc import Callable, Iterable, Sequence
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any

from qcompare.demo.bundle import ensure_bundle
from qcompare.errors import JobError
from qcompare.formats.bits import count, layer_bits, stored_bytes
from qcompare.models.checkpoint import Checkpoint, fetch_checkpoint
from qcompare.models.environment import machine_identity
from qcompare.models.facts import LocalModel, ModelFacts
from qcompare.models.hub import hub_reachable
from qcompare.models.loading import turn_to_load
from qcompare.models.sources import describe, fetch, load
from qcompare.quantize.fp8 import write_compressed
from qcompare.quantize.input_maxima import input_maxima
from qcompare.quantize.reloaded import speed_up_reloaded
from qcompare.quantize.rounding import Rounding, round_in_memory
from qcompare.quantize.simulate import give_original_head, keep_original_head, simulate, take_original_head
from qcompare.recipes.autoscheme import Scoring, layer_losses
from qcompare.recipes.base import BuildContext, Recipe
from qcompare.recipes.bench import Bench
from qcompare.recipes.calibration import ULTRACHAT, calibration_text, check_local, token_rows
from qcompare.settings import Settings
from qcompare.store.cache import Cache, CacheKey, source_digest
from qcompare.study.formats import format_of
from qcompare.study.layers import LayerConfig, LayerLosses, LayerScores
from qcompare.study.result import AwqReport, Bits, CheckpointReport, Choice, Divergence
from qcompare.study.spec import Study

if TYPE_CHECKING:
    from qcompare.models.checkpoint_loading import Loaded

Report = Callable[[int, int], None]
"""Called with (steps done, steps in all)."""


class Lab:
    """One row of a study while its model is built."""

    local: LocalModel
    """The model's files, after `fetch`."""
    facts: ModelFacts
    """After `fetch`."""
    calibration_text: str | None = None
    """Text and amount that decided something, in words."""
    layer_scores: LayerScores | None = None
    """By what layers were chosen; recipes that score them only."""
    choice: Choice | None = None
    """What a recipe that measures configs found."""
    input_maxima: dict[str, float]
    """Largest absolute input of layers whose format calibrates them, after `quantize`."""
    awq: AwqReport | None = None
    checkpoint: Path | None = None
    """Folder of the compressed checkpoint that was written and that the model was loaded from; None for others."""
    other: Checkpoint | None = None
    """The checkpoint of somebody else that the row is, after `fetch`."""
    loaded: "Loaded | None" = None
    """The same as a model, after `load_checkpoint`."""

    def __init__(
        self,
        study: Study,
        recipe: Recipe,
        avg_bits: float | None,
        settings: Settings,
        device: str,
        dtype: str,
        folder: Path,
        cache: Cache | None = None,
    ) -> None:
        """
        Args:
            folder: of the job; a recipe that writes a checkpoint puts it there.
            cache: default: that of the home.
        """
        self.study = study.of_recipe(recipe)
        self.recipe, self.avg_bits = recipe, avg_bits
        self.settings, self.device, self.dtype, self.folder = settings, device, dtype, folder
        self.report: Report = lambda done, total: None
        self.cache = cache or Cache(settings.home / "kept")
        self.input_maxima = {}
        self._original: tuple[Any, Any] | None = None

    @property
    def context(self) -> BuildContext:
        """What is known of the row without its weights; after `fetch`."""
        return BuildContext(self.study, self.facts.layers, self.avg_bits, self.whole, self.settings)

    def fetch(self) -> None:
        """Bring the model's files to this machine."""
        self.local = fetch(self.study.model, self.settings, print)
        self.whole = describe(self.study.model, self.settings)
        self.facts = self.whole.of_study(self.study)
        self.recipe.fetch(self)

    def cache_key(self, kind: str, sources: Sequence[str], **inputs: Any) -> CacheKey:
        """The key of something computed from this model on this machine; after `fetch`.

        Args:
            kind: what is kept.
            sources: modules and packages of our own that compute it, by dotted names.
            inputs: what else it depends on.
        """
        return CacheKey(kind, self.local.revision, self._machine, source_digest(*sources), inputs)

    @cached_property
    def _machine(self) -> dict[str, Any]:
        """As it was before auto-round ran, which changes how torch computes."""
        return machine_identity(self.device, self.dtype, self.study.hub_kernels)

    def load(self) -> tuple[Any, Any]:
        """A fresh (model, tokenizer) of the original."""
        # loads torch
        from qcompare.evaluate.scoring.memory import return_freed_memory

        return_freed_memory()
        with turn_to_load(self.settings.home, self.whole.size_bytes):
            return load(self.local, self.device, self.dtype, self.settings, self.study.hub_kernels)

    def load_to_score(self) -> tuple[Any, Any]:
        """As `load`, for passes over text next: on a CPU, tensors on new pages take 1.5 × the time."""
        from qcompare.evaluate.scoring.memory import reuse_freed_memory  # loads torch

        loaded = self.load()
        reuse_freed_memory()
        return loaded

    def autoscheme_scores(self) -> LayerLosses:
        """auto-round's sensitivity of each layer at each scheme of the study, computed once per model and text."""
        dataset, has_head = self.calibration(), self.facts.lm_head in self.facts.layers

        def load_checked() -> tuple[Any, Any]:
            model, tokenizer = self.load_to_score()
            if has_head:
                keep_original_head(model, [model.get_output_embeddings()])
            check_local(dataset, self.study.calibration, tokenizer)
            return model, tokenizer

        return layer_losses(
            *(load_checked, self.study.schemes, self.scoring(dataset), self.device, self.cache, self.cache_key),
            self.report,
            has_head,
        )

    def scoring(self, dataset: str | None) -> Scoring:
        """How layers are scored on a text."""
        text = self.study.calibration
        return Scoring(dataset, text.num_samples, text.max_seq_length, self.study.seed)

    @cached_property
    def bench(self) -> Bench:
        """The model on which layers are scored and configs compared."""
        return Bench(self)

    def keep_scores(self, losses: LayerLosses, scorer: str, in_nats: bool) -> None:
        """Note by what layers are chosen, for the result.

        Args:
            scorer: a name in `recipes.scores.SCORERS`.
            in_nats: their sum predicts the KL divergence to the original.
        """
        counted = self.study.ignore_scale_zp_bits
        bits = {
            scheme: {layer.name: layer_bits(layer, scheme, counted) for layer in self.facts.layers}
            for scheme in self.study.schemes
        }
        self.layer_scores = LayerScores(
            losses=losses,
            bits=bits,
            scorer=scorer,
            in_nats=in_nats,
            layers=self.facts.layers,
            num_params=self.facts.num_stored_params,
        )

    def quantize(self, model: Any, tokenizer: Any, layer_config: LayerConfig) -> tuple[Any, Any]:
        """The (model, tokenizer) in these schemes, in memory, rounded as the study asks. The model is consumed."""
        if not layer_config:
            return model, tokenizer
        if self.study.rounding == "rtn":
            self.input_maxima = self._input_maxima(model, tokenizer, layer_config)
            simulate(model, layer_config, self.report, input_maxima=self.input_maxima)
            return model, tokenizer
        return round_in_memory(model, tokenizer, layer_config, self.rounding(), self.device, self.report), tokenizer

    def _input_maxima(self, model: Any, tokenizer: Any, layer_config: LayerConfig) -> dict[str, float]:
        """Of layers whose format calibrates the scale of their inputs."""
        names = self.calibrated(layer_config)
        return self.maxima_of_inputs(model, tokenizer, names) if names else {}

    def calibrated(self, layer_config: LayerConfig) -> list[str]:
        """Layers whose format calibrates the scale of their inputs."""
        formats = {name: format_of(scheme) for name, scheme in layer_config.items()}
        return [name for name, format in formats.items() if format and format.calibrates_inputs]

    def maxima_of_inputs(self, model: Any, tokenizer: Any, names: Iterable[str]) -> dict[str, float]:
        """Full layer name → largest absolute input on the calibration text."""
        return input_maxima(model, names, self.calibration_rows(tokenizer)["input_ids"])

    def calibration_rows(self, tokenizer: Any, whole: bool = True) -> Any:
        """Tokens of the calibration text (`recipes.calibration.token_rows`)."""
        return token_rows(self.calibration(ULTRACHAT), self.study.calibration, tokenizer, whole=whole)

    def rounding(self, layer_config: LayerConfig | None = None) -> Rounding:
        """How weights are rounded.

        Args:
            layer_config: what is to be packed, whose inputs auto-round may have to calibrate.
        """
        study = self.study
        return Rounding(
            kind=study.rounding,
            iters=study.iters,
            dataset=self.calibration() if study.rounding != "rtn" or self.calibrated(layer_config or {}) else None,
            num_samples=study.calibration.num_samples,
            max_seq_length=study.calibration.max_seq_length,
            seed=study.seed,
        )

    def compress(
        self, model: Any, tokenizer: Any, layer_config: LayerConfig, n_grid: int | None = None, gptq: bool = False
    ) -> tuple[Any, Any]:
        """The (model, tokenizer) of a checkpoint that llm-compressor wrote, loaded again. The model is consumed.

        Args:
            n_grid: scales that AWQ tries per mapping; None leaves AWQ out.
            gptq: round by GPTQ instead of to the nearest.
        """
        if self.device == "mps":
            raise JobError("{recipe}: llm-compressor is not run on MPS: set device to cpu", recipe=self.recipe.name)
        rows = None
        if n_grid or gptq:
            rows = self.calibration_rows(tokenizer, whole=False)
            total = sum(map(len, rows["input_ids"]))
            self.calibration_text = f"{self.calibration_text} at most per row, {total} in all"
        modules = dict(model.named_modules())
        keep_original_head(model, [modules[name] for name in layer_config])
        original = take_original_head(model)
        self.checkpoint = self.folder / "checkpoint"
        self.awq = write_compressed(
            model, tokenizer, layer_config, self.checkpoint, self.report, rows=rows, n_grid=n_grid, gptq=gptq
        )
        compressed = LocalModel(self.checkpoint, self.local.name, "folder", self.local.revision)
        loaded, tokenizer = load(compressed, self.device, self.dtype, self.settings, self.study.hub_kernels)
        speed_up_reloaded(loaded)
        if original:
            give_original_head(loaded, original)
        return loaded, tokenizer

    def fetch_checkpoint(self, source: str) -> None:
        """Bring a checkpoint that somebody made to this machine.

        Raises:
            ModelUnavailable: one line: not available, not loadable here, or of another model.
        """
        self.other = fetch_checkpoint(source, self.whole, self.settings, print)

    def load_checkpoint(self, model: Any, tokenizer: Any) -> tuple[Any, Any]:
        """The (model, tokenizer) of that checkpoint.

        Args:
            model: the study's; it is consumed.
            tokenizer: the study's; the row uses it too, where the checkpoint's splits text alike.
        """
        # loads torch
        from qcompare.models.checkpoint_loading import load_checkpoint

        assert self.other, "fetch_checkpoint comes first"
        model.get_decoder().to("meta")  # frees its memory; the output head is still needed, to compare with
        options = (self.device, self.dtype, self.settings, self.study.hub_kernels, self.report)
        self.loaded = load_checkpoint(self.other, self.local, tokenizer, *options)
        speed_up_reloaded(self.loaded.model)
        give_original_head(self.loaded.model, model.get_output_embeddings())
        return self.loaded.model, self.loaded.tokenizer

    @property
    def checkpoint_report(self) -> CheckpointReport | None:
        """What the row's checkpoint is; None where it is none that somebody made."""
        if self.other is None or self.loaded is None:
            return None
        return CheckpointReport(
            source=self.other.source.name,
            revision=self.other.revision,
            method=self.other.description,
            faithful=self.loaded.faithful,
            author=self.other.author,
            license=self.other.license,
            base_model=self.other.base_model,
            other_tokenizer=self.loaded.other_tokenizer,
        )

    def size_bytes(self, layer_config: LayerConfig) -> int:
        """Of all weights: of the files where the row is a checkpoint, else as they would be stored."""
        if self.other:
            return self.other.stored.size_bytes
        if self.checkpoint:
            return stored_size(self.checkpoint)
        return stored_bytes(self.facts.layers, layer_config, self.facts.num_stored_params)

    def bits(self, layer_config: LayerConfig) -> Bits:
        """Average bits of the linear layers, likewise."""
        if self.other and self.other.bits:
            return self.other.bits
        return count(self.facts.layers, layer_config, self.avg_bits)

    def divergence(self, model: Any) -> Divergence:
        """How far a quantized model's predictions are from the original's on the calibration text: for recipes that
        choose by measuring it. The text on which results are compared is another."""
        # loads torch
        from qcompare.evaluate.divergence import Passages, divergence, reference_states

        if self._original is None:
            original, tokenizer = self.load()
            rows = token_rows(self.calibration(), self.study.calibration, tokenizer)
            text = Passages(tuple(map(tuple, rows["input_ids"])), self.calibration_text or "")
            self._original = text, reference_states(original, text)
        text, states = self._original
        return divergence(model, states, text)

    def calibration(self, default: str = "auto-round's default text (pile-10k)") -> str | None:
        """The calibration data set for auto-round, None for its own default; noted in `calibration_text`.

        The demo bundle's text where there is no hub, and for the demo model, whose results must not depend on one.
        """
        asked = self.study.calibration
        use_bundle = asked.dataset == "auto" and (self.study.model == "demo" or not hub_reachable(self.settings))
        bundled = ensure_bundle(self.settings, print).calibration if use_bundle else None
        dataset, self.calibration_text = calibration_text(asked, bundled, default)
        return dataset


def stored_size(folder: Path) -> int:
    """Bytes of a checkpoint's weight files."""
    return sum(path.stat().st_size for path in folder.iterdir() if path.suffix in (".safetensors", ".gguf"))
