"""Tables of what can be named in a study: schemes, recipes, tasks, and three ready sizes.

Adding a scheme, a recipe or a task begins with one line here. The bit figures equal auto-round's presets
(`auto_round.schemes`); a test compares them.
"""

from dataclasses import dataclass

from qcompare.words import gettext_noop


@dataclass(frozen=True)
class Scheme:
    """A named layer format."""

    name: str
    bits: int
    """Bits of one stored weight."""
    group_size: int
    """Weights that share one scale, along a layer's inputs."""
    scale_bits: int
    """Bits of one scale."""
    family: str
    """Schemes of one family can be mixed in one recipe."""
    text: str
    """One plain sentence for the screen; may name `{bits}` and `{group_size}`."""
    group_rows: int = 1
    """Outputs that share a scale too, where scales belong to blocks."""
    packed: bool = True
    """A checkpoint can hold it: there are kernels that load it."""


@dataclass(frozen=True)
class Family:
    """Schemes that one recipe may mix, because one checkpoint can hold them."""

    name: str
    title: str
    exports: tuple[str, ...]
    """Checkpoint formats that hold its mixes."""


FAMILIES: dict[str, Family] = {
    f.name: f
    for f in (
        Family("mxfp", "microscaling floats", ("auto_round", "llm_compressor")),
        Family("mxfp_rceil", "microscaling floats, scales rounded up", ("auto_round",)),
        Family("int", "weight-only integers", ("auto_round",)),
        Family("fp8", "8-bit floats", ("llm_compressor",)),
    )
}
FORMATS = ("auto_round", "llm_compressor")
"""Checkpoint formats: auto-round's own, and compressed-tensors."""
ANY_FAMILY = "any"
"""Of BF16: any recipe may leave layers as they are."""

GROUP_SIZES = (128, 64, 32)
"""Group sizes of the weight-only schemes, the published one first; others are named, as in `W4A16G64`."""


def _weight_only(bits: int, group_size: int) -> Scheme:
    suffix = "" if group_size == GROUP_SIZES[0] else f"G{group_size}"
    text = gettext_noop(
        "{bits}-bit integer weights, groups of {group_size} share a scale; activations stay at 16 bits."
    )
    # A 16-bit scale, and a zero point as wide as a weight.
    return Scheme(f"W{bits}A16{suffix}", bits, group_size, 16 + bits, "int", text, packed=bits in (2, 4, 8))


SCHEMES: dict[str, Scheme] = {
    s.name: s
    for s in (
        Scheme(
            "MXFP4", 4, 32, 8, "mxfp", gettext_noop("4-bit floating point, groups of 32 share a power-of-two scale.")
        ),
        Scheme(
            "MXFP6",
            6,
            32,
            8,
            "mxfp",
            gettext_noop("6-bit floating point, groups of 32 share a power-of-two scale."),
            packed=False,
        ),
        Scheme(
            "MXFP8", 8, 32, 8, "mxfp", gettext_noop("8-bit floating point, groups of 32 share a power-of-two scale.")
        ),
        Scheme(
            "MXFP4_RCEIL",
            4,
            32,
            8,
            "mxfp_rceil",
            gettext_noop("MXFP4 with activation scales rounded up, so nothing clips."),
        ),
        Scheme(
            "MXFP8_RCEIL",
            8,
            32,
            8,
            "mxfp_rceil",
            gettext_noop("MXFP8 with activation scales rounded up, so nothing clips."),
        ),
        *(_weight_only(bits, group_size) for group_size in GROUP_SIZES for bits in (2, 3, 4, 5, 6, 8)),
        Scheme("BF16", 16, 1, 0, ANY_FAMILY, gettext_noop("Layers stay as they are.")),
    )
}

FP8_SCHEMES: dict[str, Scheme] = {
    "FP8_DYNAMIC": Scheme("FP8_DYNAMIC", 8, 1 << 30, 16, "fp8", gettext_noop("8-bit floats, one scale an output.")),
    "FP8_BLOCK": Scheme(
        "FP8_BLOCK", 8, 128, 16, "fp8", gettext_noop("8-bit floats, one scale a 128 × 128 block."), 128
    ),
}
"""Schemes of the recipes that llm-compressor writes; not to be mixed."""


def scheme_named(name: str) -> Scheme:
    """Any scheme, one to mix or not."""
    return SCHEMES[name] if name in SCHEMES else FP8_SCHEMES[name]


SCHEME_CHOICES: tuple[tuple[str, ...], ...] = (
    ("MXFP4", "MXFP8"),
    ("MXFP4_RCEIL", "MXFP8_RCEIL"),
    ("W2A16", "W4A16"),
    ("W2A16G64", "W4A16G64"),
    ("MXFP4", "MXFP6", "MXFP8"),
)
"""Schemes that are offered together on screen, lowest first; a study file may name others."""

