"""From widget values to a study, and what is sent back to the screen."""

from dataclasses import replace
from pathlib import Path
from typing import Any

import gradio as gr
import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from qcompare.errors import InvalidStudy
from qcompare.present.job_progress import read_job_progress
from qcompare.settings import Settings
from qcompare.store import Store
from qcompare.study.presets import DEFAULT_SIZE, SIZES
from qcompare.study.prompts import as_prompt, from_lines, to_lines
from qcompare.study.reading import parse_study, read_study
from qcompare.study.recipe import RECIPES, default_recipes, recipe_from_text
from qcompare.study.spec import Study
from qcompare.study.task import TASKS
from qcompare.ui.app import study_of
from qcompare.ui.new import compare_with, form
from qcompare.ui.new.fill import NAMES, fill
from qcompare.ui.parts import PageState, Panel, nothing_open, refresh
from qcompare.ui.progress.tab import chosen_job
from tests.synthetic import add_study, fail_job, finish_job, run_job
from tests.tiny import write_gguf

DEFAULT = form.StudyForm(
    source=form.DEMO,
    name=None,
    schemes=form.DEFAULT_SCHEMES,
    budget=5.0,
    recipes=[recipe.name for recipe in default_recipes()],
    tasks=list(DEFAULT_SIZE.tasks),
    limit=DEFAULT_SIZE.limit,
    prompts=to_lines(Study().prompts),
)


def test_untouched_widgets_ask_for_the_default_study() -> None:
    assert DEFAULT.study() == Study()


def test_checkpoints_are_recipes_and_come_back_from_the_study(settings: Settings) -> None:
    asked = replace(DEFAULT, checkpoints=["org/name-AWQ", "org/name-GGUF:name-Q4_K_M.gguf"])
    assert [recipe.title for recipe in asked.study().recipes[-2:]] == ["name-AWQ", "name-Q4_K_M"]
    assert form.StudyForm.like(asked.study(), settings) == replace(asked, recipes=asked.recipes)
    shown = fill(asked.study(), settings)[NAMES.index("checkpoints")]
    assert shown["value"] == asked.checkpoints
    assert shown["visible"]


def test_an_fp8_cache_is_asked_for_in_every_row_that_may_have_one(settings: Settings) -> None:
    asked = replace(DEFAULT, fp8_cache=True, checkpoints=["org/name-AWQ", "http://localhost:8000/v1"])
    found = {recipe.name: recipe.kv_cache for recipe in asked.study().recipes}
    assert {name for name, cache in found.items() if cache is None} == {"bf16", "endpoint"}
    assert form.StudyForm.like(asked.study(), settings) == asked


OTHERS: dict[str, Any] = {
    "model": "org/name@v2",
    "schemes": ["MXFP4", "MXFP6", "MXFP8"],
    "avg_bits": [4.5, 5.25, 6.0],
    "max_size": ["130 MB"],
    "quant_lm_head": True,
    "quant_embedding": True,
    "ignore": ["re:.*down_proj"],
    "ignore_scale_zp_bits": False,
    "shared_layers": True,
    "rounding": "tuned",
    "iters": 7,
    "awq_n_grid": 5,
    "recipes": [
        "bf16",
        {"recipe": "mixed", "avg_bits": [4.5], "title": "Mixed 4.5"},
        {"recipe": "mixed", "avg_bits": [6.0], "kv_cache": "fp8"},
        {"recipe": "layers", "layer_config": {"model.layers.0.mlp.up_proj": "MXFP8"}},
        {"recipe": "checkpoint", "from": "org/name-AWQ", "kv_cache": "fp8"},
        "uniform",
    ],
    "tasks": ["piqa", "mmlu"],
    "limit": None,
    "num_fewshot": 3,
    "chat_template": True,
    "system_instruction": "Be brief.",
    "fewshot_as_multiturn": False,
    "gen_kwargs": {"max_gen_toks": 256, "until": ["x"]},
    "enable_thinking": False,
    "think_end_token": "</think>",
    "prompts": ["  > not a follow-up", ["One", "Two"]],
    "max_new_tokens": 9,
    "calibration": {"num_samples": 8},
    "divergence": None,
    "noise_floor": True,
    "scorer": "lm_eval",
    "batch_size": 2,
    "add_bos_token": True,
    "margin": 0.25,
    "hub_kernels": True,
    "seed": 7,
}
"""For every setting of a study another value than the default one."""


def copied(study: Study, settings: Settings) -> form.StudyForm:
    """What the widgets hold after the settings of a study were copied to New."""
    values = fill(study, settings)
    return form.StudyForm(*(value["value"] if isinstance(value, dict) else value for value in values))


