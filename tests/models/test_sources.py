"""Every model that can be used is described without torch; every other one is refused in one line that helps."""

import json
import os
import shutil
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from qcompare.errors import ModelUnavailable
from qcompare.models.config import causal_families
from qcompare.models.folder import folder_revision, make_facts
from qcompare.models.headers import Stored
from qcompare.models.sources import absolute, describe, fetch, resolve
from qcompare.settings import Settings

Copy = Callable[..., Path]


@pytest.fixture
def copy(tiny_llama: Path, tmp_path: Path) -> Copy:
    """A copy of the tiny Llama; keyword arguments change its config."""

    def make(**changes: Any) -> Path:
        folder = shutil.copytree(tiny_llama, tmp_path / "copy")
        config = json.loads((folder / "config.json").read_text())
        (folder / "config.json").write_text(json.dumps(config | changes))
        return folder

    return make


def refusal(model: Path | str, settings: Settings) -> str:
    """The one line with which a model is refused."""
    with pytest.raises(ModelUnavailable) as error:
        describe(str(model), settings)
    assert "\n" not in str(error.value)
    return str(error.value)


def test_names_are_resolved_by_their_form(
    settings: Settings, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "org" / "name").mkdir(parents=True)
    assert resolve("demo", settings).kind == "demo bundle"
    assert resolve("org/name", settings).folder == Path("org/name")
    assert resolve("./missing", settings).kind == resolve("~/missing", settings).kind == "folder"
    hub = resolve("other/name.v1@refs/pr/3", settings)
    assert (hub.kind, hub.repo, hub.revision) == ("hub", "other/name.v1", "refs/pr/3")


@pytest.mark.parametrize("name", [r"C:\models\x", "c:/models/x", r"\\server\share\x", r"..\x", r".\x", "..", "."])
def test_paths_of_windows_are_no_names_of_the_hub(settings: Settings, name: str) -> None:
    assert resolve(name, settings).kind == "folder"


