"""The study file: what a user asks for. The contract between screen, command line and jobs."""

from collections.abc import Iterable
from typing import Annotated, Any, Literal, Self

import yaml
from pydantic import BaseModel, ConfigDict, Field, field_validator, model_validator

from qcompare.errors import unknown
from qcompare.study.presets import (
    ANY_FAMILY,
    DEFAULT_PROMPTS,
    DEFAULT_RECIPES,
    FAMILIES,
    FP8_SCHEMES,
    RECIPES,
    SCHEMES,
    SIZES,
    TASKS,
)
from qcompare.study.prompts import Prompt
from qcompare.words import gettext, gettext_noop


class Frozen(BaseModel):
    """Base of all study types: immutable, and unknown keys are refused."""

    model_config = ConfigDict(frozen=True, extra="forbid", strict=False, allow_inf_nan=False)


class Calibration(Frozen):
    """Text on which the sensitivity of layers is scored."""

    dataset: str = "auto"
    """`auto`, a data set that auto-round knows, or a `.jsonl`/`.json` file with a `text` field."""
    num_samples: Annotated[int, Field(ge=1, le=4096)] = 16
    max_seq_length: Annotated[int, Field(ge=8, le=8192)] = 256


class HeldOut(Frozen):
    """Text on which a quantized model's predictions are compared with the original's, token by token."""

    text: str = "auto"
    """`auto` (stories of the demo bundle that calibration does not use), or a text or `.jsonl` file."""
    num_samples: Annotated[int, Field(ge=1, le=4096)] = 16
    max_seq_length: Annotated[int, Field(ge=8, le=8192)] = 256