def test_the_settings_that_are_tried_are_all_that_a_study_has() -> None:
    assert {*OTHERS} == {*Study.model_fields}
    default, other = Study(), parse_study(OTHERS)
    assert [name for name in OTHERS if getattr(default, name) == getattr(other, name)] == []


@given(st.sets(st.sampled_from(sorted(OTHERS))))
@example({*OTHERS})
def test_every_setting_survives_copy_settings_to_new(names: set[str]) -> None:
    study = parse_study({name: OTHERS[name] for name in names})
    again = copied(study, Settings(offline=True)).study()
    assert again == study
    assert read_study(again.to_yaml()) == study


def test_what_is_changed_in_the_form_wins_over_what_was_copied(settings: Settings) -> None:
    study = parse_study(OTHERS)
    asked = copied(study, settings)
    assert "seed: 7" in asked.kept() and "avg_bits: [4.5, 5.25, 6.0]" in asked.kept()
    changed = replace(asked, source=form.DEMO, budget=5.0, limit=10, tasks=["piqa"], noise_floor=False).study()
    assert (changed.model, changed.avg_bits, changed.max_size) == ("demo", (5.0,), None)
    assert (changed.limit, changed.tasks, changed.noise_floor, changed.seed) == (10, ("piqa",), False, 7)
    assert changed.recipes == study.recipes
    assert not any(row.kv_cache for row in replace(asked, fp8_cache=False).study().recipes)
    assert replace(asked, base="").study().seed == Study().seed


def test_settings_that_the_widgets_show_are_not_said_to_be_copied_besides(settings: Settings) -> None:
    asked = copied(Study(limit=3, noise_floor=True, avg_bits=(4.5,)), settings)
    assert asked.base == "" and asked.kept() == ()


def test_copied_settings_that_no_browser_was_sent_are_refused_in_a_line() -> None:
    for text in ("{", "[1]", '{"seed": "x"}', "[" * 100_000):
        with pytest.raises(InvalidStudy) as caught:
            replace(DEFAULT, base=text).study()
        assert "\n" not in str(caught.value)


