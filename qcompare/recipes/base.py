"""What every recipe is: a strategy that decides which layer gets which scheme, and builds that model.

A recipe is one file in this folder with a subclass of `Recipe`, and one line in `study.recipe.RECIPES`. Recipes whose
layers follow from their sizes alone implement `config_from_sizes`; those that look at the weights implement `choose`.
"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, ClassVar

from qcompare.errors import InvalidStudy
from qcompare.formats.bits import bits_of_size, check_budget, check_sizes
from qcompare.formats.library import AutoRoundFormat
from qcompare.models.facts import ModelFacts
from qcompare.models.layers import experts_of
from qcompare.recipes.groups import Group, layer_groups
from qcompare.settings import Settings
from qcompare.study.formats import format_of
from qcompare.study.layers import LayerConfig, LinearLayer
from qcompare.study.recipe import RecipeSpec
from qcompare.study.spec import Study

if TYPE_CHECKING:
    from qcompare.evaluate.benchmarks import Options
    from qcompare.evaluate.scoring.endpoint import EndpointLM
    from qcompare.recipes.lab import Lab


@dataclass(frozen=True)
class BuildContext:
    """What a recipe knows of its row before the model is loaded."""

    study: Study
    """As the recipe sees it (`Study.of_recipe`)."""
    layers: tuple[LinearLayer, ...]
    """Those that it may quantize."""
    avg_bits: float | None
    facts: ModelFacts | None = None
    """The study's model, with all of its layers; None where a curve is drawn from stored scores."""
    settings: Settings | None = None
    """Likewise."""

    @property
    def budget(self) -> float:
        """The budget, inside the reachable range.

        Raises:
            InvalidStudy: it is out of reach.
        """
        assert self.avg_bits is not None, "the plan gives every recipe that takes a budget one"
        return check_budget(self.avg_bits, self.layers, self.study.schemes, self.study.ignore_scale_zp_bits)

    @property
    def groups(self) -> tuple[Group, ...]:
        """Layers that get their scheme together."""
        return layer_groups(self.layers, self.study.shared_layers)


@dataclass(frozen=True)
class BuildCost:
    """What building a recipe's model takes, in tokens that pass forward through the model."""

    choosing: float = 0.0
    """To choose layers. What it finds is kept, so later jobs of the same model need next to nothing."""
    again: float = 0.0
    """The part of it that a further budget takes."""
    quantizing: float = 0.0


def check_rounding(study: Study) -> None:
    """Refuse a rounding that auto-round would have to search for a scheme that it does not round here.

    Raises:
        InvalidStudy: names the scheme.
    """
    formats = {name: format_of(name) for name in study.schemes}
    plain = [name for name, format in formats.items() if format and not isinstance(format, AutoRoundFormat)]
    if study.quant_embedding and study.rounding != "rtn":
        raise InvalidStudy("embeddings are rounded to nearest only: set rounding to rtn")
    if plain and study.rounding != "rtn":
        raise InvalidStudy("{scheme} is rounded to nearest only: set rounding to rtn", scheme=plain[0])


def check_kv_cache(recipe: RecipeSpec, facts: ModelFacts) -> None:
    """Refuse a KV cache in 8 bits of a model that caches something else.

    Raises:
        InvalidStudy: says what.
    """
    if recipe.kv_cache and facts.unusual_cache:
        raise InvalidStudy(
            "kv_cache: {model} cannot have an FP8 KV cache here ({reason}): leave kv_cache out",
            model=facts.title,
            reason=facts.unusual_cache,
        )


def check_embedding(layers: Sequence[LinearLayer], schemes: Iterable[str]) -> None:
    """Refuse an embedding among the layers in a scheme that rounds inputs too.

    Raises:
        InvalidStudy: names the scheme, and what works.
    """
    formats = {name: format_of(name) for name in schemes}
    refused = [name for name, format in formats.items() if format and not format.holds_embeddings]
    if refused and any(layer.is_embedding for layer in layers):
        raise InvalidStudy(
            "{scheme} rounds inputs too, and an embedding has none: choose GGUF types or weight-only integers "
            "(W4A16), or set quant_embedding to false",
            scheme=refused[0],
        )


class Recipe(RecipeSpec):
    """A strategy with its parameters, and how its models are built."""

    simulates: ClassVar[bool] = True
    """Its models are rounded in memory, in schemes of the study."""

    def budgets(self, study: Study, facts: ModelFacts) -> tuple[float | None, ...]:
        """The budget of each of its rows, in average bits; a single None where it takes none.

        Args:
            study: as the recipe sees it (`Study.of_recipe`).
            facts: with the layers that it may quantize (`ModelFacts.of_study`).

        Raises:
            InvalidStudy: a size is out of reach.
        """
        if not self.takes_budget:
            return (None,)
        if study.max_size is None:
            return study.avg_bits
        num_params = facts.num_stored_params
        return tuple(bits_of_size(size, facts.layers, study.schemes, num_params) for size in study.max_size)

    def check(self, context: BuildContext) -> None:
        """Refuse what cannot be built, before anything is spent.

        Raises:
            QCompareError: the budget is out of reach, a scheme does not fit a layer, or what it needs is not there.
        """
        if self.simulates:
            check_sizes(context.layers, context.study.schemes)
            check_embedding(context.layers, context.study.schemes)
            check_rounding(context.study)
        if self.writes:
            check_sizes(context.layers, [self.written_scheme(context)])
            if context.study.quant_embedding:
                raise InvalidStudy(
                    "{recipe} leaves the embedding as it is: set its quant_embedding to false", recipe=self.name
                )
            if any(experts_of(layer.name) for layer in context.layers):
                raise InvalidStudy(
                    "{recipe} cannot write mixtures of experts yet: name {scheme} under the schemes of another "
                    "recipe, which simulates it",
                    recipe=self.name,
                    scheme=self.writes,
                )
        if self.takes_budget:
            assert context.budget

    def written_scheme(self, context: BuildContext) -> str:
        """The scheme in which it writes a checkpoint of this model; for recipes that do."""
        assert self.writes
        return self.writes

    def config_from_sizes(self, context: BuildContext) -> LayerConfig | None:
        """Full layer name → scheme, where it follows from the layers' sizes alone; None where the weights decide."""
        return None

    def fetch(self, lab: "Lab") -> None:
        """Bring what it needs besides the study's model to this machine."""

    def choose(self, lab: "Lab") -> LayerConfig:
        """Full layer name → scheme; empty leaves the model as it is."""
        config = self.config_from_sizes(lab.context)
        assert config is not None, f"{self.name} must implement config_from_sizes or choose"
        return config

    def build(self, lab: "Lab", model: Any, tokenizer: Any, layer_config: LayerConfig) -> tuple[Any, Any]:
        """The (model, tokenizer) in these schemes. The model given is consumed."""
        return lab.quantize(model, tokenizer, layer_config)

    def connect(self, lab: "Lab", options: "Options") -> "EndpointLM":
        """The lm-eval model that answers for its rows; `served` recipes only.

        Args:
            options: how the study's questions are put.

        Raises:
            JobError: the server cannot be used, and why.
        """
        raise NotImplementedError(f"{self.name} must implement connect")

    def cost(self, study: Study) -> BuildCost:
        """What building takes, for a study as the recipe sees it."""
        return BuildCost()
