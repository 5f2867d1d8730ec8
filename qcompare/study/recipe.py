"""Recipes as a study names them: a strategy and its parameters.

How a recipe is built is in `qcompare/recipes/`, one file each, whose classes extend `RecipeSpec`. Adding one is a
file there and a line in `RECIPES`.
"""

import re
from typing import Annotated, Any, ClassVar, Literal, Self

from pydantic import (
    BeforeValidator,
    Field,
    SerializeAsAny,
    SerializerFunctionWrapHandler,
    ValidationError,
    ValidationInfo,
    field_validator,
    model_serializer,
)

from qcompare.errors import InvalidStudy, InvalidValue, unknown
from qcompare.registry import Registry
from qcompare.study.formats import SCHEMES, Format, checkpoint_formats, format_of
from qcompare.study.frozen import Frozen
from qcompare.study.refusals import refusal
from qcompare.study.size import Sizes
from qcompare.words import Message, gettext_noop

RoundingKind = Literal["rtn", "opt_rtn", "tuned"]
KVCache = Literal["fp8"]
AvgBits = Annotated[float, Field(gt=0, le=32)]
Iters = Annotated[int, Field(ge=1, le=10_000)]
MARKERS = ("circle", "square", "diamond", "triangle-up", "triangle-down", "pentagon", "hexagon", "star", "cross")
"""Shapes of recipes in figures and beside names."""


class RecipeSpec(Frozen):
    """A strategy with its parameters. Parameters that are None are the study's."""

    name: ClassVar[str] = ""
    label: ClassVar[str]
    """Its name for people."""
    text: ClassVar[str]
    """One plain sentence for the screen."""
    colour: ClassVar[str]
    """#RRGGBB, from `present.palette.PALETTE`, which is safe for colour-blind eyes."""
    marker: ClassVar[str] = "circle"
    """One of `MARKERS`; together with the colour no other recipe's."""
    takes_budget: ClassVar[bool] = True
    """One row per budget; otherwise one row."""
    offered: ClassVar[bool] = True
    """The screen offers it; others need parameters that only a study file gives."""
    by_default: ClassVar[bool] = False
    """Part of a study that names no recipes."""
    is_baseline: ClassVar[bool] = False
    """The original model, with which all others are compared."""
    is_lowest: ClassVar[bool] = False
    """Every layer at the low scheme: what all that spends more bits has to beat."""
    reads_weights: ClassVar[bool] = False
    """Only the weights decide which layer gets which scheme, so the plan cannot tell."""
    served: ClassVar[bool] = False
    """A server answers for its rows: no model is loaded, and what weights it holds is unknown."""
    published_as: ClassVar[str] = ""
    """How the source documents call its rows; may name the widths `{low}` and `{high}`."""
    writes: ClassVar[str | None] = None
    """The scheme in which it writes its whole model as a checkpoint; None where the study's schemes are simulated."""

    title: Annotated[str, Field(min_length=1, max_length=60)] | None = None
    """The name of its rows instead of `label`."""
    schemes: tuple[str, ...] | None = None
    avg_bits: tuple[AvgBits, ...] | None = None
    max_size: Sizes | None = None
    quant_lm_head: bool | None = None
    quant_embedding: bool | None = None
    ignore: tuple[str, ...] | None = None
    rounding: RoundingKind | None = None
    iters: Iters | None = None
    kv_cache: KVCache | None = None
    """`fp8`: keys and values are rounded too, as vLLM's `kv_cache_dtype=fp8` with scale 1.0; None: they are not."""

    @field_validator("kv_cache")
    @classmethod
    def _computes_here(cls, value: KVCache | None) -> KVCache | None:
        if value and cls.is_baseline:
            raise InvalidValue(
                "{recipe} is the baseline, which nothing rounds: for the original with an FP8 KV cache add the row "
                "{{recipe: checkpoint, from: MODEL, kv_cache: fp8}}",
                recipe=cls.name,
            )
        if value and cls.served:
            raise InvalidValue("the KV cache of a server is the server's own setting: leave kv_cache out")
        return value

    @field_validator("avg_bits", "schemes", "max_size", "ignore", mode="before")
    @classmethod
    def _one_is_a_list(cls, value: Any) -> Any:
        return (value,) if isinstance(value, str | int | float) else value

    @field_validator("avg_bits", "max_size")
    @classmethod
    def _has_a_budget(cls, value: tuple[float, ...] | None, info: ValidationInfo) -> tuple[float, ...] | None:
        if value is None:
            return None
        if not cls.takes_budget:
            raise InvalidValue("{recipe} takes no budget: leave {field} out", recipe=cls.name, field=info.field_name)
        if info.field_name == "max_size" and info.data.get("avg_bits"):
            raise InvalidValue("two budgets are given: set either avg_bits or max_size, not both")
        if not value:
            raise InvalidValue("is empty: name at least one")
        return value

    @field_validator("ignore")
    @classmethod
    def _patterns_compile(cls, patterns: tuple[str, ...] | None) -> tuple[str, ...] | None:
        return None if patterns is None else check_patterns(patterns)

    @field_validator("schemes")
    @classmethod
    def _schemes_fit_together(cls, names: tuple[str, ...] | None) -> tuple[str, ...] | None:
        return None if names is None else check_mix(names)

    @classmethod
    def from_text(cls, text: str) -> Self | None:
        """The row that a person asks for by the name or address of a model that exists already; None where the text
        names none of this kind.

        Raises:
            pydantic.ValidationError: it names one that cannot be used.
        """
        return None

    @property
    def as_text(self) -> str | None:
        """What `from_text` makes this row of; None for recipes that are not asked for by a text."""
        return None

    @property
    def row_title(self) -> str | None:
        """What its rows are called instead of `label`, where the study or its parameters say so."""
        return self.title

    @property
    def parameters(self) -> dict[str, Any]:
        """Those that are given, as plain values."""
        dumped = self.model_dump(mode="json")
        return {} if isinstance(dumped, str) else {key: value for key, value in dumped.items() if key != "recipe"}

    @model_serializer(mode="wrap")
    def _as_in_a_study_file(self, handler: SerializerFunctionWrapHandler) -> Any:
        fields = type(self).model_fields
        values = {fields[name].alias or name: value for name, value in handler(self).items() if value is not None}
        return {"recipe": self.name, **values} if values else self.name


