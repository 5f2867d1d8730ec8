"""What a checkpoint is, and which ones are refused before anything is loaded."""

import json
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from qcompare.errors import ModelUnavailable
from qcompare.models.checkpoint import describe_checkpoint, fetch_checkpoint, find_checkpoint
from qcompare.models.facts import ModelFacts
from qcompare.models.sources import describe
from qcompare.settings import Settings
from tests.tiny import write_gguf


@pytest.fixture
def base(tiny_llama: Path, settings: Settings) -> ModelFacts:
    return describe(str(tiny_llama), settings)


@pytest.fixture
def copy(tiny_llama: Path, tmp_path: Path) -> Callable[..., Path]:
    """A copy of the tiny Llama, with changes of its config."""

    def make(**changes: Any) -> Path:
        folder = tmp_path / "copy"
        shutil.copytree(tiny_llama, folder)
        config = json.loads((folder / "config.json").read_text())
        (folder / "config.json").write_text(json.dumps(config | changes))
        return folder

    return make


@pytest.mark.parametrize(
    ("name", "repo", "revision", "file", "title"),
    [
        ("org/name", "org/name", None, "", "name"),
        ("org/name@v1", "org/name", "v1", "", "name"),
        ("org/name:sub/x-Q4_K_M.gguf", "org/name", None, "sub/x-Q4_K_M.gguf", "x-Q4_K_M"),
        ("org/name@v1:x.gguf", "org/name", "v1", "x.gguf", "x"),
    ],
)
def test_names_on_the_hub(name: str, repo: str, revision: str | None, file: str, title: str) -> None:
    found = find_checkpoint(name)
    assert (found.repo, found.revision, found.file, found.title) == (repo, revision, file, title)


def test_paths_are_folders_and_files(tmp_path: Path) -> None:
    assert find_checkpoint(f" {tmp_path}/x-Q4_0.gguf ").path == tmp_path / "x-Q4_0.gguf"
    assert find_checkpoint("./somewhere").title == "somewhere"


@pytest.mark.parametrize("name", ["x", "org/name:model.bin", "https://hub/org/name", "a b/c"])
def test_other_names_are_refused(name: str) -> None:
    with pytest.raises(ModelUnavailable, match=r"give org/name\[@revision\]"):
        find_checkpoint(name)


@pytest.mark.parametrize(
    ("changes", "reason"),
    [
        ({"quantization_config": {"quant_method": "modelopt"}}, "skips ModelOpt's quantization"),
        (
            {"quantization_config": {"quant_method": "hqq"}},
            "transformers 5 no longer reads its checkpoints; name a GPTQ",
        ),
        ({"quantization_config": {"quant_method": "quanto"}}, "pip install optimum-quanto"),
        (
            {"quantization_config": {"quant_method": "magic"}},
            r"cannot be loaded here \(magic\); known are compressed",
        ),
        ({"quantization_config": {"bits": 4}}, r"cannot be loaded here \(unknown method\)"),
        ({"model_type": "qwen3", "architectures": ["Qwen3ForCausalLM"]}, "is a 'qwen3' model and .* is 'llama'"),
        ({"num_hidden_layers": 5}, r"another model than .* \(5 blocks instead of 4\)"),
        ({"hidden_size": 128}, r"\(128 hidden features instead of 64\)"),
        ({"model_type": "made_up", "auto_map": {"AutoModel": "x.Y"}}, "QCOMPARE_TRUST_REMOTE_CODE=true"),
    ],
)
def test_what_cannot_stand_beside_the_model_is_refused(
    changes: dict[str, Any], reason: str, copy: Callable[..., Path], base: ModelFacts, settings: Settings
) -> None:
    folder = copy(**changes)
    with pytest.raises(ModelUnavailable, match=reason) as caught:
        describe_checkpoint(str(folder), base, settings)
    assert "\n" not in str(caught.value)
    assert str(folder) in str(caught.value)


