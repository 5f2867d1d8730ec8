"""A recipe of a study as a model in memory: fetch, choose layers, load, quantize. For the worker and for exports."""

from collections.abc import Callable
from contextlib import AbstractContextManager
from pathlib import Path
from typing import Any, Protocol

from filelock import FileLock

from qcompare.models.facts import LocalModel, ModelFacts
from qcompare.settings import Settings
from qcompare.store.seal import reusable
from qcompare.study.layers import LayerScores
from qcompare.study.presets import RECIPES, RecipeInfo
from qcompare.study.result import AwqReport
from qcompare.study.spec import Study

Report = Callable[[int, int], None]


class Stage(Protocol):
    """Opens a named stage; inside, progress is told as (done, total)."""

    def __call__(self, name: str) -> AbstractContextManager[Report]: ...


class Building:
    """The steps from a recipe's name to a model; what later steps need is kept as attributes."""

    local: LocalModel
    """The model's files, after `fetch`."""
    calibration_text: str | None = None
    """Text and amount that decided something, in words."""
    layer_scores: LayerScores | None = None
    """By what layers were chosen; recipes that score them only."""
    awq: AwqReport | None = None
    checkpoint: Path | None = None
    """Folder of the compressed checkpoint that the model was loaded from; None for simulated ones."""

    def __init__(
        self, study: Study, recipe: str, avg_bits: float | None, settings: Settings, device: str, dtype: str
    ) -> None:
        self.study, self.avg_bits, self.settings, self.device, self.dtype = study, avg_bits, settings, device, dtype
        self.recipe: RecipeInfo = RECIPES[recipe]

    def fetch(self) -> ModelFacts:
        """Bring the model to this machine; returns its facts."""
        from qcompare.models.sources import describe, fetch

        self.local = fetch(self.study.model, self.settings, print)
        return describe(self.study.model, self.settings)

    def load(self) -> tuple[Any, Any]:
        """A fresh (model, tokenizer) of the original."""
        from qcompare.models.sources import load

        model, tokenizer = load(self.local, self.device, self.dtype, self.settings, self.study.hub_kernels)
        return model, tokenizer

    def layer_config(self, facts: ModelFacts, report: Report) -> dict[str, str]:
        """Full layer name → scheme."""
        from qcompare.recipes.build import Asked, Means, config_from_sizes, layer_config
        from qcompare.recipes.calibration import check_local

        asked = Asked(self.study, facts.layers, self.avg_bits)
        config = config_from_sizes(self.recipe.name, asked)
        if config is not None:
            return config
        dataset = self._calibration()

        def load_checked() -> tuple[Any, Any]:
            model, tokenizer = self.load()
            check_local(dataset, self.study.calibration, tokenizer)
            return model, tokenizer

        scores = self.settings.home / "scores" / self.local.revision
        scores.parent.mkdir(parents=True, exist_ok=True)
        # Of several jobs at once, one scores; the others wait and use its work.
        with FileLock(f"{scores}.lock"), reusable(scores, print) as kept:
            means = Means(load_checked, self.device, dataset, kept, report, lambda losses: self._keep(facts, losses))
            return layer_config(self.recipe.name, asked, means)

    def _keep(self, facts: ModelFacts, losses: dict[str, dict[str, float]]) -> None:
        from qcompare.formats.bits import layer_bits

        counted = self.study.ignore_scale_zp_bits
        bits = {
            scheme: {layer.name: layer_bits(layer, scheme, counted) for layer in facts.layers}
            for scheme in self.study.schemes
        }
        self.layer_scores = LayerScores(losses=losses, bits=bits)

    def quantize(
        self, model: Any, tokenizer: Any, layer_config: dict[str, str], folder: Path, report: Report
    ) -> tuple[Any, Any]:
        """The model as the recipe makes it. The one given is consumed.

        Args:
            folder: where a recipe that is a checkpoint writes it.
        """
        if self.recipe.checkpoint_scheme:
            return self._compressed(model, tokenizer, folder, report)
        if not layer_config:
            return model, tokenizer
        if self.study.rounding == "rtn":
            from qcompare.quantize.simulate import simulate

            simulate(model, layer_config, report)
            return model, tokenizer
        from qcompare.quantize.rounding import round_in_memory

        return round_in_memory(model, tokenizer, layer_config, self.rounding(), self.device, report), tokenizer

    def rounding(self) -> Any:
        """How weights are rounded (`quantize.rounding.Rounding`)."""
        from qcompare.quantize.rounding import Rounding

        study = self.study
        return Rounding(
            kind=study.rounding,
            iters=study.iters,
            dataset=None if study.rounding == "rtn" else self._calibration(),
            num_samples=study.calibration.num_samples,
            max_seq_length=study.calibration.max_seq_length,
            seed=study.seed,
        )

    def _compressed(self, model: Any, tokenizer: Any, folder: Path, report: Report) -> tuple[Any, Any]:
        """The compressed checkpoint of the recipe, written and loaded again."""
        from qcompare.models.sources import load
        from qcompare.quantize.fp8 import settle, write_fp8
        from qcompare.recipes.calibration import ULTRACHAT, token_rows

        rows = None
        if self.recipe.awq:
            rows = token_rows(self._calibration(ULTRACHAT), self.study.calibration, tokenizer)
        self.awq = write_fp8(model, tokenizer, self.recipe, rows, self.study.awq_n_grid, folder, report)
        self.checkpoint = folder
        del model
        compressed = LocalModel(folder, self.local.name, "folder", self.local.revision)
        loaded, tokenizer = load(compressed, self.device, self.dtype, self.settings, self.study.hub_kernels)
        settle(loaded)
        return loaded, tokenizer

    def _calibration(self, default: str = "auto-round's default text (pile-10k)") -> str | None:
        """The bundle's text where there is no hub, and for the demo model, whose results shall not depend on one."""
        from qcompare.demo.bundle import ensure_bundle
        from qcompare.models.hub import hub_reachable
        from qcompare.recipes.calibration import calibration_text

        wish = self.study.calibration
        use_bundle = wish.dataset == "auto" and (self.study.model == "demo" or not hub_reachable(self.settings))
        bundled = ensure_bundle(self.settings, print).calibration if use_bundle else None
        dataset, self.calibration_text = calibration_text(wish, bundled, default)
        return dataset


def stored_size(folder: Path) -> int:
    """Bytes of a checkpoint's weight files."""
    return sum(path.stat().st_size for path in folder.glob("*.safetensors"))