RECIPES: Registry[type[RecipeSpec]] = Registry(
    "qcompare.recipes",
    gettext_noop("recipe"),
    {
        "bf16": "qcompare.recipes.bf16:Bf16",
        "uniform": "qcompare.recipes.uniform:Uniform",
        "head": "qcompare.recipes.edges:Head",
        "tail": "qcompare.recipes.edges:Tail",
        "mixed": "qcompare.recipes.mixed:Mixed",
        "best": "qcompare.recipes.best:Best",
        "layers": "qcompare.recipes.layers:Layers",
        "checkpoint": "qcompare.recipes.checkpoint:Checkpoint",
        "rtn_fp8_dynamic": "qcompare.recipes.fp8:RtnFp8Dynamic",
        "awq_fp8_dynamic": "qcompare.recipes.fp8:AwqFp8Dynamic",
        "rtn_fp8_block": "qcompare.recipes.fp8:RtnFp8Block",
        "awq_fp8_block": "qcompare.recipes.fp8:AwqFp8Block",
        "endpoint": "qcompare.recipes.endpoint:Endpoint",
        "gptq_w4a16": "qcompare.recipes.w4a16:GptqW4A16",
        "awq_w4a16": "qcompare.recipes.w4a16:AwqW4A16",
    },
)


def recipe_of(value: Any) -> RecipeSpec:
    """A recipe from what a study file says: a name, or a mapping with the key `recipe` and parameters.

    Raises:
        InvalidValue: there is no such recipe.
    """
    if isinstance(value, RecipeSpec):
        return value
    values = {"recipe": value} if isinstance(value, str) else value
    if not isinstance(values, dict) or not isinstance(values.get("recipe"), str):
        raise InvalidValue("must be a recipe's name, or a mapping with the key 'recipe' and its parameters")
    name = values["recipe"]
    if name not in RECIPES:
        raise InvalidValue(unknown(gettext_noop("recipe"), name, RECIPES))
    try:
        return RECIPES[name].model_validate({key: each for key, each in values.items() if key != "recipe"})
    except ValidationError as error:
        first = error.errors()[0]
        field = str(first["loc"][0]) if first["loc"] else "recipe"
        problem = unknown(gettext_noop("parameter"), field, RECIPES[name].model_fields)
        if first["type"] != "extra_forbidden":
            problem = Message("{field}: {problem}", {"field": field, "problem": refusal(first)})
        raise InvalidValue("{recipe}: {problem}", recipe=name, problem=problem) from None


