"""The tables of the two source documents, as printed: what a run of `assets/studies/` is compared with.

Percentages of BF16 are kept as printed. Where one contradicts the values beside it, the cell says so (`contradicts`)
and gives the computed one.
"""

from collections.abc import Iterator
from dataclasses import dataclass

AUTOSCHEME, AWQ_FP8 = "AutoScheme accuracy (auto-round)", "AWQ + FP8 results (llm-compressor)"
"""The two documents."""
HALF_DIGIT = 0.00005
"""Values are printed with four digits."""


@dataclass(frozen=True)
class Cell:
    """One printed figure."""

    recipe: str
    """As in a study."""
    avg_bits: float | None
    """Budget, scales not counted; None for recipes that take none."""
    model: str
    """Id on the hub."""
    metric: str
    value: float
    """Share of right answers, 0 to 1."""
    percent: float | None = None
    """Of BF16, as printed; None where none is printed."""
    bf16: float | None = None
    """The BF16 value that the percentage refers to; None where the document has none."""

    @property
    def computed_percent(self) -> float | None:
        """Of BF16, from the printed values."""
        return None if self.bf16 is None else 100 * self.value / self.bf16

    @property
    def contradicts(self) -> bool:
        """No values that are printed as these give a percentage that is printed as this."""
        if self.percent is None or self.bf16 is None:
            return False
        lowest = 100 * (self.value - HALF_DIGIT) / (self.bf16 + HALF_DIGIT)
        highest = 100 * (self.value + HALF_DIGIT) / (self.bf16 - HALF_DIGIT)
        return not lowest - 0.05 <= self.percent <= highest + 0.05


@dataclass(frozen=True)
class PublishedTable:
    """One printed table."""

    name: str
    title: str
    document: str
    study: str
    """Its study file in `assets/studies/`."""
    conditions: str
    cells: tuple[Cell, ...]
    notes: tuple[str, ...] = ()
    """What is odd about it."""


LLAMA, QWEN25, QWEN3, QWEN32 = (
    "meta-llama/Llama-3.1-8B-Instruct", "Qwen/Qwen2.5-7B-Instruct", "Qwen/Qwen3-8B", "Qwen/Qwen3-32B",
)  # fmt: skip
MODELS = (LLAMA, QWEN25, QWEN3, QWEN32)
BF16 = dict(zip(MODELS, (0.7076, 0.7075, 0.6764, 0.7321), strict=True))
AVERAGE = "average acc of lambada_openai, hellaswag, piqa, winogrande, mmlu"

Row = tuple[str, float | None, tuple[float, ...], tuple[float, ...]]
"""Recipe, budget, values, printed percentages; one a model."""


def _cells(rows: tuple[Row, ...]) -> tuple[Cell, ...]:
    return tuple(cell for row in rows for cell in _row(*row))


def _row(recipe: str, bits: float | None, values: tuple[float, ...], percents: tuple[float, ...]) -> Iterator[Cell]:
    for model, value, percent in zip(MODELS, values, percents or (None,) * len(values), strict=False):
        yield Cell(recipe, bits, model, AVERAGE, value, percent, BF16[model] if percent is not None else None)


MXFP = "MXFP4 and MXFP8, simulated; scales not counted; plain rounding; BOS token for Llama; lm-eval"
TABLE_1 = _cells(
    (
        ("bf16", None, (0.7076, 0.7075, 0.6764, 0.7321), (100, 100, 100, 100)),
        ("uniform", None, (0.6626, 0.6550, 0.6316, 0.6901), (93.6, 92.6, 93.4, 94.3)),
        ("mixed", 4.5, (0.6808, 0.6776, 0.6550, 0.7176), (96.2, 95.8, 96.8, 98.0)),
        ("mixed", 5.0, (0.6857, 0.6823, 0.6594, 0.7201), (96.9, 96.4, 97.5, 98.3)),
        ("mixed", 6.0, (0.6975, 0.6970, 0.6716, 0.7303), (98.6, 98.5, 99.3, 99.8)),
    )
)
TABLE_2 = _cells(
    (
        ("tail", 5.0, (0.6671, 0.6616, 0.6410), (94.3, 93.5, 94.8)),
        ("head", 5.0, (0.6657, 0.6686, 0.6356), (94.1, 94.5, 94.0)),
        ("mixed", 5.0, (0.6857, 0.6823, 0.6594), (96.9, 96.4, 97.5)),
    )
)
TABLE_3 = _cells(
    (
        ("tail", 4.5, (0.6614, 0.6535, 0.6373), (93.5, 92.4, 94.2)),
        ("head", 4.5, (0.6568, 0.6642, 0.6305), (92.8, 93.9, 93.2)),
        ("mixed", 4.5, (0.6808, 0.6776, 0.6550), (96.2, 95.5, 95.8)),
    )
)
TABLE_4 = _cells(
    (
        ("tail", 3.0, (0.6058, 0.3798, 0.4536), ()),
        ("head", 3.0, (0.3198, 0.3270, 0.3196), ()),
        ("mixed", 3.0, (0.6148, 0.4058, 0.4862), ()),
    )
)
SMALL = "Qwen/Qwen2.5-0.5B-Instruct"
STRICT, FLEXIBLE = "exact_match, strict-match", "exact_match, flexible-extract"

PUBLISHED: tuple[PublishedTable, ...] = (
    PublishedTable(
        "table1", "MXFP4/8 mixed accuracy", AUTOSCHEME, "table1_mxfp.yaml", MXFP, TABLE_1,
        ("Pure 4-bit of Llama agrees with activation scales rounded up (MXFP4_RCEIL).",),
    ),
    PublishedTable("table2", "Other recipes at 5 bits, MXFP", AUTOSCHEME, "tables2_3_edges.yaml", MXFP, TABLE_2),
    PublishedTable("table3", "Other recipes at 4.5 bits, MXFP", AUTOSCHEME, "tables2_3_edges.yaml", MXFP, TABLE_3),
    PublishedTable(
        "table4", "Other recipes at 3 bits, W2G128 and W4G128", AUTOSCHEME, "table4_w2w4.yaml",
        "weight-only W2A16 and W4A16, groups of 128, real models; scales not counted; plain rounding; lm-eval",
        TABLE_4,
        ("Its title says 3 bits, its header 4.5: with 2- and 4-bit weights only 3 is possible.",),
    ),
    PublishedTable(
        "awq_fp8", "GSM8K of AWQ + FP8", AWQ_FP8, "awq_fp8_gsm8k.yaml",
        "1,319 questions, 5 worked examples, batches of 16, one L4 GPU",
        (
            Cell("awq_fp8_dynamic", None, SMALL, STRICT, 0.2267),
            Cell("awq_fp8_dynamic", None, SMALL, FLEXIBLE, 0.3078),
            Cell("awq_fp8_block", None, SMALL, STRICT, 0.1797),
            Cell("awq_fp8_block", None, SMALL, FLEXIBLE, 0.2980),
        ),
        ("No BF16 and no plain FP8 beside it: what AWQ brings cannot be seen from it.",),
    ),
)  # fmt: skip
"""All printed tables, in the order of the documents."""


def contradictions() -> tuple[tuple[PublishedTable, Cell], ...]:
    """Cells whose printed percentage is not the one that the printed values give."""
    return tuple((table, cell) for table in PUBLISHED for cell in table.cells if cell.contradicts)
