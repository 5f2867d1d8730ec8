"""The mixed recipe is auto-round's own choice."""

import json
from collections.abc import Callable, Sequence
from contextlib import nullcontext
from pathlib import Path
from typing import Any

import pytest
import torch

from qcompare.formats.library import library_scheme
from qcompare.formats.mxfp import Microscaling
from qcompare.models.sources import describe, fetch
from qcompare.models.sources import load as load_job_model
from qcompare.recipes import autoscheme
from qcompare.recipes.allocate import allocate
from qcompare.recipes.autoscheme import LayerLosses, Scoring, autoscheme_compressor, layer_losses
from qcompare.recipes.groups import layer_groups
from qcompare.settings import Settings
from qcompare.store.cache import Cache, CacheKey


@pytest.fixture
def text(tmp_path: Path) -> Path:
    path = tmp_path / "text.jsonl"
    sentence = "The capital of France is Paris, and it is famous for the Eiffel Tower. "
    path.write_text("\n".join(json.dumps({"text": f"{n}. " + sentence * 12}) for n in range(12)))
    return path


def load(folder: Path) -> tuple[Any, Any]:
    from transformers import AutoModelForCausalLM, AutoTokenizer

    model = AutoModelForCausalLM.from_pretrained(folder, dtype=torch.float32).eval()
    return model, AutoTokenizer.from_pretrained(folder)


def scoring(text: Path) -> Scoring:
    return Scoring(str(text), num_samples=4, max_seq_length=32, seed=42)


def score(
    model: Path,
    schemes: tuple[str, ...],
    text: Path,
    folder: Path,
    report: Callable[[int, int], None] = lambda done, total: None,
    make: Callable[[], tuple[Any, Any]] | None = None,
) -> LayerLosses:
    def key(kind: str, sources: Sequence[str], **inputs: Any) -> CacheKey:
        return CacheKey(kind, "abc", {}, "", inputs)

    return layer_losses(make or (lambda: load(model)), schemes, scoring(text), "cpu", Cache(folder), key, report)


@pytest.mark.parametrize(
    ("schemes", "budgets"),
    [
        (("MXFP4", "MXFP8"), (4.5, 5.0, 6.0)),
        (("W2A16G64", "W4A16G64"), (3.0,)),
        (("MXFP4", "MXFP8", "BF16"), (7.0,)),
        (("MXFP4", "NVFP4", "FP8_DYNAMIC", "BF16"), (6.0,)),
        (("NVFP4", "INT8_W8A8"), (6.0,)),
    ],
)
def test_every_budget_from_one_scoring_is_the_choice_of_auto_round(
    schemes: tuple[str, ...],
    budgets: tuple[float, ...],
    tiny_llama: Path,
    text: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    settings: Settings,
) -> None:
    monkeypatch.chdir(tmp_path)
    steps: list[tuple[int, int]] = []
    losses = score(tiny_llama, schemes, text, tmp_path / "ours", report=lambda d, t: steps.append((d, t)))
    assert steps[-1][0] == steps[-1][1]
    layers = describe(str(tiny_llama), settings).layers
    for avg_bits in budgets:
        monkeypatch.setenv("AR_AUTO_SCHEME_CACHE", str(tmp_path / "direct"))
        direct = autoscheme_compressor(*load(tiny_llama), schemes, scoring(text), avg_bits, True, "cpu")
        direct.post_init()
        expected = {
            name: (c["bits"], c["group_size"]) for name, c in direct.layer_config.items() if name != "lm_head"
        }
        ours = allocate(layer_groups(layers, False), schemes, losses, avg_bits, True)
        assert {name: facts(scheme) for name, scheme in ours.items()} == expected
        assert len(set(ours.values())) > 1


def facts(scheme: str) -> tuple[int, int]:
    definition = library_scheme(scheme)
    return definition.bits, definition.group_size


