"""In bfloat16: log-softmax is float32 as in lm-eval with ``softmax_dtype``, and the output head adds no rounding."""

from copy import deepcopy
from types import SimpleNamespace
from typing import Any

import pytest
import torch
from lm_eval.models.huggingface import HFLM

from qcompare.evaluate.scoring.lm import PackedLM
from qcompare.evaluate.scoring.memory import Budget
from qcompare.evaluate.scoring.modes import ModeChoice, ScoringMode
from qcompare.evaluate.scoring.plain import PlainLM
from qcompare.evaluate.scoring.threads import Workers

from .conftest import TEXT, tiny_model

pytestmark = pytest.mark.filterwarnings("ignore")
PAIRS = [(text[:10], text[10:end]) for text in TEXT for end in (14, 20, 30)] + [("", TEXT[0])]


def requests() -> list[Any]:
    return [SimpleNamespace(args=pair, task_name=None) for pair in PAIRS]


@pytest.fixture(scope="module")
def model() -> Any:
    return deepcopy(tiny_model("llama")).to(torch.bfloat16)


@pytest.fixture
def expected(model: Any, tokenizer: Any) -> list[tuple[float, bool]]:
    lm = HFLM(pretrained=model, tokenizer=tokenizer, batch_size=1, softmax_dtype="float32")
    found: list[tuple[float, bool]] = lm.loglikelihood(requests(), disable_tqdm=True)
    return found


def test_lm_evals_own_backend_takes_log_softmax_in_float32(model: Any, tokenizer: Any, expected: Any) -> None:
    plain = PlainLM(pretrained=model, tokenizer=tokenizer, batch_size=1)
    assert plain.loglikelihood(requests(), disable_tqdm=True) == expected
    in_bfloat16 = HFLM(pretrained=model, tokenizer=tokenizer, batch_size=1).loglikelihood(
        requests(), disable_tqdm=True
    )
    assert max(abs(one[0] - other[0]) for one, other in zip(in_bfloat16, expected, strict=True)) > 0.1


@pytest.mark.parametrize("mode", list(ScoringMode))
def test_every_mode_agrees_with_lm_eval(mode: ScoringMode, model: Any, tokenizer: Any, expected: Any) -> None:
    """As far as bfloat16 goes: neither is farther from the scores in float32 than the other."""
    exact = HFLM(pretrained=tiny_model("llama"), tokenizer=tokenizer, batch_size=1).loglikelihood(
        requests(), disable_tqdm=True
    )
    choice = ModeChoice(mode, {}, 0.0, None)
    lm = PackedLM(model, tokenizer, budget=Budget(64), workers=Workers(1, 1), batch_size=1, mode_choice=choice)
    found = lm.loglikelihood(requests(), disable_tqdm=True)
    assert distance(found, expected) < 2 * distance(expected, exact)
    assert distance(found, exact) == pytest.approx(distance(expected, exact), rel=0.5)
    assert sum(one[1] is other[1] for one, other in zip(found, expected, strict=True)) >= len(PAIRS) - 1


def distance(some: list[tuple[float, bool]], others: list[tuple[float, bool]]) -> float:
    """Mean absolute difference."""
    return sum(abs(one[0] - other[0]) for one, other in zip(some, others, strict=True)) / len(some)
