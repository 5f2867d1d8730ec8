"""What one job found: the result file. It carries `schema_version`."""

from enum import StrEnum

from pydantic import Field

from qcompare.study.frozen import Frozen
from qcompare.study.messages import StoredMessage
from qcompare.study.noise import NoiseFloor
from qcompare.study.prompts import Prompt
from qcompare.words import gettext_noop

SCHEMA_VERSION = 1
"""Version of the result file and of `show --format json`."""


class Bits(Frozen):
    """Average bits of the quantized weights, in both countings."""

    asked: float | None
    achieved: float
    """Without scales."""
    achieved_with_scales: float


class TaskScore(Frozen):
    """One benchmark's outcome, in lm-eval's terms."""

    task: str
    metric: str
    value: float | None
    """None when it is not a number."""
    stderr: float | None
    n: int
    """Questions answered."""
    acc_norm: float | None = None
    acc_norm_stderr: float | None = None
    flexible: float | None = None
    """gsm8k: share right when the last number of the answer counts (flexible-extract), not only one after `####`."""
    flexible_stderr: float | None = None
    version: str
    num_fewshot: int
    data: str
    """Where the questions came from: `hub`, `demo bundle`, `cache of data sets` or `task file`."""
    higher_is_better: bool = True
    averaged: bool = True
    """An accuracy: each question is right or wrong and weighs the same, and the task enters the average. Others
    (perplexity, F1, BLEU, groups whose parts weigh the same whatever their size) stand beside it."""
    others: dict[str, float] = Field(default_factory=dict)
    """All metrics and their standard errors as lm-eval names them: `acc_norm,none`, `acc_norm_stderr,none`."""
    resamples: tuple[float, ...] = ()
    """Of tasks that are not averaged: the metric of questions drawn anew, the same draws for every recipe."""


class PassageKL(Frozen):
    """One passage of the held-out text."""

    tokens: int
    """Predicted ones."""
    kl: float
    """Mean KL(original ‖ recipe) per token, in nats."""


class Divergence(Frozen):
    """How far a recipe's predictions are from the original's on held-out text."""

    kl: float
    """Mean KL(original ‖ recipe) per token over the whole vocabulary, in nats."""
    kl_stderr: float | None
    """Over passages; None for a single one."""
    top1_agreement: float
    """Share of tokens for which both find the same one most likely."""
    perplexity: float
    reference_perplexity: float
    """The original's."""
    tokens: int
    text: str
    """Which text, in words."""
    passages: tuple[PassageKL, ...] = ()
    """In the order of the text, the same for all recipes of a study; empty in results of version 0.1."""


class Generation(Frozen):
    """One answer."""

    prompt: Prompt
    """What had been asked: a text, or the user's turns of a conversation up to this answer."""
    text: str
    tokens: int
    seconds: float


SOURCE_NOTES = {
    "demo bundle": gettext_noop(
        "Its 16-bit weights were read from a 4-bit file (GGUF Q4_1, groups of 32), so they already lie on a 4-bit "
        "grid: weight-only formats of that kind look better on it than on a model that was never quantized."
    )
}
"""By source of a model: what must be known to read figures measured on it. Shown wherever the model is described."""


class ModelRef(Frozen):
    """Which model it was."""

    name: str
    source: str
    """`demo bundle`, `hub` or `folder`."""
    revision: str
    """Commit on the hub, or a hash over the folder's files."""
    num_params: int
    num_quantized_params: int
    """Weights that recipes may quantize: linear layers of the blocks."""

    @property
    def note(self) -> str | None:
        """What must be known to read figures measured on it."""
        return SOURCE_NOTES.get(self.source)


class Environment(Frozen):
    """On what it ran."""

    device: str
    device_name: str
    dtype: str
    """Compute dtype."""
    threads: int
    python: str
    platform: str
    libraries: dict[str, str]
    """Versions of the libraries that can move a score."""


class AwqReport(Frozen):
    """What AWQ did to a model. A mapping is a layer whose output is scaled down, and those scaled up after it."""

    applied: tuple[str, ...]
    """Mappings, as `smoothed layer → balanced layers`."""
    skipped: tuple[str, ...]
    """Mappings that AWQ found and left out, because shapes do not fit or nothing reached them."""
    n_grid: int
    """Scales tried for each."""


class Choice(Frozen):
    """By what a recipe that scores layers chose them, and how far the divergence it expected holds."""

    scorer: str
    """How layers were scored, a name in `recipes.scores.SCORERS`."""
    predicted_kl: float | None
    """Sum of the chosen layers' scores, in nats per token; None where scores are no divergences."""
    measured_kl: float | None
    """KL(original ‖ recipe) per token on the calibration text that compares configs; None: not measured."""
    measured_kl_stderr: float | None
    """Over passages."""
    compared: int
    """Other layer configs that were measured."""


SERVER_BATCHES = (1, 8)
"""Requests at once, at which the speed of a server is measured."""


class ServerSpeed(Frozen):
    """How fast a server answered requests that were sent together; medians where they were sent several times."""

    batch: int
    """Requests at once."""
    prompt_tokens_per_second: float
    """Of all requests together, until the first token of the last one."""
    decode_tokens_per_second: float | None
    """Of all requests together, after the first token; None where nothing more was written."""
    first_token_seconds: float
    """From sending a request to its first token."""
    prompt_tokens: int
    """Of each request."""
    new_tokens: int
    """Written to each request, on average."""


