"""New study: three cards (model, compress, measure), the estimate, the study file, and Start."""

from collections.abc import Callable, Sequence
from typing import Any

import gradio as gr

from qcompare.compare.resolution import detectable_difference
from qcompare.errors import QCompareError
from qcompare.jobs.submit import submit
from qcompare.present import numbers
from qcompare.settings import Settings
from qcompare.store import Store
from qcompare.study.formats import FORMATS
from qcompare.study.presets import DEFAULT_PROMPTS
from qcompare.study.recipe import RECIPES
from qcompare.study.spec import Study
from qcompare.ui.guide import build_path, build_walk
from qcompare.ui.new import form
from qcompare.ui.new.compare_with import build_compare_with
from qcompare.ui.new.estimate import UNTIMED, Estimate, SizeTime, estimate
from qcompare.ui.new.fill import fill_from_file
from qcompare.ui.new.model_search import build_model_search, picked_model
from qcompare.ui.new.reach import HEIGHT, MARGIN, WIDTH
from qcompare.ui.new.task_picker import build_task_picker, task_choices
from qcompare.ui.pages import page
from qcompare.ui.parts import QUIET, Panel, markup
from qcompare.ui.recording import STORIES, recordings
from qcompare.ui.server.roles import Right, may, needs
from qcompare.ui.tabs import Tab, TabContext
from qcompare.ui.texts import PITCH
from qcompare.words import gettext, gettext_noop, translate

PICK_BUDGET = """
element.addEventListener('click', (event) => {
  const tick = event.target.closest('[data-budget]');
  if (tick) trigger('pick', {budget: Number(tick.dataset.budget)});
});
"""
FORGET = "element.addEventListener('click', (event) => event.target.closest('[data-forget]') && trigger('forget'));"
EVENT = QUIET | {"preprocess": False}
"""Values as the browser sends them: Gradio answers a budget beyond the slider's ends with a server error, the form
with a sentence."""
START, START_ANYWAY = gettext_noop("Start study"), gettext_noop("Start anyway")
COMPRESS = gettext_noop(
    "A recipe chooses a format for each layer. The budget is the average number of bits per weight. "
    "Formats are simulated."
)
MEASURE = gettext_noop(
    "Every recipe answers the same questions, with the same few-shot examples. KL divergence on held-out text is "
    "measured too: it shows damage sooner."
)
RUN_COMMAND = "python -m qcompare run study.yaml"


def build_new(context: TabContext) -> list[Panel]:
    """Lay out the tab in the current page."""
    settings, default = context.settings, Study()
    stories = [(study_id, gettext(STORIES[story])) for story, study_id in recordings(Store(settings.home)).items()]
    build_path(page("lead", pitch=gettext(PITCH), stories=stories))
    base, kept = gr.Textbox("", visible=False), markup(elem_id="qc-kept", js_on_load=FORGET)
    kept.forget(None, None, base, js="() => ''", **QUIET)
    with gr.Row(elem_id="qc-cards", equal_height=True):
        with gr.Column(elem_classes="qc-card", scale=4, min_width=280):
            facts, picks, model_inputs = _model_card(settings)
        with gr.Column(elem_classes="qc-card", scale=6, min_width=280):
            ticks, compress_inputs, fp8_cache = _compress_card(default)
            checkpoints = build_compare_with(settings, *model_inputs)
        with gr.Column(elem_classes="qc-card", scale=5, min_width=280):
            size, measure_inputs, noise = _measure_card(default, settings)
    with gr.Column(elem_id="qc-file"):
        with gr.Row(equal_height=True):
            command = markup(_command(default.to_yaml()), scale=1)
            given = gr.UploadButton(
                gettext("Open a study file"), file_types=[".yaml", ".yml"], size="sm", scale=0, min_width=176,
            )  # fmt: skip
        with gr.Accordion(gettext("Study file and command"), open=False):
            study_file = gr.Code(
                default.to_yaml(), language="yaml", label="study.yaml", interactive=False, lines=10, max_lines=14
            )
    with gr.Row(elem_id="qc-start", equal_height=True):
        cost = markup(page("estimate", error="", found=None), elem_id="qc-estimate", scale=1)
        build_walk()
        start = gr.Button(gettext(START), variant="primary", scale=0, min_width=160, elem_id="qc-go")
    inputs = [*model_inputs, *compress_inputs, *measure_inputs, fp8_cache, checkpoints, noise, base]
    follow = [facts, compress_inputs[1], ticks, size, noise, kept, command, study_file, cost, start]
    context.form_inputs = inputs
    _follow_changes(context, inputs, follow, picks)
    # Through the queue: only there can a handler show a message.
    given.upload(
        needs(Right.LAUNCH)(lambda path: fill_from_file(path, settings)),
        given,
        inputs,
        show_progress="hidden",
        api_visibility="private",
    )
    start.click(
        _starter(settings), [start, *inputs], [context.study_id, context.tabs, cost],
        show_progress="minimal", api_visibility="private", preprocess=False,
    )  # fmt: skip
    return []


