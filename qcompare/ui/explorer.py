"""Explorer: what every budget would give, from layer scores that the study's jobs stored.

All points go to the browser at once: the slider moves line, layer map and numbers there (`assets/explorer.js`).
"""

import json
from typing import Any

import gradio as gr

from qcompare.compare.published import PUBLISHED
from qcompare.compare.selection import read_selection
from qcompare.errors import InvalidStudy, QCompareError
from qcompare.jobs.submit import submit
from qcompare.plan.curve import BudgetCurves, Curve, curves_of_studies
from qcompare.present import palette
from qcompare.present.layer_map import place
from qcompare.store import Store
from qcompare.study.ids import StudyIds, format_ids
from qcompare.study.reading import parse_study
from qcompare.study.recipe import RECIPES, is_baseline
from qcompare.study.spec import Study
from qcompare.ui.pages import empty, opening, page
from qcompare.ui.parts import PageState, Panel, job_states, markup, nothing_open, warn
from qcompare.ui.server.asking import check_imported
from qcompare.ui.server.roles import Right, needs
from qcompare.ui.tabs import Tab, TabContext
from qcompare.words import gettext, gettext_noop, translate

MEMORY_GB = (8, 12, 16, 24)
WEIGHTS_SHARE = 0.85
"""Of a GPU's memory that weights may take: the rest is for activations and the KV cache."""


def build_explorer(context: TabContext) -> list[Panel]:
    """Lay out the tab in the current page."""
    shown = markup(opening(), elem_id="qc-explorer")
    with gr.Row(visible=False, elem_id="qc-evaluate", elem_classes="qc-needs-launch") as row:
        asked = gr.Textbox("", visible=False)
        evaluate = gr.Button(gettext("Evaluate this budget"), variant="primary", scale=0, min_width=240)
        markup(gettext("Measures the recipes of this study at the chosen budget and shows them beside it."))
    evaluate.click(
        needs(Right.LAUNCH)(lambda study, wanted: _start(context, study, wanted)),
        [context.study_id, asked], context.study_id, show_progress="minimal", api_visibility="private",
        js="(study) => [study, window.qcompare.explorer.asked()]",
    )  # fmt: skip
    return [Panel("explorer", [shown, row], job_states, _show, later=True)]


TAB = Tab(gettext_noop("Explorer"), build_explorer)


def study_at(study: Study, schemes: list[str], avg_bits: float) -> Study:
    """A study of the same baseline and recipes at one other budget.

    Raises:
        InvalidStudy: no recipe of it takes a budget.
    """
    recipes = []
    for recipe in study.recipes:
        if recipe.is_baseline:
            recipes.append(recipe)
        elif recipe.takes_budget and list(study.of_recipe(recipe).schemes) == schemes:
            cleared = {"avg_bits": None, "max_size": None, "schemes": None, "title": None}
            recipes.append(recipe.model_copy(update=cleared))
    if not any(recipe.takes_budget for recipe in recipes):
        raise InvalidStudy("no recipe of this study takes a budget of {schemes}", schemes=" + ".join(schemes))
    changes = {"recipes": recipes, "schemes": schemes, "avg_bits": [avg_bits], "max_size": None}
    return parse_study(study.model_dump() | changes, gettext("budget"))


def _start(context: TabContext, study_id: str, wanted: str) -> Any:
    """Queue the study of a budget; the page then shows both."""
    try:
        asked = json.loads(wanted or "{}")
        study = context.store.study(str(asked.get("study", study_id)))
        check_imported(study)
        record = submit(study_at(study.spec, asked["schemes"], float(asked["avg_bits"])), context.settings)
        return format_ids((study.id, record.id))
    except QCompareError as error:
        warn(error)
    except (AttributeError, KeyError, TypeError, ValueError):
        warn(InvalidStudy("choose a budget on the slider first"))
    return gr.skip()


def _show(state: PageState) -> list[Any]:
    hidden = gr.update(visible=False)
    if not state.study_ids:
        return [nothing_open(state), hidden]
    try:
        html, has_curves = explorer_html(state.store, state.study_ids)
    except QCompareError as error:
        return [empty(translate(error.message)), hidden]
    return [html, gr.update(visible=has_curves)]


def explorer_html(store: Store, study_ids: StudyIds) -> tuple[str, bool]:
    """The page of some studies, and whether there are curves on it; else it says why not.

    Raises:
        QCompareError: as for `read_selection`.
    """
    selection = read_selection(store, study_ids)
    found = curves_of_studies(store, selection.ids, selection.results)
    if not found:
        text = gettext(
            "No layer scores yet. A recipe that chooses layers by their scores brings them: start a study with one"
            " under New, or wait until it has finished."
        )
        return empty(text), False
    baseline = next((result.size_bytes for result in selection.results if is_baseline(result.recipe)), None)
    titles = {job_id: translate(title) for job_id, title in selection.titles.items()}
    payload = {
        "families": [_family(curves, titles) for curves in found],
        "baseline": baseline,
        "memory": [[gb, gb * 1e9 * WEIGHTS_SHARE] for gb in MEMORY_GB],
        "low": palette.LOW_SCHEME,
    }
    return page("explorer", payload=json.dumps(payload), memory_share=WEIGHTS_SHARE), True


def _family(curves: BudgetCurves, titles: dict[str, str]) -> dict[str, Any]:
    """One mix of schemes as the script reads it; layers by (projection, block), schemes by their index."""
    places = {layer.name: place(layer.name) for layer in curves.layers}
    known = [name for name, found in places.items() if found]
    return {
        "study": curves.study_id,
        "schemes": curves.schemes,
        "title": f"{' / '.join(curves.schemes)} · {curves.scorer}",
        "in_nats": curves.in_nats,
        "budgets": [round(bits, 4) for bits in curves.budgets],
        "published": sorted(_published_budgets(curves.schemes)),
        "layers": [places[name] for name in known],
        "curves": [_curve(curve, curves.schemes, known) for curve in curves.curves],
        "measured": [
            [
                *(titles.get(each.job_id, each.recipe), palette.colour(each.recipe)),
                *(each.avg_bits, each.size_bytes, each.kl, each.predicted),
            ]
            for each in curves.measured
        ],
    }


def _curve(curve: Curve, schemes: tuple[str, ...], layers: list[str]) -> dict[str, Any]:
    index = {scheme: str(number) for number, scheme in enumerate(schemes)}
    return {
        "title": gettext(RECIPES[curve.recipe].label),
        "colour": palette.colour(curve.recipe),
        "points": [
            [
                *(point.avg_bits, point.size_bytes, point.predicted),
                "".join(index.get(point.layer_config[name], "0") for name in layers),
            ]
            for point in curve.points
        ],
    }


def _published_budgets(schemes: tuple[str, ...]) -> set[float]:
    """Budgets of the published tables of these schemes, whatever their group size."""
    widths = [scheme.partition("G")[0].removesuffix("_RCEIL") for scheme in schemes]
    tables = [table for table in PUBLISHED if all(width in table.conditions for width in widths)]
    return {cell.avg_bits for table in tables for cell in table.cells if cell.avg_bits}