def recipe_from_text(text: str) -> RecipeSpec:
    """The row of a model that exists already, by what a person typed: a hub id, a folder, a file, an address.

    Raises:
        InvalidStudy: it cannot be used; says why.
    """
    try:
        found = next((found for recipe in RECIPES.values() if (found := recipe.from_text(text.strip()))), None)
    except ValidationError as error:
        raise InvalidStudy("{problem}", problem=refusal(error.errors()[0])) from None
    if found is None:
        raise InvalidStudy("name a model: org/name, a folder, a .gguf file, or the address of a server")
    return found


Recipe = Annotated[SerializeAsAny[RecipeSpec], BeforeValidator(recipe_of)]
"""A recipe inside a study."""


def default_recipes() -> tuple[RecipeSpec, ...]:
    """The recipes of a study that names none."""
    return tuple(recipe() for recipe in RECIPES.values() if recipe.by_default)


def is_baseline(name: str) -> bool:
    """Whether a recipe is the one that all others are compared with."""
    return name in RECIPES and RECIPES[name].is_baseline


def check_patterns(patterns: tuple[str, ...]) -> tuple[str, ...]:
    """Patterns of layer names that can be read.

    Raises:
        InvalidValue: one is no regular expression.
    """
    for pattern in (each for each in patterns if each.startswith("re:")):
        try:
            re.compile(pattern[3:])
        except re.error as error:
            raise InvalidValue(
                "{pattern} is no regular expression ({reason})", pattern=pattern, reason=str(error)
            ) from None
    return patterns


def check_mix(names: tuple[str, ...]) -> tuple[str, ...]:
    """Schemes as they can be mixed by one recipe: two or more that one checkpoint can hold, lowest bits first.

    Raises:
        InvalidValue: says what is wrong and what is allowed.
    """
    for name in names:
        if name not in SCHEMES:
            raise InvalidValue(unknown(gettext_noop("scheme"), name, SCHEMES))
    if len(set(names)) != len(names):
        raise InvalidValue("a scheme is named twice in {names}: name each once", names=", ".join(names))
    if len(names) < 2:
        raise InvalidValue("needs a low and a high one, got {n}: e.g. [MXFP4, MXFP8]", n=len(names))
    formats = {format.name: format for name in names if (format := format_of(name))}
    if len(formats) > 1 and not checkpoint_formats(names):
        holds = "; ".join(f"{' and '.join(f.exports)} hold mixes of {_names(f)}" for f in formats.values())
        raise InvalidValue("{names} cannot be stored in one checkpoint: {why}", names=", ".join(names), why=holds)
    bits = [SCHEMES[name].stored_bits for name in names]
    if bits != sorted(set(bits)):
        ordered = sorted(names, key=lambda name: SCHEMES[name].stored_bits)
        raise InvalidValue("must be given low first, with different bits: [{names}]", names=", ".join(ordered))
    return names


def _names(format: Format) -> str:
    return ", ".join(scheme.name for scheme in format.schemes)
