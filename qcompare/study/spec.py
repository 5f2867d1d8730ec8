"""The study file: what a user asks for. The contract between screen, command line and jobs."""

from pathlib import Path
from typing import Annotated, Any, Literal, Self

import yaml
from pydantic import Field, ValidationInfo, field_validator, model_validator

from qcompare.errors import InvalidStudy, InvalidValue
from qcompare.study.frozen import Frozen
from qcompare.study.presets import DEFAULT_PROMPTS, DEFAULT_SIZE
from qcompare.study.prompts import Prompt
from qcompare.study.recipe import AvgBits, Iters, Recipe, RoundingKind, check_mix, check_patterns, default_recipes
from qcompare.study.size import Sizes
from qcompare.study.task import TASKS, is_file

STORED = "stored"
"""Validation context of studies that were accepted once: their tasks are not looked up again."""

OF_RECIPES = ("schemes", "avg_bits", "max_size", "quant_lm_head", "quant_embedding", "ignore", "rounding", "iters")
"""Parameters of every recipe that stand in place of the study's."""


class Calibration(Frozen):
    """Text on which the sensitivity of layers is scored."""

    dataset: str = "auto"
    """`auto`, a data set that auto-round knows, or a `.jsonl`/`.json` file with a `text` field."""
    num_samples: Annotated[int, Field(ge=1, le=4096)] = 16
    max_seq_length: Annotated[int, Field(ge=8, le=8192)] = 256


class HeldOut(Frozen):
    """Text on which a quantized model's predictions are compared with the original's, token by token."""

    text: str = "auto"
    """`auto` (a file of texts among the study's tasks, else stories of the demo bundle that calibration does not
    use), or a text or `.jsonl` file."""
    num_samples: Annotated[int, Field(ge=1, le=4096)] = 16
    max_seq_length: Annotated[int, Field(ge=8, le=8192)] = 256


