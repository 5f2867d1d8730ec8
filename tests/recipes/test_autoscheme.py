"""The mixed recipe is auto-round's own choice."""

import json
from pathlib import Path
from typing import Any

import pytest
import torch

from qcompare.recipes.autoscheme import Budget, mixed_config, to_scheme_names


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


def test_layer_config_equals_the_one_auto_round_gives(
    tiny_llama: Path, text: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from auto_round import AutoRound, AutoScheme

    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("AR_AUTO_SCHEME_CACHE", str(tmp_path / "direct"))
    model, tokenizer = load(tiny_llama)
    options: dict[str, Any] = {"ignore_scale_zp_bits": True, "nsamples": 4, "seqlen": 32}
    direct = AutoRound(
        model,
        tokenizer,
        scheme=AutoScheme(avg_bits=5.0, options=["MXFP4", "MXFP8"], **options),
        dataset=str(text),
        iters=0,
        disable_opt_rtn=True,
        disable_model_free=True,
        device_map="cpu",
    )
    direct.post_init()

    steps: list[tuple[int, int]] = []
    budget = Budget(("MXFP4", "MXFP8"), 5.0, True, str(text), 4, 32, 42)
    ours = mixed_config(*load(tiny_llama), budget, "cpu", tmp_path / "ours", lambda d, t: steps.append((d, t)))
    assert ours == to_scheme_names(direct.layer_config, budget.schemes)
    assert set(ours.values()) == {"MXFP4", "MXFP8"}
    assert steps[-1][0] == steps[-1][1]


def test_a_second_budget_uses_the_kept_scores(tiny_llama: Path, text: Path, tmp_path: Path, monkeypatch: Any) -> None:
    monkeypatch.chdir(tmp_path)
    written = []
    for avg_bits in (5.0, 6.0):
        budget = Budget(("MXFP4", "MXFP8"), avg_bits, True, str(text), 4, 32, 42)
        mixed_config(*load(tiny_llama), budget, "cpu", tmp_path / "scores")
        written.append({path: path.stat().st_mtime_ns for path in (tmp_path / "scores").glob("*.json")})
    assert len(written[0]) == 2  # one file a scheme
    assert written[0] == written[1]