class Study(Frozen):
    """One request: a model, schemes, budgets, recipes, and how to measure them."""

    model: Annotated[str, Field(min_length=1, max_length=1000)] = "demo"
    """`demo`, `org/name[@revision]` on the hub, or a folder."""
    schemes: tuple[str, ...] = ("MXFP4", "MXFP8")
    """Two or more, lowest bits first, of one family; `BF16` may be the last. Edges use the first and the last."""
    avg_bits: tuple[Annotated[float, Field(gt=0, le=32)], ...] = (5.0,)
    """Budgets: average bits a quantized weight."""
    ignore_scale_zp_bits: bool = True
    """Budgets do not count scales, as in the published tables."""
    shared_layers: bool = False
    """Keep q/k/v, and gate/up, of a block at one scheme: vLLM fuses them and cannot load mixed ones."""
    rounding: Literal["rtn", "opt_rtn", "tuned"] = "rtn"
    """`rtn` rounds to nearest, as the published tables; `opt_rtn` searches scales; `tuned` learns the rounding."""
    iters: Annotated[int, Field(ge=1, le=10_000)] = 200
    """Steps of `tuned`, for each block."""
    awq_n_grid: Annotated[int, Field(ge=4, le=100)] = 20
    """Scales that AWQ tries for each mapping; its time grows with it."""
    recipes: tuple[str, ...] = DEFAULT_RECIPES
    tasks: tuple[str, ...] = SIZES[0].tasks
    limit: Annotated[int, Field(ge=1)] | None = 25
    """Questions a task (mmlu: a subject); null takes all."""
    num_fewshot: Annotated[int, Field(ge=0, le=32)] | None = None
    """Worked examples before each question; null takes each task's own number (gsm8k 5, others 0)."""
    prompts: tuple[Prompt, ...] = DEFAULT_PROMPTS
    """Prompts answered by every recipe; a list of texts is a conversation, turn by turn."""
    max_new_tokens: Annotated[int, Field(ge=1, le=4096)] = 64
    """Longest answer to a prompt."""
    calibration: Calibration = Calibration()
    divergence: HeldOut | None = HeldOut()
    """KL divergence to the original; null leaves it out."""
    scorer: Literal["packed", "lm_eval"] = "packed"
    """`packed` shares the context of a question's options and its few-shot examples, with lm-eval's own answers;
    `lm_eval` is lm-eval's own backend."""
    batch_size: Annotated[int, Field(ge=1, le=1024)] = 16
    """Requests scored together; the same for every recipe, since it moves scores a little."""
    add_bos_token: bool | None = None
    """Begin every request with the BOS token. null: yes for Llama, as the published tables did; else the
    tokenizer's own default."""
    hub_kernels: bool = False
    """Let transformers replace layers by kernels from the hub. The published tables did not."""
    seed: Annotated[int, Field(ge=0, le=2**32 - 1)] = 42

    @field_validator("schemes", "recipes", "tasks", "prompts", "avg_bits", mode="before")
    @classmethod
    def _one_is_a_list(cls, value: Any) -> Any:
        return (value,) if isinstance(value, str | int | float) else value

    @field_validator("schemes", "recipes", "tasks")
    @classmethod
    def _known(cls, names: tuple[str, ...], info: Any) -> tuple[str, ...]:
        tables: dict[str, tuple[str, Any]] = {
            "schemes": (gettext_noop("scheme"), SCHEMES | FP8_SCHEMES),
            "recipes": (gettext_noop("recipe"), RECIPES),
            "tasks": (gettext_noop("task"), TASKS),
        }
        kind, known = tables[info.field_name]
        for name in names:
            if name not in known:
                raise ValueError(unknown(kind, name, known))
        if len(set(names)) != len(names):
            raise ValueError(
                gettext(
                    "a {kind} is named twice in {names}: name each once", kind=gettext(kind), names=", ".join(names)
                )
            )
        return names

    @field_validator("recipes", "avg_bits")
    @classmethod
    def _not_empty(cls, value: tuple[Any, ...]) -> tuple[Any, ...]:
        if not value:
            raise ValueError(gettext("is empty: name at least one"))
        return value

    @field_validator("schemes")
    @classmethod
    def _schemes_fit_together(cls, names: tuple[str, ...]) -> tuple[str, ...]:
        if fixed := [name for name in names if name in FP8_SCHEMES]:
            recipes = [recipe.name for recipe in RECIPES.values() if recipe.checkpoint_scheme == fixed[0]]
            raise ValueError(
                gettext(
                    "{scheme} is not to be mixed: name {recipes} under recipes",
                    scheme=fixed[0],
                    recipes=gettext(" or ").join(recipes),
                )
            )
        if len(names) < 2:
            raise ValueError(gettext("needs a low and a high one, got {n}: e.g. [MXFP4, MXFP8]", n=len(names)))
        schemes = [SCHEMES[name] for name in names]
        families = dict.fromkeys(scheme.family for scheme in schemes if scheme.family != ANY_FAMILY)
        if len(families) > 1:
            raise ValueError(
                gettext(
                    "{names} cannot be stored in one checkpoint: {why}",
                    names=", ".join(names),
                    why=_exports(families),
                )
            )
        bits = [scheme.bits for scheme in schemes]
        if bits != sorted(set(bits)):
            ordered = sorted(names, key=lambda name: SCHEMES[name].bits)
            raise ValueError(
                gettext("must be given low first, with different bits: [{names}]", names=", ".join(ordered))
            )
        return names

    @model_validator(mode="after")
    def _asks_for_something(self) -> Self:
        if len(set(self.avg_bits)) != len(self.avg_bits):
            raise ValueError(gettext("avg_bits names a budget twice: name each once"))
        if not self.tasks and not self.prompts:
            raise ValueError(gettext("neither tasks nor prompts are given: there is nothing to measure"))
        return self

    def examples(self, task: str) -> int:
        """Worked examples before each question of a task."""
        return TASKS[task].num_fewshot if self.num_fewshot is None else self.num_fewshot

    def to_yaml(self) -> str:
        """The study as a study file."""
        return yaml.dump(self.model_dump(mode="json"), Dumper=_StudyDumper, sort_keys=False, allow_unicode=True)


class _StudyDumper(yaml.SafeDumper):
    """Quotes text with unusual line breaks, which plain YAML would read back as others."""


def _represent_text(dumper: yaml.SafeDumper, text: str) -> yaml.ScalarNode:
    style = '"' if set(text) & set("\x85\u2028\u2029") else None
    return dumper.represent_scalar("tag:yaml.org,2002:str", text, style)


_StudyDumper.add_representer(str, _represent_text)


def _exports(families: Iterable[str]) -> str:
    """Which checkpoint formats hold which schemes: why some cannot be mixed."""
    texts = []
    for family in families:
        names = ", ".join(scheme.name for scheme in SCHEMES.values() if scheme.family == family)
        formats = gettext(" and ").join(FAMILIES[family].exports)
        texts.append(gettext("{formats} hold mixes of {names}", formats=formats, names=names))
    return gettext("; ").join(texts)
