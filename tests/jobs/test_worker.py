"""What a job's process is like for the libraries that run in it."""

import logging
import os
import subprocess
import sys
from pathlib import Path

import pytest

from qcompare.jobs.measure import about_this_study
from qcompare.settings import Settings
from qcompare.store import Store
from qcompare.study.spec import Study

ENCODE = """
import os, sys
from pathlib import Path
from transformers import AutoTokenizer
from qcompare.jobs import worker

def encode(store, job, settings):
    tokenizer = AutoTokenizer.from_pretrained(sys.argv[2])
    texts = ["The capital of France is Paris."] * 500
    before = len(os.listdir("/proc/self/task"))
    tokenizer(texts)
    threads = len(os.listdir("/proc/self/task")) - before
    child = os.fork()  # as libraries do: must not wait for threads that it does not have
    if child == 0:
        tokenizer(texts)
        os._exit(0)
    print("threads", threads, "child", os.waitpid(child, 0)[1])

worker.run_job = encode
worker.main(sys.argv[1])
"""


@pytest.mark.skipif(not Path("/proc/self/task").is_dir(), reason="counts threads under /proc")
def test_a_batch_is_encoded_by_several_threads_and_a_forked_child_still_encodes(
    tokenizer_folder: Path, settings: Settings
) -> None:
    store = Store(settings.home)
    store.add_study(Study(recipes=("bf16",)), "x", [("bf16", None)])
    job = store.claim("cpu")
    assert job
    # lm-eval sets it where it is imported, perhaps by another test of this process
    environment = {name: value for name, value in os.environ.items() if name != "TOKENIZERS_PARALLELISM"}
    command = [sys.executable, "-c", ENCODE, job.id, str(tokenizer_folder)]
    done = subprocess.run(command, capture_output=True, text=True, timeout=120, env=environment)
    words = done.stdout.split()
    assert words[-4::2] == ["threads", "child"], done.stderr
    assert int(words[-3]) >= 1
    assert words[-1] == "0"


def test_lines_on_bits_that_are_not_the_studys_are_left_out_of_the_log() -> None:
    lines = ("AutoScheme final avg_bits: quant layers=%.4f (target=%.4f)", "quantized 7/7 layers")
    records = [logging.LogRecord("autoround", logging.INFO, "", 0, line, None, None) for line in lines]
    assert [about_this_study(record) for record in records] == [False, True]