class Served(Frozen):
    """A server that answered in place of a loaded model. What weights it holds, and in which format, is unknown."""

    url: str
    model: str
    """As the server names it."""
    as_tokens: bool
    """Prompts were sent as tokens; otherwise as text, whose tokens the server then counted alike."""
    no_logprobs: StoredMessage | None = None
    """Why it has no log-probabilities of prompts; None where it has them."""
    speeds: tuple[ServerSpeed, ...] = ()
    """By number of requests at once."""
    no_speeds: StoredMessage | None = None
    """Why its speed is not known."""

    def speed(self, batch: int) -> ServerSpeed | None:
        """Its speed with so many requests at once."""
        return next((speed for speed in self.speeds if speed.batch == batch), None)


class ExportReport(Frozen):
    """A checkpoint that was written, loaded again in a fresh process, and compared with what was measured."""

    format: str
    """A name in `CHECKPOINT_FORMATS`."""
    folder: str
    layers: int
    """Quantized layers, counted in the reloaded model."""
    size_bytes: int
    """Weight files."""
    bits_per_weight: float
    """Weight files over all parameters."""
    max_difference: float
    """Largest difference of a logit of the prompt between the reloaded model and the measured one."""
    mean_difference: float
    top1_agreement: float
    """Share of the prompt's tokens after which both find the same next one most likely."""
    weights_difference: float | None
    """With activations left as they are in both; only where the loader rounds them by a rule of its own."""
    dtype: str
    """In which the reloaded model computes."""
    prompt: str
    text: str
    """The reloaded model's continuation of the prompt."""
    seconds: float
    pushed: str = ""
    """Its address on the hub; empty: it was not to be uploaded, or could not be."""
    push_problem: StoredMessage | None = None
    """One line: why it could not be uploaded."""


class Faithful(StrEnum):
    """What of a checkpoint's quantization its scores contain."""

    WEIGHTS = "weights"
    """Its weights, dequantized; inputs are not rounded."""
    ACTIVATIONS = "weights and activations"
    """Both are rounded as the checkpoint asks, and multiplied as ordinary numbers."""
    KERNEL = "kernel"
    """A kernel computes with the packed weights."""


class CheckpointReport(Frozen):
    """A checkpoint that somebody made, as its files and its model card describe it."""

    source: str
    """As the study names it."""
    revision: str
    """Commit on the hub, or a hash over its files."""
    method: str
    """`GGUF Q4_K_M`, `compressed-tensors (nvfp4-pack-quantized)`, …; empty where it is not quantized."""
    faithful: Faithful | None
    """None where it is not quantized."""
    author: str | None = None
    license: str | None = None
    base_model: str | None = None
    """The model that it was made from."""
    other_tokenizer: StoredMessage | None = None
    """What makes its tokenizer another than that of the study's model, so that its scores stand apart."""


class Result(Frozen):
    """What one job found. Published whole, or not at all."""

    schema_version: int = SCHEMA_VERSION
    study_id: str
    job_id: str
    recipe: str
    title: str | None = None
    """The name that the study gives its row; None: the recipe's own."""
    schemes: tuple[str, ...] = ()
    """Those that the recipe chose from, lowest bits first; empty in results of older versions."""
    model: ModelRef
    layer_config: dict[str, str]
    """Full layer name → scheme; empty for bf16 and for checkpoints that somebody made."""
    bits: Bits | None
    """None for served models."""
    size_bytes: int | None
    """All weights as they would be stored: quantized layers at their bits with scales, the rest at 16 bits. None for
    served models."""
    tasks: list[TaskScore]
    average: float | None
    """Mean accuracy over the study's tasks; those that have none (perplexity) are left out."""
    average_stderr: float | None
    generations: list[Generation]
    divergence: Divergence | None = None
    """None when it was not asked for, no held-out text was available, or the model is served."""
    noise: NoiseFloor | None = None
    """What another compute dtype changes; None where it was not asked for or could not be computed."""
    served: Served | None = None
    """The server that answered in place of a loaded model."""
    left_out: dict[str, StoredMessage] = Field(default_factory=dict)
    """Tasks of the study that this row cannot answer, and why."""
    scorer: str = "lm_eval"
    """How log-likelihoods were computed: `packed`, `padded`, `whole`, `lm_eval`, or `endpoint`; all give lm-eval's
    answers."""
    row_tokens: int | None = None
    """Tokens of one packed row; the same for all recipes of a study unless memory ran out on the way."""
    reused_requests: int = 0
    """Requests whose scores were kept from an earlier run of the same model under the same conditions."""
    rounding: str = "rtn"
    """How weights were rounded: `rtn`, `opt_rtn`, or `tuned` with its number of steps."""
    awq: AwqReport | None = None
    """Recipes with AWQ only."""
    checkpoint: CheckpointReport | None = None
    """Rows of checkpoints that somebody made only. Their bits and bytes are those of the files."""
    simulated: bool = True
    """Weights and activations were rounded in memory; accuracy is faithful, speed is not measured."""
    kv_cache: str | None = None
    """`fp8`: keys and values were rounded too, in every forward pass; None: they stayed as they are."""
    choice: Choice | None = None
    """How layers were chosen; the recipe `best` only."""
    calibration: str | None = None
    """Text and amount on which layers were scored; mixed recipes only."""
    add_bos_token: bool | None = None
    seed: int
    seconds: dict[str, float] = Field(default_factory=dict)
    """Seconds per stage."""
    peak_memory_bytes: int
    environment: Environment
