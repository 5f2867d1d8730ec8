"""Results in the layout of the two source documents: same rows, same names, the share of BF16 in brackets.

Models stand across, as there; studies of several models give several columns. "Ours" is the mixed recipe, "Pure" the
uniform one.
"""

import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass

from qcompare.compare.table import Comparison, Row, read_comparison
from qcompare.errors import QCompareError
from qcompare.present import numbers
from qcompare.present.caveats import caveats
from qcompare.present.markup import latex, latex_table, markdown, markdown_table, one_line
from qcompare.present.render import problems
from qcompare.store import Store
from qcompare.study.formats import SCHEMES, UNQUANTIZED
from qcompare.study.ids import StudyIds
from qcompare.study.recipe import RECIPES, RecipeSpec
from qcompare.study.spec import Study
from qcompare.words import gettext, translate

WRITTEN_TASK = "gsm8k"
Key = tuple[str, float | None, str]
"""Recipe, budget, and how the documents call that row."""


@dataclass(frozen=True)
class PaperTable:
    """One table, as text."""

    title: str
    header: tuple[str, ...]
    lines: tuple[tuple[str, ...], ...]


def read_columns(store: Store, study_ids: StudyIds) -> list[Comparison]:
    """The comparisons that stand side by side: one a model. Studies of one model are compared with each other.

    Raises:
        NotFound: there is no such study.
        QCompareError: the studies did not ask for the same.
    """
    by_model: dict[str, list[str]] = {}
    for study in map(store.study, study_ids):
        by_model.setdefault(study.spec.model.partition("@")[0], []).append(study.id)
    columns = [read_comparison(store, tuple(ids)) for ids in by_model.values()]
    for other in columns[1:]:
        asked, first = (
            {"tasks": each.study.tasks, "schemes": each.study.schemes, "limit": each.study.limit}
            for each in (other, columns[0])
        )
        if apart := [name for name in asked if asked[name] != first[name]]:
            raise QCompareError(
                "{one} and {other} differ in {what}: one table needs the same",
                one=_model(other),
                other=_model(columns[0]),
                what=gettext(", ").join(apart),
            )
    return columns


def published_layout(columns: Sequence[Comparison]) -> list[PaperTable]:
    """Tables of the comparisons, those of the source documents that they hold rows for."""
    study = columns[0].study
    found = []
    if set(study.tasks) - {WRITTEN_TASK}:
        budgets = sorted({bits for each in columns for bits in each.study.avg_bits}, reverse=True)
        found = [_mixed_accuracy(columns), *(_other_recipes(columns, bits) for bits in budgets)]
        found = [table for table in found if table.lines]
    if WRITTEN_TASK in study.tasks:
        found += [table for each in columns for table in (_sizes(each), _written(each)) if table.lines]
    return found


def _mixed_accuracy(columns: Sequence[Comparison]) -> PaperTable:
    """BF16, the low scheme everywhere, and the mixed recipe at every budget."""
    study = columns[0].study
    budgets = sorted({bits for each in columns for bits in each.study.avg_bits})
    fixed = [recipe for recipe in RECIPES.values() if recipe.is_baseline or recipe.is_lowest]
    keys: list[Key] = [
        *((recipe.name, None, _called(recipe, study)) for recipe in fixed),
        *((each.name, bits, f"{_called(each, study)} {bits:g}-bit") for bits in budgets for each in _choosing()),
        *(
            (name, None, called if "without" in called else f"AWQ + {called}")
            for name, called in _written_as().items()
        ),
    ]
    lines = _lines(columns, keys)
    baseline = [_called(recipe, study) for recipe in fixed if recipe.is_baseline]
    quantized = [line for line in lines if line[0] not in baseline]
    return PaperTable(f"{_pair(study)} mixed accuracy", _header("Average bits", columns), lines if quantized else ())


def _other_recipes(columns: Sequence[Comparison], bits: float) -> PaperTable:
    """Head, tail and mixed at one budget; none where there is nothing beside the mixed recipe."""
    study = columns[0].study
    named = [recipe for recipe in RECIPES.values() if recipe.takes_budget and recipe.published_as]
    # in the order of the document
    edges: list[Key] = [(r.name, bits, _called(r, study)) for r in reversed(named) if not r.reads_weights]
    ours: list[Key] = [(recipe.name, bits, _called(recipe, study)) for recipe in _choosing()]
    title = f"Comparison with other recipes at an average of {bits:g} bits of {_datatype(study)}"
    lines = _lines(columns, [*edges, *ours]) if _lines(columns, edges) else ()
    return PaperTable(title, _header(f"Avg. bits = {bits:g}", columns), lines)


def _lines(columns: Sequence[Comparison], keys: Sequence[Key]) -> tuple[tuple[str, ...], ...]:
    """A line for each recipe, and for each label it goes by where studies are compared, that any column has."""
    lines = []
    for recipe, bits, name in keys:
        rows = [
            {
                translate(row.label): row
                for row in each.rows
                if (row.recipe, row.avg_bits, row.kv_cache) == (recipe, bits, None)
            }
            for each in columns
        ]
        for label in dict.fromkeys(label for found in rows for label in found):
            cells = (_cell(found.get(label)) for found in rows)
            lines.append((f"{name}, {label}" if label else name, *cells))
    return tuple(lines)