def test_a_folder_has_a_name_that_holds_everywhere(
    settings: Settings, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    assert absolute("./model", settings) == str(tmp_path / "model")
    assert absolute(" demo ", settings) == "demo" and absolute("org/name@main", settings) == "org/name@main"


def test_a_name_that_is_nothing_gets_a_suggestion(settings: Settings) -> None:
    assert "Did you mean 'demo'?" in refusal("dmeo", settings)
    assert "org/name" in refusal("gpt2", settings)


@given(st.text(max_size=300))
def test_any_text_is_resolved_or_refused_in_one_line(text: str) -> None:
    try:
        resolve(text, Settings())
    except ModelUnavailable as error:
        assert len(str(error).splitlines()) == 1


def test_the_demo_is_described_before_it_is_fetched(settings: Settings) -> None:
    facts = describe("demo", settings)
    assert (facts.title, facts.source, facts.family) == ("SmolLM2-135M-Instruct", "demo bundle", "llama")
    assert len(facts.layers) == 210 and facts.num_params == 134_515_008
    assert facts.num_quantized_params == 106_168_320
    assert not settings.home.exists()


def test_describing_loads_no_torch(tiny_llama: Path) -> None:
    code = (
        "import sys; from qcompare.models.sources import describe; from qcompare.settings import Settings;"
        f"describe('demo', Settings()); describe({str(tiny_llama)!r}, Settings());"
        "sys.exit('torch' in sys.modules or 'transformers' in sys.modules)"
    )
    assert subprocess.run([sys.executable, "-c", code]).returncode == 0


@pytest.mark.parametrize("fixture", ["tiny_llama", "tiny_qwen3", "tiny_gemma"])
def test_a_folder_counts_its_parameters_as_the_loaded_model_does(
    fixture: str, request: pytest.FixtureRequest, settings: Settings
) -> None:
    from transformers import AutoModelForCausalLM

    folder = request.getfixturevalue(fixture)
    model = AutoModelForCausalLM.from_pretrained(folder)
    assert describe(str(folder), settings).num_params == model.num_parameters()


@pytest.mark.parametrize(
    ("card", "license"),
    [
        ("---\nlicense: apache-2.0\n---\n# A model", "apache-2.0"),
        ("# A model", None),
        ("---\nlicense: [\n---\n", None),
        ("\0\xff", None),
    ],
)
def test_a_folder_has_the_licence_of_its_model_card(
    settings: Settings, copy: Copy, card: str, license: str | None
) -> None:
    folder = copy()
    (folder / "README.md").write_bytes(card.encode("latin-1"))
    assert describe(str(folder), settings).license == license


def test_a_sharded_folder_is_described_as_a_whole_one(tiny_llama: Path, settings: Settings, tmp_path: Path) -> None:
    from transformers import AutoModelForCausalLM, AutoTokenizer

    AutoModelForCausalLM.from_pretrained(tiny_llama).save_pretrained(tmp_path / "shards", max_shard_size="200KB")
    AutoTokenizer.from_pretrained(tiny_llama).save_pretrained(tmp_path / "shards")
    assert len(list((tmp_path / "shards").glob("*.safetensors"))) > 1
    assert describe(str(tmp_path / "shards"), settings).layers == describe(str(tiny_llama), settings).layers
    next((tmp_path / "shards").glob("*.safetensors")).unlink()
    assert "is missing, although the model's index names it" in refusal(tmp_path / "shards", settings)


def test_folders_without_a_model_are_refused(settings: Settings, copy: Copy, tmp_path: Path) -> None:
    assert "no such folder" in refusal("./missing", settings)
    assert "has no config.json" in refusal(tmp_path, settings)
    (copy() / "tokenizer.json").unlink()
    (tmp_path / "copy" / "tokenizer_config.json").unlink()
    assert "has no tokenizer" in refusal(tmp_path / "copy", settings)
    (tmp_path / "copy" / "model.safetensors").unlink()
    assert "has no model.safetensors" in refusal(tmp_path / "copy", settings)
    assert "is a file" in refusal(tmp_path / "copy" / "config.json", settings)
    (tmp_path / "copy" / "config.json").write_text("{")
    assert "config.json: is damaged" in refusal(tmp_path / "copy", settings)


def test_pickled_weights_are_refused_unless_allowed(settings: Settings, copy: Copy, tiny_llama: Path) -> None:
    import torch
    from transformers import AutoModelForCausalLM

    folder = copy()
    (folder / "model.safetensors").unlink()
    torch.save(AutoModelForCausalLM.from_pretrained(tiny_llama).state_dict(), folder / "pytorch_model.bin")
    assert "QCOMPARE_ALLOW_UNSAFE_WEIGHTS" in refusal(folder, settings)
    allowed = settings.model_copy(update={"allow_unsafe_weights": True})
    assert describe(str(folder), allowed).layers == describe(str(tiny_llama), settings).layers


@pytest.mark.parametrize("cut", [0, 4, 100, -1])
def test_damaged_weights_are_refused(settings: Settings, copy: Copy, cut: int) -> None:
    file = copy() / "model.safetensors"
    file.write_bytes(file.read_bytes()[:cut])
    assert "fetch the model again" in refusal(file.parent, settings)


def test_weights_that_are_something_else_are_refused(settings: Settings, copy: Copy) -> None:
    file = copy() / "model.safetensors"
    for content in (b"x" * 1000, b"\x02" + bytes(7) + b"[]", b"\x09" + bytes(7) + b'{"a": 1} ', b"\xff" * 64):
        file.write_bytes(content)
        assert "damaged or not a safetensors file" in refusal(file.parent, settings)


def test_code_of_its_own_is_refused_unless_allowed(settings: Settings, copy: Copy) -> None:
    folder = copy(
        model_type="brand_new", architectures=["NewForCausalLM"], auto_map={"AutoModelForCausalLM": "m.New"}
    )
    assert "QCOMPARE_TRUST_REMOTE_CODE" in refusal(folder, settings)
    assert describe(str(folder), settings.model_copy(update={"trust_remote_code": True})).layers


@pytest.mark.parametrize(
    "file",
    [f"{of}config.json" for of in ("", "tokenizer_", "generation_", "processor_", "preprocessor_", "adapter_")],
)
def test_code_is_refused_in_every_file_that_can_name_it_also_of_a_built_in_family(
    settings: Settings, copy: Copy, file: str
) -> None:
    path = copy() / file
    config = json.loads(path.read_text()) if path.exists() else {}
    path.write_text(json.dumps(config | {"nested": {"auto_map": {"AutoTokenizer": ["m.New", None]}}}))
    said = refusal(path.parent, settings)
    assert f"{file} names code" in said and "QCOMPARE_TRUST_REMOTE_CODE" in said
    assert describe(str(path.parent), settings.model_copy(update={"trust_remote_code": True})).layers


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        ({"model_type": "bert", "architectures": ["BertForMaskedLM"]}, "not a causal language model"),
        ({"architectures": ["LlamaForSequenceClassification"]}, "not a causal language model"),
        ({"model_type": "t5", "is_encoder_decoder": True}, "not a text-only decoder"),
        ({"vision_config": {}}, "not a text-only decoder"),
        ({"quantization_config": {"quant_method": "gptq"}}, "quantized already (gptq)"),
        ({"model_type": "brand_new", "architectures": ["NewForCausalLM"]}, "does not know 'brand_new'"),
    ],
)
def test_other_kinds_of_model_are_refused(settings: Settings, copy: Copy, changes: dict[str, Any], said: str) -> None:
    assert said in refusal(copy(**changes), settings)