@pytest.mark.parametrize("method", ["bitsandbytes", "torchao"])
def test_a_library_that_is_not_installed_is_named(
    method: str, copy: Callable[..., Path], base: ModelFacts, settings: Settings, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("qcompare.models.checkpoint_checks.find_spec", lambda name: None)
    folder = copy(quantization_config={"quant_method": method, "load_in_4bit": True})
    with pytest.raises(ModelUnavailable, match=f"quantized by {method}, .*: pip install {method}") as caught:
        describe_checkpoint(str(folder), base, settings)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize(
    ("device", "layout", "reason"),
    [
        (
            "cpu",
            "tile_packed_to_4d",
            r"4-bit weights \(Int4WeightOnlyConfig\) on a GPU with CUDA only, .* no job has here",
        ),
        ("cuda:GPU-1", "plain", "Int4WeightOnlyConfig.* pip install mslk-cuda"),
        ("cuda:GPU-1", "tile_packed_to_4d", ""),
    ],
)
def test_torchaos_int4_needs_a_gpu(
    device: str,
    layout: str,
    reason: str,
    copy: Callable[..., Path],
    base: ModelFacts,
    settings: Settings,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr("qcompare.models.checkpoint_checks._installed", lambda module: module == "torchao")
    kind = {"_type": "Int4WeightOnlyConfig", "_data": {"int4_packing_format": layout}}
    folder = copy(quantization_config={"quant_method": "torchao", "quant_type": {"default": kind}})
    monkeypatch.setattr("qcompare.models.checkpoint_checks.job_devices", lambda wanted: (device,))
    if not reason:
        assert describe_checkpoint(str(folder), base, settings).description == "torchao (Int4WeightOnlyConfig)"
        return
    with pytest.raises(ModelUnavailable, match=reason) as caught:
        describe_checkpoint(str(folder), base, settings)
    assert "\n" not in str(caught.value)


def test_modelopts_own_file_is_refused_too(copy: Callable[..., Path], base: ModelFacts, settings: Settings) -> None:
    folder = copy()
    (folder / "hf_quant_config.json").write_text("{}")
    with pytest.raises(ModelUnavailable, match="modelopt"):
        describe_checkpoint(str(folder), base, settings)


def test_pickled_weights_are_refused(copy: Callable[..., Path], base: ModelFacts, settings: Settings) -> None:
    folder = copy()
    (folder / "model.safetensors").rename(folder / "pytorch_model.bin")
    with pytest.raises(ModelUnavailable, match="pickled weights"):
        describe_checkpoint(str(folder), base, settings)


def test_what_is_no_checkpoint_is_refused(tmp_path: Path, base: ModelFacts, settings: Settings) -> None:
    def refusal(path: Path) -> str:
        with pytest.raises(ModelUnavailable) as caught:
            describe_checkpoint(str(path), base, settings)
        return str(caught.value)

    assert "no such file or folder" in refusal(tmp_path / "nowhere")
    assert "has no config.json, so it is no checkpoint" in refusal(tmp_path)
    (tmp_path / "adapter_config.json").write_text("{}")
    assert "merge it into its model" in refusal(tmp_path)
    (tmp_path / "x.gguf").write_text("x")
    assert "name one of them (x.gguf)" in refusal(tmp_path)
    assert "is no GGUF file" in refusal(tmp_path / "x.gguf")


def test_a_gguf_file_of_another_model_is_refused(
    tiny_llama: Path, tmp_path: Path, base: ModelFacts, settings: Settings
) -> None:
    file = write_gguf(tmp_path / "x.gguf", tiny_llama, "Q8_0", block_count=9)
    with pytest.raises(ModelUnavailable, match="9 blocks instead of 4"):
        describe_checkpoint(str(file), base, settings)


def test_files_tell_bits_licence_and_maker(
    tiny_llama: Path, tmp_path: Path, base: ModelFacts, settings: Settings
) -> None:
    file = write_gguf(tmp_path / "x.gguf", tiny_llama, "Q8_0")
    found = fetch_checkpoint(str(file), base, settings, print)
    assert (found.description, found.author, found.license) == ("GGUF Q8_0", "somebody", "mit")
    assert found.bits
    assert found.bits.achieved == 8
    assert found.bits.achieved_with_scales == 8.5
    assert found.stored.size_bytes == file.stat().st_size
    again = fetch_checkpoint(str(file), base, settings, print)
    assert again.revision == found.revision
    write_gguf(file, tiny_llama, "Q4_0")
    assert fetch_checkpoint(str(file), base, settings, print).revision != found.revision


def test_a_model_card_tells_licence_and_base_model(
    copy: Callable[..., Path], base: ModelFacts, settings: Settings
) -> None:
    folder = copy()
    (folder / "README.md").write_text("---\nlicense: apache-2.0\nbase_model:\n- org/base\n---\n# A model\n")
    found = fetch_checkpoint(str(folder), base, settings, print)
    assert (found.license, found.base_model, found.method) == ("apache-2.0", "org/base", "")
    assert found.bits
    assert found.bits.achieved == 32  # the tiny model is stored in float32