def test_what_is_typed_or_dropped_to_compare_with_is_chosen(
    settings: Settings, tiny_llama: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    said: list[str] = []
    monkeypatch.setattr(gr, "Warning", said.append)
    chosen, typed, found = compare_with._typed(" org/x-AWQ ", [])
    assert (chosen["value"], typed, found) == (["org/x-AWQ"], "", "")
    compare_with._typed("nothing at all", [])
    assert "give org/name" in said[-1]
    file = write_gguf(tmp_path / "x.gguf", tiny_llama, "Q4_0")
    chosen, given = compare_with._dropped(str(file), ["org/x-AWQ"], settings)
    assert chosen["value"] == ["org/x-AWQ", str(settings.home / "checkpoints" / "x.gguf")]
    assert given is None
    assert not file.exists(), "a copy that anyone can fetch by its address was left behind"
    file.write_text("no GGUF")
    compare_with._dropped(str(file), [], settings)
    assert "is no GGUF file" in said[-1]


def test_an_empty_number_of_questions_means_all() -> None:
    assert replace(DEFAULT, limit=None).study().limit is None


def test_prompts_are_lines_and_blank_ones_are_none() -> None:
    assert replace(DEFAULT, prompts=" one \n\n two\n").study().prompts == ("one", "two")
    assert replace(DEFAULT, prompts="").study().prompts == ()


def test_a_line_with_an_angle_follows_up_on_the_line_above() -> None:
    asked = replace(DEFAULT, prompts="> first\n >why? \n>\ntwo\n> a\n> b")
    assert asked.study().prompts == (("> first", "why?"), ("two", "a", "b"))


@given(st.lists(st.lists(st.text("ab \n", min_size=1).filter(str.strip), min_size=1, max_size=3), max_size=3))
def test_prompts_of_a_stored_study_come_back_from_the_form(talks: list[list[str]]) -> None:
    prompts = tuple(as_prompt([turn.strip(" ") for turn in talk]) for talk in talks)
    assert from_lines(to_lines(prompts)) == prompts


@pytest.mark.parametrize(
    ("change", "reason"),
    [
        ({"limit": -3}, "^limit: "),
        ({"limit": 0}, "^limit: "),
        ({"budget": None}, "avg_bits"),
        ({"recipes": []}, "recipes"),
        ({"source": form.HUB, "name": "  "}, "no model is named"),
        ({"tasks": [], "prompts": ""}, "nothing to measure"),
    ],
)
def test_what_cannot_be_asked_is_one_line(change: dict[str, object], reason: str) -> None:
    with pytest.raises(InvalidStudy, match=reason) as caught:
        replace(DEFAULT, **change).study()
    assert "\n" not in str(caught.value)
    assert "user:" not in str(caught.value)


@given(st.text(), st.text(), st.one_of(st.none(), st.floats(-10, 40)), st.one_of(st.none(), st.integers(-5, 10**9)))
def test_no_typing_breaks_the_form(name: str, prompts: str, budget: float | None, limit: int | None) -> None:
    try:
        replace(DEFAULT, source=form.HUB, name=name, prompts=prompts, budget=budget, limit=limit).study()
    except InvalidStudy as error:
        assert str(error)


def test_ready_sizes_are_recognized_in_any_order() -> None:
    for size in SIZES:
        assert form.size_of(list(reversed(size.tasks)), size.limit) == size.name
    assert form.size_of(["piqa"], 25) == form.CUSTOM


def test_only_published_budgets_within_reach_are_offered() -> None:
    assert form.published_budgets((4.0, 8.0)) == [4.5, 5.0, 6.0]
    assert form.published_budgets((4.6, 5.5)) == [5.0]


def test_what_has_not_changed_is_not_sent_again(home: Path) -> None:
    state = PageState(Store(home), (), "")
    shown: list[str] = []
    part = Panel("p", ["one output"], lambda state: state.study_id, lambda state: [shown.append("x")])
    seen, _ = refresh([part], state, {})
    _, values = refresh([part], state, seen)
    assert shown == ["x"]
    assert values == [gr.skip()]


def test_the_log_shown_is_the_picked_one_or_that_of_what_runs_or_failed(home: Path) -> None:
    store = Store(home)
    study = add_study(store)
    jobs = store.jobs(study.id)
    assert chosen_job(read_job_progress(store, study.id), "") is None
    finish_job(store, study, jobs[0].id)
    fail_job(store, jobs[1].id, "no")
    failed = chosen_job(read_job_progress(store, study.id), "")
    run_job(store, jobs[2].id)
    running = chosen_job(read_job_progress(store, study.id), "")
    picked = chosen_job(read_job_progress(store, study.id), jobs[0].id)
    assert [s.job_id for s in (failed, running, picked) if s] == [jobs[1].id, jobs[2].id, jobs[0].id]


def test_without_a_study_in_the_address_the_newest_opens(home: Path) -> None:
    store = Store(home)
    assert study_of(store, "") == ""
    older, newer = add_study(store), add_study(store)
    assert study_of(store, "") == newer.id
    assert study_of(store, older.id) == older.id


def test_an_address_that_names_no_study_opens_none(home: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    said: list[str] = []
    monkeypatch.setattr("qcompare.ui.app.warn", lambda error: said.append(str(error)))
    store = Store(home)
    add_study(store)
    assert study_of(store, "nonsense") == ""
    assert "nonsense" in said[0]
    assert "No study is open: choose one" in nothing_open(PageState(store, (), ""))


def test_every_task_and_recipe_is_offered_with_a_sentence() -> None:
    assert all(info.text.endswith(".") for info in (*TASKS.values(), *RECIPES.values()))


def test_a_budget_out_of_reach_moves_to_a_published_one_when_formats_change() -> None:
    assert form.budget_within("MXFP4,MXFP8", 5.5) == 5.5
    assert form.budget_within("W2A16,W4A16", 5.0) == 3.0
    assert form.budget_within("MXFP4,MXFP6,MXFP8", 3.0) == 6.0
    assert form.budget_within("W5A16,W6A16", None) == 5.0


def test_a_row_that_the_screen_does_not_offer_does_not_keep_the_rest_from_being_filled_in(settings: Settings) -> None:
    row = {"recipe": "layers", "layer_config": {"model.layers.0.mlp.up_proj": "MXFP8"}}
    study = Study.model_validate({"recipes": ["bf16", "uniform", row]})
    asked = form.StudyForm.like(study, settings)
    assert asked.recipes == ["bf16", "uniform"]
    assert asked.study() == study
    assert replace(asked, recipes=["bf16"]).study().recipes == (study.recipes[0], study.recipes[2])


def test_a_checkpoint_and_a_server_are_asked_for_by_what_was_typed(tmp_path: Path) -> None:
    typed = [str(tmp_path / "model-AWQ"), "http://localhost:9/v1 my-model"]
    asked = replace(DEFAULT, checkpoints=typed)
    rows = asked.study().recipes[-2:]
    assert [row.name for row in rows] == ["checkpoint", "endpoint"]
    assert [row.as_text for row in rows] == typed
    assert form.StudyForm.like(asked.study(), Settings()).checkpoints == typed


@pytest.mark.parametrize("text", ["http://user:secret@host/v1", "http://", "a b c d"])
def test_what_is_no_model_is_refused_in_a_line_that_holds_no_secret(text: str) -> None:
    with pytest.raises(InvalidStudy) as caught:
        recipe_from_text(text)
    assert "\n" not in str(caught.value)
    assert "user:" not in str(caught.value)