class Study(Frozen):
    """One request: a model, schemes, budgets, recipes, and how to measure them."""

    model: Annotated[str, Field(min_length=1, max_length=1000)] = "demo"
    """`demo`, `org/name[@revision]` on the hub, or a folder."""
    schemes: tuple[str, ...] = ("MXFP4", "MXFP8")
    """Two or more, lowest bits first, of one family; `BF16` may be the last. Edges use the first and the last."""
    avg_bits: tuple[AvgBits, ...] = (5.0,)
    """Budgets: average bits per quantized weight."""
    max_size: Sizes | None = None
    """Budgets as sizes of the whole model, such as `5 GB`, in place of `avg_bits`: all weights as stored, scales and
    unquantized ones included."""
    quant_lm_head: bool = False
    """Quantize the output head too, and count its bits; where it is tied to the embedding, it becomes a matrix of its
    own."""
    quant_embedding: bool = False
    """Quantize the token embedding too, and count its bits. A head that is tied to it is the same matrix and rounded
    with it, whatever `quant_lm_head` says."""
    ignore: tuple[str, ...] = ()
    """Layers that stay at 16 bits and are not counted: full names, or `re:` and a regular expression, as in
    llm-compressor."""
    ignore_scale_zp_bits: bool = True
    """Budgets do not count scales, as in the published tables."""
    shared_layers: bool = False
    """Keep q/k/v, and gate/up, of a block at one scheme: vLLM fuses them and cannot load mixed ones."""
    rounding: RoundingKind = "rtn"
    """`rtn` rounds to nearest, as the published tables; `opt_rtn` searches scales; `tuned` learns the rounding."""
    iters: Iters = 200
    """Steps of `tuned`, per block."""
    awq_n_grid: Annotated[int, Field(ge=4, le=100)] = 20
    """Scales that AWQ tries for each mapping; its time grows with it."""
    recipes: tuple[Recipe, ...] = Field(default_factory=default_recipes)
    """Names, or names with parameters that replace those of the study: `{recipe: mixed, avg_bits: 4.5}`."""
    tasks: tuple[str, ...] = DEFAULT_SIZE.tasks
    """Tasks, groups and tags of lm-eval; YAML files of its kind; CSV, JSONL and XLSX files of questions; folders."""
    limit: Annotated[int, Field(ge=1)] | None = DEFAULT_SIZE.limit
    """Questions per task (mmlu: per subject); null takes all."""
    num_fewshot: Annotated[int, Field(ge=0, le=32)] | None = None
    """Worked examples before each question; null takes each task's own number (gsm8k 5, most others 0)."""
    chat_template: bool = False
    """Put questions through the model's chat template (lm-eval's `apply_chat_template`)."""
    system_instruction: Annotated[str, Field(max_length=100_000)] | None = None
    """Said to the model before every question."""
    fewshot_as_multiturn: bool = True
    """Under a chat template, each worked example is a turn of its own."""
    gen_kwargs: dict[str, bool | int | float | str | list[str] | None] = Field(default_factory=dict)
    """Settings of written answers, in place of the tasks' own: `{max_gen_toks: 256}`."""
    enable_thinking: bool | None = None
    """Handed to the chat template; true asks for answers with a thinking part, so only tasks answered in writing."""
    think_end_token: str | int | None = None
    """What ends the thinking part of an answer (`</think>`): it is cut off."""
    prompts: tuple[Prompt, ...] = DEFAULT_PROMPTS
    """Prompts answered by every recipe; a list of texts is a conversation, turn by turn."""
    max_new_tokens: Annotated[int, Field(ge=1, le=4096)] = 64
    """Longest answer to a prompt."""
    calibration: Calibration = Calibration()
    divergence: HeldOut | None = HeldOut()
    """KL divergence to the original; null leaves it out."""
    noise_floor: bool = False
    """Compute some tens of questions and a few passages of every row again in another dtype (bfloat16 for float32,
    float32 for others), to know which differences are numerical. Seconds on a GPU; on a CPU without units for
    bfloat16 it takes as long as three times as many questions."""
    scorer: Literal["packed", "lm_eval"] = "packed"
    """`packed` shares the context of a question's options and its few-shot examples, with lm-eval's own answers;
    `lm_eval` is lm-eval's own backend."""
    batch_size: Annotated[int, Field(ge=1, le=1024)] = 16
    """Requests scored together; the same for every recipe, since it moves scores a little."""
    add_bos_token: bool | None = None
    """Begin every request with the BOS token. null: yes for Llama, as the published tables did; else the
    tokenizer's own default."""
    margin: Annotated[float, Field(ge=0, le=100)] = 1.0
    """Points of average accuracy that a recipe may lack and still count as good as another, for what to ship."""
    hub_kernels: bool = False
    """Let transformers replace layers by kernels from the hub. The published tables did not."""
    seed: Annotated[int, Field(ge=0, le=2**32 - 1)] = 42

    @field_validator("schemes", "recipes", "tasks", "prompts", "avg_bits", "max_size", "ignore", mode="before")
    @classmethod
    def _one_is_a_list(cls, value: Any) -> Any:
        return (value,) if isinstance(value, str | int | float) else value

    @field_validator("tasks")
    @classmethod
    def _known(cls, names: tuple[str, ...], info: ValidationInfo) -> tuple[str, ...]:
        if len(set(names)) != len(names):
            raise InvalidValue("a task is named twice in {names}: name each once", names=", ".join(names))
        if info.context == STORED:
            return names  # tasks may have gone since, and files
        try:
            paths = (str(Path(name).expanduser().absolute()) if is_file(name) else name for name in names)
            return tuple(dict.fromkeys(each for name in paths for each in TASKS.expand(name)))
        except InvalidStudy as error:
            raise InvalidValue(error.message) from None

    @field_validator("recipes")
    @classmethod
    def _different(cls, recipes: tuple[Recipe, ...]) -> tuple[Recipe, ...]:
        if len({recipe.model_dump_json() for recipe in recipes}) != len(recipes):
            names = ", ".join(recipe.name for recipe in recipes)
            raise InvalidValue("a recipe is named twice in {names}: name each once", names=names)
        return recipes

    @field_validator("recipes", "avg_bits")
    @classmethod
    def _not_empty(cls, value: tuple[Any, ...]) -> tuple[Any, ...]:
        if not value:
            raise InvalidValue("is empty: name at least one")
        return value

    @field_validator("ignore")
    @classmethod
    def _patterns_compile(cls, patterns: tuple[str, ...]) -> tuple[str, ...]:
        return check_patterns(patterns)

    @field_validator("schemes")
    @classmethod
    def _schemes_fit_together(cls, names: tuple[str, ...]) -> tuple[str, ...]:
        return check_mix(names)

    @model_validator(mode="after")
    def _thinks_in_a_template(self) -> Self:
        if self.enable_thinking and (not self.chat_template or self.think_end_token is None):
            raise InvalidValue("enable_thinking needs chat_template: true, and think_end_token such as '</think>'")
        return self

    @model_validator(mode="after")
    def _asks_for_something(self) -> Self:
        if len(set(self.avg_bits)) != len(self.avg_bits):
            raise InvalidValue("avg_bits names a budget twice: name each once")
        if not self.tasks and not self.prompts:
            raise InvalidValue("neither tasks nor prompts are given: there is nothing to measure")
        return self

    def examples(self, task: str) -> int:
        """Worked examples before each question of a task; of a group, at most."""
        return TASKS[task].num_fewshot if self.num_fewshot is None else self.num_fewshot

    def of_recipe(self, recipe: Recipe) -> "Study":
        """The study as one of its recipes sees it: with the recipe's own parameters in place of the study's."""
        own = {name: value for name in OF_RECIPES if (value := getattr(recipe, name)) is not None}
        if "avg_bits" in own:
            own["max_size"] = None
        if own.get("max_size", self.max_size) is not None:
            own["ignore_scale_zp_bits"] = False  # a size counts them
        return self.model_copy(update=own)

    def to_yaml(self) -> str:
        """The study as a study file."""
        return yaml.dump(self.model_dump(mode="json"), Dumper=_StudyDumper, sort_keys=False, allow_unicode=True)


class _StudyDumper(yaml.SafeDumper):
    """Quotes text with unusual line breaks, which plain YAML would read back as others."""


def _represent_text(dumper: yaml.SafeDumper, text: str) -> yaml.ScalarNode:
    style = '"' if set(text) & set("\x85\u2028\u2029") else None
    return dumper.represent_scalar("tag:yaml.org,2002:str", text, style)


_StudyDumper.add_representer(str, _represent_text)
