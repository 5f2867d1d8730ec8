"""A server that comes as a package: llama-cpp-python's, with the file that the demo model was read from.

`pip install 'llama-cpp-python[server]==0.3.36'` builds llama.cpp in some minutes. It may be in an environment of its
own: `TEST_LLAMA_PYTHON` names the Python of that.
"""

import importlib.util
import os
import sys
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path
from types import SimpleNamespace

import pytest

from benchmarks.server import serve_demo
from qcompare.evaluate.benchmarks import Options, Unanswerable
from qcompare.evaluate.cached import CachedLM
from qcompare.evaluate.endpoint.client import Client
from qcompare.evaluate.endpoint.speed import measure_speed
from qcompare.evaluate.scoring.endpoint import EndpointLM
from qcompare.models.sources import fetch, load
from qcompare.settings import Settings

PYTHON = os.environ.get("TEST_LLAMA_PYTHON", "")
pytestmark = [
    pytest.mark.server,
    pytest.mark.demo,
    pytest.mark.skipif(
        not PYTHON and not importlib.util.find_spec("llama_cpp"), reason="llama-cpp-python is missing"
    ),
]
OPTIONS = Options(limit=None, batch_size=1, add_bos_token=None, seed=42)


@pytest.fixture(scope="module")
def url(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    with serve_demo(PYTHON or sys.executable, tmp_path_factory.mktemp("llama")) as found:
        yield found


def test_it_writes_as_the_loaded_model_and_its_shifted_logprobs_are_refused(
    url: str, demo_settings: Settings, tmp_path: Path
) -> None:
    local = fetch("demo", demo_settings)
    client = Client(url, timeout=300.0)
    with closing(client):
        lm = EndpointLM(
            client, None, local.path, OPTIONS, num_concurrent=1, max_length=None, kept=tmp_path / "answers.sqlite"
        )
        assert not lm.tokenized_requests  # it wants text
        with pytest.raises(Unanswerable, match="differ from those it generates with"):
            lm.loglikelihood([SimpleNamespace(args=("The capital of France is", " Paris"), task_name=None)])
        asked = [("The capital of Italy is", {"until": ["."], "max_gen_toks": 4})]
        asked.append(("Water consists of hydrogen and", {"until": [","], "max_gen_toks": 2}))
        requests = [SimpleNamespace(args=args, task_name=None) for args in asked]
        loaded = load(local, "cpu", "float32", demo_settings, hub_kernels=False)
        assert lm.generate_until(requests) == CachedLM(*loaded).generate_until(requests)
        assert len(lm.answer(["What is the capital of France?"], 4)) == 1
        speeds = measure_speed(lm)
    assert all(speed.prompt_tokens_per_second > 0 and speed.first_token_seconds > 0 for speed in speeds)
