"""The best recipe: predictions that hold, and a choice that no other recipe's config beats where it was measured."""

import json
from pathlib import Path
from statistics import mean
from typing import Any

import pytest

from qcompare.evaluate.divergence import Passages, divergence
from qcompare.formats.bits import count
from qcompare.quantize.simulate import simulate
from qcompare.recipes.allocate import allocate
from qcompare.recipes.bench import Bench
from qcompare.recipes.best import Best
from qcompare.recipes.edges import edge_config
from qcompare.recipes.groups import layer_groups, torn_groups
from qcompare.recipes.lab import Lab
from qcompare.recipes.scores import SCORERS
from qcompare.settings import Settings
from qcompare.study.spec import Study

BEST = Best()


@pytest.fixture
def text(tmp_path: Path) -> Path:
    path = tmp_path / "text.jsonl"
    sentence = "the capital of France is Paris and bread stays fresh in a box while light is scattered by air"
    words = sentence.split()
    rows = [" ".join(words[(7 * n + i * (n + 3)) % len(words)] for i in range(80)) for n in range(16)]
    path.write_text("\n".join(json.dumps({"text": row}) for row in rows), encoding="utf-8")
    return path


def make_lab(
    folder: Path, text: Path, settings: Settings, recipe: Best = BEST, avg_bits: float = 5.0, **study: Any
) -> Lab:
    calibration = {"dataset": str(text), "num_samples": 8, "max_seq_length": 48}
    spec = Study.model_validate({"model": str(folder), "calibration": calibration, **study})
    lab = Lab(spec, recipe, avg_bits, settings, "cpu", "float32", folder)
    lab.fetch()
    return lab


def test_no_other_recipes_config_is_better_where_it_was_measured(
    tiny_llama: Path, text: Path, settings: Settings
) -> None:
    lab = make_lab(tiny_llama, text, settings)
    config = lab.recipe.choose(lab)
    bench, study = lab.bench, lab.study
    assert lab.choice is not None and lab.layer_scores is not None
    assert lab.choice.measured_kl == pytest.approx(mean(bench.kl(config, 0, bench.passages)))
    assert lab.choice.predicted_kl == pytest.approx(lab.layer_scores.total(config))
    groups = layer_groups(lab.facts.layers, False)
    for end in ("head", "tail"):
        other = edge_config(groups, study.schemes, 5.0, True, end)
        assert lab.choice.measured_kl <= mean(bench.kl(other, 0, bench.passages))
    by_scores = allocate(groups, study.schemes, lab.layer_scores.losses, 5.0, True)
    assert lab.choice.measured_kl <= mean(bench.kl(by_scores, 0, bench.passages))
    assert count(lab.facts.layers, config, 5.0).achieved <= 5.0


def test_what_is_measured_is_what_a_job_would_measure(tiny_llama: Path, text: Path, settings: Settings) -> None:
    lab = make_lab(tiny_llama, text, settings, Best(effort="scores"))
    config = lab.recipe.choose(lab)
    measured = lab.bench.kl(config, 0, 1)
    model, _ = lab.load()
    simulate(model, config)
    passage = Passages((tuple(lab.bench.texts[1][0]),), "")
    assert measured == [divergence(model, [lab.bench._reference[0]], passage).kl]


@pytest.mark.parametrize(
    ("schemes", "avg_bits", "shared"),
    [
        (("MXFP4", "MXFP8"), 5.0, True),
        (("MXFP4", "MXFP6", "MXFP8"), 5.5, False),
        (("MXFP4", "MXFP8", "BF16"), 7.0, False),
        (("NVFP4", "BF16"), 8.0, True),
        (("W2A16G32", "W4A16G32"), 3.0, False),
    ],
)
def test_every_family_stays_within_its_budget(
    schemes: tuple[str, ...], avg_bits: float, shared: bool, tiny_llama: Path, text: Path, settings: Settings
) -> None:
    recipe = Best(comparisons=3)
    lab = make_lab(tiny_llama, text, settings, recipe, avg_bits, schemes=schemes, shared_layers=shared)
    config = recipe.choose(lab)
    assert set(config) == {layer.name for layer in lab.facts.layers}
    assert count(lab.facts.layers, config, avg_bits).achieved <= avg_bits
    assert len(set(config.values())) > 1
    assert not shared or torn_groups(lab.facts.layers, config) == []


def test_an_interrupted_search_goes_on_to_the_same_choice(
    tiny_llama: Path, text: Path, settings: Settings, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    undisturbed = settings.model_copy(update={"home": tmp_path / "undisturbed"})
    lab = make_lab(tiny_llama, text, undisturbed)
    expected, measured = lab.recipe.choose(lab), Bench._measured
    counted = []

    def killed(bench: Bench, config: Any, number: int) -> float:
        if len(counted) == 30:
            raise KeyboardInterrupt
        counted.append(number)
        return measured(bench, config, number)

    monkeypatch.setattr(Bench, "_measured", killed)
    with pytest.raises(KeyboardInterrupt):
        lab = make_lab(tiny_llama, text, settings)
        lab.recipe.choose(lab)
    again: list[int] = []
    monkeypatch.setattr(Bench, "_measured", lambda *args: again.append(args[2]) or measured(*args))
    lab = make_lab(tiny_llama, text, settings)
    assert lab.recipe.choose(lab) == expected
    whole = len(counted) + len(again)
    monkeypatch.setattr(Lab, "load", lambda lab: pytest.fail("all of it is kept"))
    lab = make_lab(tiny_llama, text, settings)
    assert lab.recipe.choose(lab) == expected
    assert len(again) < whole


def test_predictions_are_close_to_what_is_measured(tiny_llama: Path, text: Path, settings: Settings) -> None:
    lab = make_lab(tiny_llama, text, settings, Best(effort="scores"), avg_bits=8.0)
    config = lab.recipe.choose(lab)
    assert lab.choice is not None and lab.choice.predicted_kl is not None
    measured = mean(lab.bench.kl(config, 0, lab.bench.passages))
    assert set(config.values()) == {"MXFP8"}
    assert 0.6 < lab.choice.predicted_kl / measured < 1.6


@pytest.mark.parametrize("scorer", list(SCORERS))
def test_every_way_to_score_gives_a_loss_of_every_layer(
    scorer: str, tiny_llama: Path, text: Path, settings: Settings, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    recipe = Best(scores=scorer, effort="scores")
    lab = make_lab(tiny_llama, text, settings, recipe)
    config = recipe.choose(lab)
    assert lab.layer_scores is not None and lab.layer_scores.scorer == scorer
    for of_layers in lab.layer_scores.losses.values():
        assert set(of_layers) == set(config)
    low, high = (sum(lab.layer_scores.losses[scheme].values()) for scheme in lab.study.schemes)
    assert low > high