def test_what_was_scored_once_is_not_scored_again(
    tiny_llama: Path, text: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)

    def never(folder: Path) -> Any:
        raise AssertionError("scored again")

    first = score(tiny_llama, ("MXFP4", "MXFP8"), text, tmp_path / "scores")
    monkeypatch.setattr("tests.recipes.test_autoscheme.load", never)
    assert score(tiny_llama, ("MXFP4", "MXFP8", "BF16"), text, tmp_path / "scores") == first
    text.write_text(text.read_text() + json.dumps({"text": "other words " * 40}))
    with pytest.raises(AssertionError, match="scored again"):
        score(tiny_llama, ("MXFP4", "MXFP8"), text, tmp_path / "scores")


def test_an_aborted_scoring_costs_only_itself_and_goes_on_where_it_was(
    tiny_llama: Path, text: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Version 0.1 threw away every layer score of the model."""
    monkeypatch.chdir(tmp_path)
    whole = score(tiny_llama, ("MXFP4", "MXFP8"), text, tmp_path / "undisturbed")
    score(tiny_llama, ("MXFP4",), text, tmp_path / "scores")

    def stop(done: int, total: int) -> None:
        if done > total * 0.6:  # of two schemes, inside the second one
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        score(tiny_llama, ("MXFP4", "MXFP8"), text, tmp_path / "scores", report=stop)
    with monkeypatch.context() as patch:
        patch.setattr("tests.recipes.test_autoscheme.load", None)
        assert score(tiny_llama, ("MXFP4",), text, tmp_path / "scores")["MXFP4"] == whole["MXFP4"]
    assert score(tiny_llama, ("MXFP4", "MXFP8"), text, tmp_path / "scores") == whole


def test_our_roundings_are_used_and_change_no_loss(
    tiny_llama: Path, text: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    rounded: list[torch.Size] = []
    plain = Microscaling.round
    monkeypatch.setattr(Microscaling, "round", lambda self, x: rounded.append(x.shape) or plain(self, x))

    def losses(folder: str) -> LayerLosses:
        return score(tiny_llama, ("MXFP4", "MXFP8"), text, tmp_path / folder)

    ours = losses("ours")
    assert rounded
    monkeypatch.setattr(autoscheme, "our_roundings", nullcontext)
    rounded.clear()
    assert losses("theirs") == ours
    assert not rounded


def test_layers_of_gpt2_are_scored_as_they_are_computed(
    make_model: Callable[..., Path], text: Path, tmp_path: Path, settings: Settings, monkeypatch: pytest.MonkeyPatch
) -> None:
    """GPT-2's files hold weights transposed: a square one loaded from them again would be silently wrong."""
    monkeypatch.chdir(tmp_path)
    local = fetch(str(make_model("GPT2Config", num_hidden_layers=2, n_inner=64)), settings)
    model, tokenizer = load_job_model(local, "cpu", "float32", settings, hub_kernels=False)
    before = {name: weights.clone() for name, weights in model.named_parameters()}

    def losses(folder: str) -> LayerLosses:
        return score(local.path, ("MXFP4", "MXFP8"), text, tmp_path / folder, make=lambda: (model, tokenizer))

    found = losses("with files")
    assert all(torch.equal(weights, before[name]) for name, weights in model.named_parameters())
    model.config._name_or_path = model.name_or_path = ""
    assert losses("without files") == found


def test_layers_are_scored_in_this_process(tmp_path: Path) -> None:
    """auto-round's workers on a GPU would load the model with `trust_remote_code=True`."""
    from auto_round import envs

    assert envs.AR_ENABLE_AUTO_SCHEME_PARALLEL
    with autoscheme._environment(tmp_path):
        assert not envs.AR_ENABLE_AUTO_SCHEME_PARALLEL


def test_scoring_layers_leaves_torch_as_it_was(
    tiny_llama: Path, text: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """auto-round switches to deterministic algorithms: what is scored after it would be computed otherwise."""
    monkeypatch.chdir(tmp_path)
    before = torch.are_deterministic_algorithms_enabled()
    torch.use_deterministic_algorithms(False)
    try:
        score(tiny_llama, ("MXFP4",), text, tmp_path / "scores")
        assert not torch.are_deterministic_algorithms_enabled()
    finally:
        torch.use_deterministic_algorithms(before)