PUBLISHED_BUDGETS: tuple[float, ...] = (3.0, 4.5, 5.0, 6.0)
"""Average bits of the published tables (scales not counted): ticks on the budget slider."""


@dataclass(frozen=True)
class RecipeInfo:
    """A strategy as the screen names it."""

    name: str
    title: str
    text: str
    takes_budget: bool
    """Built once per budget of the study; otherwise once per study."""
    checkpoint_scheme: str | None = None
    """The recipe is a checkpoint that llm-compressor writes in this scheme; None for schemes of the study."""
    awq: bool = False
    """AWQ scales the weights before they are rounded."""


RECIPES: dict[str, RecipeInfo] = {
    r.name: r
    for r in (
        RecipeInfo(
            "bf16", gettext_noop("BF16"), gettext_noop("The original model: the yardstick for all others."), False
        ),
        RecipeInfo(
            "uniform",
            gettext_noop("Uniform"),
            gettext_noop("Every layer at the low scheme: smallest, usually least accurate."),
            False,
        ),
        RecipeInfo(
            "head",
            gettext_noop("Head high"),
            gettext_noop("The last blocks, near the output, get the high scheme."),
            True,
        ),
        RecipeInfo(
            "tail",
            gettext_noop("Tail high"),
            gettext_noop("The first blocks, near the input, get the high scheme."),
            True,
        ),
        RecipeInfo(
            "mixed",
            gettext_noop("Mixed"),
            gettext_noop("The layers that matter most get the high scheme (AutoScheme)."),
            True,
        ),
        RecipeInfo(
            "rtn_fp8_dynamic",
            gettext_noop("FP8"),
            gettext_noop("Every layer in 8-bit floats, plainly rounded."),
            False,
            "FP8_DYNAMIC",
        ),
        RecipeInfo(
            "awq_fp8_dynamic",
            gettext_noop("AWQ + FP8"),
            gettext_noop("FP8 after AWQ has scaled the weights."),
            False,
            "FP8_DYNAMIC",
            True,
        ),
        RecipeInfo(
            "rtn_fp8_block",
            gettext_noop("FP8 blocks"),
            gettext_noop("FP8 with a scale for each 128 × 128 block."),
            False,
            "FP8_BLOCK",
        ),
        RecipeInfo(
            "awq_fp8_block",
            gettext_noop("AWQ + FP8 blocks"),
            gettext_noop("The same after AWQ has scaled the weights."),
            False,
            "FP8_BLOCK",
            True,
        ),
    )
}

DEFAULT_RECIPES: tuple[str, ...] = ("bf16", "uniform", "head", "tail", "mixed")


@dataclass(frozen=True)
class TaskInfo:
    """A benchmark as the screen names it."""

    name: str
    title: str
    text: str
    subjects: int
    """Parts that `limit` counts separately."""
    questions: int
    """Questions in the full task."""
    num_fewshot: int = 0
    """Worked examples before each question, as lm-eval does by default."""


TASKS: dict[str, TaskInfo] = {
    t.name: t
    for t in (
        TaskInfo("lambada_openai", "LAMBADA", gettext_noop("Guess the last word of a passage."), 1, 5153),
        TaskInfo("hellaswag", "HellaSwag", gettext_noop("Pick the sensible continuation of a story."), 1, 10042),
        TaskInfo("piqa", "PIQA", gettext_noop("Pick the way that works in the physical world."), 1, 1838),
        TaskInfo("winogrande", "WinoGrande", gettext_noop("Work out whom a pronoun means."), 1, 1267),
        TaskInfo("mmlu", "MMLU", gettext_noop("Exam questions from 57 subjects."), 57, 14042),
        TaskInfo(
            "gsm8k", "GSM8K", gettext_noop("Work out a school maths problem in writing."), 1, 1319, num_fewshot=5
        ),
    )
}


PUBLISHED_TASKS: tuple[str, ...] = ("lambada_openai", "hellaswag", "piqa", "winogrande", "mmlu")
"""Over which the published tables average."""


@dataclass(frozen=True)
class Size:
    """A ready number of questions."""

    name: str
    tasks: tuple[str, ...]
    limit: int | None
    text: str


SIZES: tuple[Size, ...] = (
    Size(gettext_noop("Quick"), ("lambada_openai", "hellaswag", "piqa", "winogrande"), 25, "a first look"),
    Size(gettext_noop("Standard"), ("lambada_openai", "hellaswag", "piqa", "winogrande"), 100, "a useful comparison"),
    Size(gettext_noop("Full"), PUBLISHED_TASKS, None, "every question of the five published tasks"),
)

DEFAULT_PROMPTS: tuple[str, ...] = (
    "What is the capital of France, and what is it famous for?",
    "Explain to a child why the sky is blue.",
)