TAB = Tab(gettext_noop("New"), build_new)


def _starter(settings: Settings) -> Callable[..., list[Any]]:
    @needs(Right.LAUNCH)
    def start(button: str, *values: Any) -> list[Any]:
        try:
            study = submit(form.StudyForm(*values).study(), settings, anyway=button == gettext(START_ANYWAY))
        except QCompareError as error:
            return [gr.skip(), gr.skip(), page("estimate", error=translate(error.message), found=None)]
        return [study.id, gr.Tabs(selected="progress"), gr.skip()]

    return start


def _command(study_file: str) -> str:
    pasted = f"cat > study.yaml <<'STUDY'\n{study_file}STUDY\n{RUN_COMMAND}\n"
    return page("command", command=RUN_COMMAND, pasted=pasted, study_file=study_file)


def _model_card(settings: Settings) -> tuple[gr.HTML, gr.HTML, tuple[gr.Radio, gr.Textbox]]:
    markup(page("heading", text=gettext("Model"), lead=""))
    source = gr.Radio(
        [(gettext(kind), kind) for kind in (form.DEMO, form.HUB, form.FOLDER)],
        value=form.DEMO,
        label=gettext("Where it comes from"),
    )
    name = gr.Textbox(label=gettext("Name"), visible=False, max_lines=1, elem_id="qc-model")
    picks = build_model_search(settings, source, name)
    facts = markup(elem_id="qc-facts")
    source.change(_name_field, source, name, queue=False, show_progress="hidden", api_visibility="private")
    return facts, picks, (source, name)


def _name_field(source: str) -> Any:
    labels = {
        form.HUB: (gettext("Name on the hub"), gettext("type to search; or org/name@revision")),
        form.FOLDER: (gettext("Folder"), "/path/to/a/model"),
    }
    label, placeholder = labels.get(source, (gettext("Name"), ""))
    return gr.update(visible=source != form.DEMO, label=label, placeholder=placeholder)


def _compress_card(default: Study) -> tuple[gr.HTML, list[gr.components.Component], gr.Checkbox]:
    markup(page("heading", text=gettext("Compress"), lead=gettext(COMPRESS)))
    choices = [choice for format in FORMATS.values() for choice in format.choices]
    schemes = gr.Radio(
        [(gettext(choice.text), form.schemes_value(choice.schemes)) for choice in choices],
        value=form.DEFAULT_SCHEMES, label=gettext("Formats to mix"), elem_classes="qc-choices",
    )  # fmt: skip
    low, high = form.budget_range(form.DEFAULT_SCHEMES)
    budget = gr.Slider(
        low,
        high,
        value=default.avg_bits[0],
        step=form.SLIDER_STEP,
        label=gettext("Budget: average bits per weight"),
        elem_id="qc-budget",
    )
    ticks = markup(js_on_load=PICK_BUDGET, elem_id="qc-ticks")
    recipes = gr.CheckboxGroup(
        [(f"{gettext(each.label)}\n{gettext(each.text)}", each.name) for each in RECIPES.values() if each.offered],
        value=[recipe.name for recipe in default.recipes], label=gettext("Recipes"),
        elem_classes=["qc-choices", "qc-pairs"],
    )  # fmt: skip
    fp8_cache = gr.Checkbox(
        label=gettext("FP8 KV cache"),
        info=gettext("Keys and values are rounded to 8 bits too, in every row but BF16 and servers."),
    )
    schemes.input(form.budget_within, [schemes, budget], budget, **EVENT)
    ticks.pick(_picked_budget, None, budget, queue=False, show_progress="hidden", api_visibility="private")
    return ticks, [schemes, budget, recipes], fp8_cache


def _picked_budget(event: gr.EventData) -> float:
    return float(event.budget)