def _cell(row: Row | None) -> str:
    return numbers.score_with_percent(row.average, row.percent_of_bf16) if row else numbers.MISSING


def _header(corner: str, columns: Sequence[Comparison]) -> tuple[str, ...]:
    return corner, *map(_model, columns)


def _model(comparison: Comparison) -> str:
    """A model as the document calls it.

    `meta-llama/Llama-3.1-8B-Instruct` is `Llama3.1-8B-I`.
    """
    name = comparison.model_title.partition("@")[0]
    return re.sub(r"^Llama-", "Llama", re.sub(r"-Instruct$", "-I", name.rpartition("/")[2]))


def _pair(study: Study) -> str:
    """`MXFP4/8`, `W2G128/W4G128`."""
    names = [_scheme(name) for name in study.schemes]
    if SCHEMES[study.schemes[0]].format == "int":
        return "/".join(names)
    return "/".join([names[0], *(name.removeprefix("MXFP") for name in names[1:])])


def _datatype(study: Study) -> str:
    names = [_scheme(name) for name in study.schemes]
    return " and ".join(names) if SCHEMES[study.schemes[0]].format == "int" else "mxfp datatype"


def _scheme(name: str) -> str:
    """A scheme as the document calls it: groups are named with weight-only ones."""
    scheme = SCHEMES[name]
    return f"W{scheme.bits}G{scheme.group_size}" if scheme.format == "int" else name


def _called(recipe: type[RecipeSpec], study: Study) -> str:
    """A recipe as the documents call it."""
    low, high = (SCHEMES[name] for name in (study.schemes[0], study.schemes[-1]))
    width = high.name if high.name == UNQUANTIZED else f"{high.bits}-bit"
    return recipe.published_as.format(low=f"{low.bits}-bit", high=width)


def _choosing() -> list[type[RecipeSpec]]:
    """The documents' own recipe: it chooses layers by their weights."""
    return [r for r in RECIPES.values() if r.reads_weights and r.takes_budget and r.published_as]


def _written_as() -> dict[str, str]:
    """Recipes that write checkpoints, as the documents call them; those after AWQ first."""
    found = {recipe.name: recipe.published_as for recipe in RECIPES.values() if recipe.writes and recipe.published_as}
    return dict(sorted(found.items(), key=lambda each: "without" in each[1]))


def _sizes(comparison: Comparison) -> PaperTable:
    """The sizes of compressed checkpoints."""
    names = _written_as()
    rows = [(row, names[row.recipe]) for row in comparison.rows if row.recipe in names and row.size_bytes]
    lines = tuple((name, f"{(row.size_bytes or 0) / 1e9:.2f} GB") for row, name in rows)
    return PaperTable(f"Quantization results, {_model(comparison)}", ("Scheme", "Size"), lines)


def _written(comparison: Comparison) -> PaperTable:
    """Strict and flexible scores of questions answered in writing."""
    lines, names = [], _written_as()
    for row in comparison.rows:
        score = row.task(WRITTEN_TASK)
        if score:
            name = names.get(row.recipe) or translate(row.title)
            lines.append((name, _share(score.value), _share(score.flexible)))
    return PaperTable(
        f"GSM8K results, {_model(comparison)}", ("Model", "Strict Match", "Flexible Extract"), tuple(lines)
    )


def _share(value: float | None) -> str:
    return numbers.MISSING if value is None else f"{100 * value:.2f}%"


def _notes(columns: Sequence[Comparison]) -> Iterator[str]:
    tasks = ", ".join(columns[0].study.tasks)
    yield f"Average accuracy across {tasks}; in brackets percent of BF16. Ours: the mixed recipe. Pure: uniform."
    for each in columns:
        yield " ".join([f"{_model(each)}:", *caveats(each), *(f"{line}." for line in problems(each))])


def as_markdown(columns: Sequence[Comparison]) -> str:
    """The tables as Markdown, with their conditions."""
    parts = []
    for number, table in enumerate(published_layout(columns), 1):
        parts += [f"**Table {number}** {markdown(table.title)}", markdown_table(table.header, table.lines)]
    return "\n\n".join([*parts, *map(markdown, _notes(columns))])


def as_latex(columns: Sequence[Comparison]) -> str:
    """The tables as LaTeX, with their conditions as comments; needs the booktabs package."""
    notes = [f"% {one_line(note)}" for note in _notes(columns)]
    return "\n\n".join([*map(_latex_part, published_layout(columns)), "\n".join(notes)])


def _latex_part(table: PaperTable) -> str:
    inside = [r"\centering", rf"\caption{{{latex(table.title)}}}", latex_table(table.header, table.lines)]
    return "\n".join([r"\begin{table}", *inside, r"\end{table}"])


LAYOUTS: Mapping[str, Callable[[Sequence[Comparison]], str]] = {
    "published_md": as_markdown,
    "published_latex": as_latex,
}
"""Formats of `show`, besides those of `render`."""
