"""What is described loads, computes as transformers does, and is complete."""

import shutil
from collections.abc import Callable
from pathlib import Path

import pytest
from filelock import FileLock, Timeout

from qcompare.errors import JobError, ModelUnavailable
from qcompare.models.loading import device_map, placed, turn_to_load
from qcompare.models.machine import device_name, pick_device, pick_dtype
from qcompare.models.sources import describe, fetch, load
from qcompare.settings import Settings


@pytest.mark.parametrize("fixture", ["tiny_llama", "tiny_qwen3", "tiny_gemma"])
@pytest.mark.parametrize("dtype", ["float32", "bfloat16"])
def test_a_folder_loads_with_every_layer_that_was_described(
    fixture: str, dtype: str, request: pytest.FixtureRequest, settings: Settings
) -> None:
    import torch

    folder = str(request.getfixturevalue(fixture))
    model, tokenizer = load(fetch(folder, settings), "cpu", dtype, settings, hub_kernels=False)
    modules = dict(model.named_modules())
    assert all(isinstance(modules[layer.name], torch.nn.Linear) for layer in describe(folder, settings).layers)
    assert not model.training and model.dtype == getattr(torch, dtype)
    assert tokenizer.pad_token == tokenizer.eos_token == "<|im_end|>"


def test_gpt2s_own_kind_of_layer_becomes_linear(make_model: Callable[..., Path], settings: Settings) -> None:
    import torch
    from transformers import AutoModelForCausalLM

    folder = make_model("GPT2Config", num_hidden_layers=2, n_inner=128)
    model, _ = load(fetch(str(folder), settings), "cpu", "float32", settings, hub_kernels=False)
    modules = dict(model.named_modules())
    layers = describe(str(folder), settings).layers
    assert len(layers) == 8
    for layer in layers:
        assert tuple(modules[layer.name].weight.shape) == (layer.out_features, layer.in_features)
    ids = torch.arange(12)[None]
    with torch.inference_mode():
        difference = model(ids).logits - AutoModelForCausalLM.from_pretrained(folder)(ids).logits
    assert difference.abs().max() < 1e-4


def test_missing_weights_are_refused(tiny_llama: Path, settings: Settings, tmp_path: Path) -> None:
    from safetensors.torch import load_file, save_file

    folder = shutil.copytree(tiny_llama, tmp_path / "copy")
    weights = load_file(folder / "model.safetensors")
    del weights["model.layers.2.mlp.up_proj.weight"]
    save_file(weights, folder / "model.safetensors", metadata={"format": "pt"})
    with pytest.raises(ModelUnavailable, match=r"lack the weights of model\.layers\.2\.mlp\.up_proj\.weight"):
        load(fetch(str(folder), settings), "cpu", "float32", settings, hub_kernels=False)


def test_weights_of_other_shapes_are_one_line(tiny_llama: Path, settings: Settings, tmp_path: Path) -> None:
    folder = shutil.copytree(tiny_llama, tmp_path / "copy")
    config = folder / "config.json"
    config.write_text(config.read_text().replace('"intermediate_size": 128', '"intermediate_size": 256'))
    with pytest.raises(ModelUnavailable, match="transformers cannot load it") as error:
        load(fetch(str(folder), settings), "cpu", "float32", settings, hub_kernels=False)
    assert "\n" not in str(error.value)


def test_the_assigned_device_wins(settings: Settings) -> None:
    assert pick_device("auto", "cpu") == pick_device("cuda", "cpu") == pick_device("cpu", None) == "cpu"
    with pytest.raises(JobError, match="cuda:99 does not exist"):
        pick_device("cuda:99", None)


@pytest.mark.parametrize(
    ("wanted", "assigned", "device"),
    [
        ("auto", "cuda:GPU-7", "cuda:0"),  # all that the job's process sees
        ("cuda:7", "cuda:GPU-7", "cuda:0"),
        ("cpu", "cuda:GPU-7", "cpu"),  # a retry on the CPU
        ("auto", "cuda:GPU-7,GPU-8", "cuda"),
        ("auto", "cluster:3", "cuda:0"),
        ("cuda", None, "cuda:0"),
    ],
)
def test_a_jobs_gpu_is_the_first_of_its_process(
    wanted: str, assigned: str | None, device: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("torch.cuda.is_available", lambda: True)
    monkeypatch.setattr("torch.cuda.device_count", lambda: 2)
    assert pick_device(wanted, assigned) == device


def test_the_dtype_can_be_set_and_is_checked() -> None:
    assert pick_dtype("cpu", "float16") == "float16"
    assert pick_dtype("cpu", "auto") in ("float32", "bfloat16")
    with pytest.raises(JobError, match="unknown dtype 'int8'"):
        pick_dtype("cpu", "int8")


def test_the_processor_has_a_name() -> None:
    assert device_name("cpu")


def test_weights_go_to_a_gpu_as_they_are_read_and_over_all_of_a_jobs_gpus() -> None:
    assert device_map("cuda:0") == {"": "cuda:0"}
    assert device_map("cuda") == "auto"
    assert device_map("cpu") is None


def test_where_ram_is_short_one_process_loads_at_a_time(tmp_path: Path) -> None:
    lock = FileLock(tmp_path / "loading.lock", timeout=0)
    with turn_to_load(tmp_path, 1), lock:
        pass  # ample memory: no turns
    with turn_to_load(tmp_path, 10**15), pytest.raises(Timeout):
        lock.acquire()


def test_a_model_in_ram_is_spread_as_its_blocks_allow(tiny_llama: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """With the CPU in the place of both GPUs: accelerate plans, and what was asked of it is seen."""
    import accelerate
    import torch
    from transformers import AutoModelForCausalLM

    model = AutoModelForCausalLM.from_pretrained(tiny_llama, dtype=torch.float32)
    block = sum(p.nbytes for p in model.model.layers[0].parameters())
    head = model.lm_head.weight.nbytes
    room = {0: 2 * block + 2 * head, 1: 2 * block, "cpu": 10**9}
    monkeypatch.setattr("accelerate.utils.get_balanced_memory", lambda *args, **kwargs: room)
    found: dict[str, object] = {}
    monkeypatch.setattr(accelerate, "dispatch_model", lambda model, places, **kwargs: found.update(places) or model)
    assert placed(model, "cuda") is model
    blocks = [found[f"model.layers.{n}"] for n in range(4)]
    assert blocks == sorted(blocks, key=[0, 1, "cpu"].index) and len(set(blocks)) > 1
    assert placed(model, "cpu") is model