def test_packed_weights_are_refused_also_where_the_config_is_silent() -> None:
    shapes = {"model.layers.0.mlp.up_proj.qweight": (8, 64), "model.layers.0.mlp.up_proj.scales": (1, 64)}
    stored = Stored(shapes, size_bytes=1)
    with pytest.raises(
        ModelUnavailable, match=r"quantized already \(it holds model\.layers\.0\.mlp\.up_proj\.qweight"
    ):
        make_facts({"model_type": "llama"}, stored, model="m", source="folder", title="m", license=None)


def test_experts_of_other_families_are_refused(settings: Settings, make_model: Callable[..., Path]) -> None:
    folder = make_model("DeepseekV3Config", n_routed_experts=2, num_hidden_layers=1, first_k_dense_replace=0)
    assert "mixture of 2 experts of the family 'deepseek_v3'" in refusal(folder, settings)


def test_the_table_of_causal_families_is_transformers_own() -> None:
    from transformers.models.auto.modeling_auto import MODEL_FOR_CAUSAL_LM_MAPPING_NAMES

    assert causal_families() == dict(MODEL_FOR_CAUSAL_LM_MAPPING_NAMES)


def test_fetching_a_folder_names_it_by_its_content(settings: Settings, copy: Copy, tiny_llama: Path) -> None:
    folder = copy()
    local = fetch(str(folder), settings)
    assert (local.path, local.name, local.source) == (folder, "copy", "folder")
    first = local.revision
    (folder / "notes.md").write_text("not part of the model")
    assert folder_revision(folder) == first and len(first) == 40
    weights = folder / "model.safetensors"
    content = weights.read_bytes()
    weights.write_bytes(content[:-1] + bytes([content[-1] ^ 1]))
    assert folder_revision(folder) != first


def test_the_revision_of_large_files_is_sampled(tmp_path: Path) -> None:
    file = tmp_path / "model.safetensors"
    with file.open("wb") as stream:
        stream.truncate(100 * 2**20)
    first = folder_revision(tmp_path)
    with file.open("r+b") as stream:
        stream.seek(-1, os.SEEK_END)
        stream.write(b"x")
    assert folder_revision(tmp_path) != first


@pytest.mark.demo
def test_the_demo_is_fetched_as_a_local_model(demo_settings: Settings) -> None:
    local = fetch("demo", demo_settings)
    assert local.source == "demo bundle" and (local.path / "model.safetensors").is_file()
    shapes = [(layer.name, layer.numel) for layer in describe(str(local.path), demo_settings).layers]
    assert shapes == [(layer.name, layer.numel) for layer in describe("demo", demo_settings).layers]