def _measure_card(default: Study, settings: Settings) -> tuple[gr.Radio, list[gr.components.Component], gr.Checkbox]:
    markup(page("heading", text=gettext("Measure"), lead=gettext(MEASURE)))
    size = gr.Radio(
        _size_choices(UNTIMED), value=form.size_of(list(default.tasks), default.limit), label=gettext("How much"),
        elem_classes="qc-choices",
    )  # fmt: skip
    with gr.Accordion(gettext("Tasks and questions"), open=False) as details:
        tasks = gr.CheckboxGroup(
            task_choices(default.tasks), value=list(default.tasks), label=gettext("Tasks"), elem_classes="qc-choices",
        )  # fmt: skip
        build_task_picker(settings, tasks)
        limit = gr.Number(
            default.limit, label=gettext("Questions per task"), precision=0,
            info=gettext("Leave empty for all. MMLU counts each of its 57 subjects."),
        )  # fmt: skip
        noise = gr.Checkbox(default.noise_floor, label=gettext("Measure numerical noise"), info=_noise_info(None))
    prompts = gr.Textbox(
        "\n".join(DEFAULT_PROMPTS),
        label=gettext("Prompts"),
        info=gettext(
            "One per line; every recipe answers them. A line that begins with > follows up on the line above."
        ),
        lines=3,
        max_lines=8,
    )
    size.input(_size_values, size, [tasks, limit, details], **EVENT)
    gr.on([tasks.change, limit.change], form.size_of, [tasks, limit], size, **EVENT)
    return size, [tasks, limit, prompts], noise


def _noise_info(seconds: float | None) -> str:
    text = gettext(
        "Some questions of every row again in another dtype. Differences no larger than what that changes are "
        "numerical, not damage."
    )
    if seconds is None:
        return text
    return " ".join((text, gettext("Adds {time}.", time=numbers.about(seconds))))


def _size_choices(sizes: Sequence[SizeTime]) -> list[tuple[str, str]]:
    return [
        *((_size_text(each), each.size.name) for each in sizes),
        (gettext("Custom") + "\n" + gettext("Your own tasks and number of questions"), form.CUSTOM),
    ]


def _size_text(sized: SizeTime) -> str:
    size = sized.size
    points = f"{100 * detectable_difference(size.tasks, size.limit):.1g}"
    if size.limit is None:
        text = gettext("All questions, shows gaps over {points} points", points=points)
    else:
        text = gettext("{n} questions per task, shows gaps over {points} points", n=size.limit, points=points)
    name = gettext(size.name)
    return f"{name}\n{text}" if sized.seconds is None else f"{name} · {numbers.about(sized.seconds)}\n{text}"


def _size_values(name: str) -> list[Any]:
    size = form.size_named(name)
    return (
        [gr.skip(), gr.skip(), gr.Accordion(open=True)] if size is None else [list(size.tasks), size.limit, gr.skip()]
    )


def _follow_changes(
    context: TabContext, inputs: list[gr.components.Component], follow: list[gr.blocks.Block], picks: gr.HTML
) -> None:
    """Recompute the estimate when a value changes; of many changes in a row only the last counts."""
    name = inputs[1]
    triggers = [widget.change for widget in inputs if widget is not name]

    def follow_up(*values: Any) -> list[Any]:
        if not may(Right.LAUNCH):  # planning asks hubs and servers
            return [gr.skip()] * len(follow)
        return shown(estimate(form.StudyForm(*values), context.settings))

    gr.on([*triggers, name.submit, name.blur], follow_up, inputs, follow, trigger_mode="always_last", **EVENT)
    context.app.load(follow_up, inputs, follow, **EVENT)
    picks.pick(picked_model, None, [name, picks], **EVENT).then(follow_up, inputs, follow, **EVENT)


def _reach(found: Estimate) -> str:
    if found.plan is None or found.sizes_reached is None or found.budget is None:
        return ""
    reach, facts = found.sizes_reached, found.plan.facts
    inside = [bits for bits in form.published_budgets(found.reach) if bits not in found.reach]
    return page(
        "reach", reach=reach, chosen=found.budget, marks=[reach.mark(bits) for bits in inside],
        original=2 * facts.num_params, width=WIDTH, height=HEIGHT, base=HEIGHT - MARGIN,
    )  # fmt: skip


def shown(found: Estimate) -> list[Any]:
    """An estimate as values of the widgets that follow the form."""
    low, high = found.reach
    return [
        page("facts", facts=found.plan.facts, fits=found.fits) if found.plan else "",
        gr.update(minimum=low, maximum=high),
        page("ticks", budgets=form.published_budgets(found.reach), chosen=found.budget) + _reach(found),
        gr.update(choices=_size_choices(found.sizes)),
        gr.update(info=_noise_info(found.noise_seconds)),
        page("kept", lines=found.kept) if found.kept else "",
        _command(found.study_file) if found.study_file else gr.skip(),
        found.study_file if found.study_file else gr.skip(),
        page("estimate", error=found.error, found=found),
        gr.update(interactive=found.plan is not None, value=gettext(START_ANYWAY if found.shortage else START)),
    ]
