"""GGUF files: what is written is read again as the weights that were measured; what cannot be is refused first."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from gguf import MODEL_ARCH

from qcompare.errors import InvalidStudy
from qcompare.export.gguf import GgufExport
from qcompare.export.pack import check_format
from qcompare.formats.gguf import BLOCKS
from qcompare.models.gguf import layer_types, read_gguf
from qcompare.models.loading import load_tokenizer
from qcompare.models.sources import describe, fetch, load
from qcompare.quantize.auto_round_patches import unknown_architectures
from qcompare.quantize.simulate import simulate
from qcompare.settings import Settings
from tests.models.test_experts import FAMILIES

pytestmark = pytest.mark.filterwarnings("ignore")  # auto-round's and transformers' own


@pytest.fixture
def known_tokenizer(monkeypatch: pytest.MonkeyPatch) -> None:
    """The tests' tokenizer splits text as GPT-2 does, but llama.cpp's converter knows tokenizers by name only."""
    with unknown_architectures():
        from auto_round.export.export_to_gguf.llama_cpp_conversion import get_conversion

        base = get_conversion(None, auto_update=False).module.TextModel
    monkeypatch.setattr(base, "get_vocab_base_pre", lambda self, tokenizer: "gpt-2")


def export_of(folder: Path, config: dict[str, str], settings: Settings, **options: Any) -> GgufExport:
    return GgufExport(folder, describe(str(folder), settings), config, options.get("dtype", "float32"), "cpu")


def layer_names(folder: Path, settings: Settings) -> list[str]:
    return [layer.name for layer in describe(str(folder), settings).layers]


def written(export: GgufExport, folder: Path) -> Path:
    export.check()
    export.write(folder / export.file_name)
    return folder / export.file_name


def reloaded(file: Path, model: Path, settings: Settings, dtype: str = "float32") -> Any:
    """As the recipe `checkpoint` loads it."""
    from qcompare.models.checkpoint import fetch_checkpoint
    from qcompare.models.checkpoint_loading import load_checkpoint

    facts, base = describe(str(model), settings), fetch(str(model), settings)
    found = fetch_checkpoint(str(file), facts, settings, print)
    its = load_tokenizer(base, settings)
    return load_checkpoint(found, base, its, "cpu", dtype, settings, False, lambda done, total: None).model


def simulated(folder: Path, config: dict[str, str], settings: Settings, dtype: str = "float32") -> Any:
    model, _ = load(fetch(str(folder), settings), "cpu", dtype, settings, False)
    simulate(model, config)
    return model


def differing(ours: Any, theirs: Any) -> list[str]:
    """Names of weights that are not the same to the last bit; rows of unused tokens do not count."""
    mine, its = ours.state_dict(), theirs.state_dict()
    assert set(mine) == set(its)
    return [name for name in mine if not torch.equal(mine[name][: len(its[name])], its[name])]


@pytest.fixture(scope="module")
def wide_llama(make_model: Callable[..., Path]) -> Path:
    """Blocks of 256 fit its layers."""
    return make_model("LlamaConfig", hidden_size=256, intermediate_size=256, num_hidden_layers=1)


@pytest.mark.usefixtures("known_tokenizer")
@pytest.mark.parametrize("scheme", BLOCKS)
def test_each_type_is_read_again_as_it_was_measured(
    scheme: str, wide_llama: Path, settings: Settings, tmp_path: Path
) -> None:
    config = dict.fromkeys(layer_names(wide_llama, settings), scheme)
    file = written(export_of(wide_llama, config, settings), tmp_path)
    assert layer_types(read_gguf(file), config) == config
    assert read_gguf(file).file_type.removesuffix("_S") == scheme
    assert differing(simulated(wide_llama, config, settings), reloaded(file, wide_llama, settings)) == []


FAMILIES_READ: dict[str, tuple[str, dict[str, Any]]] = {
    "llama": ("LlamaConfig", {}),
    "mistral": ("MistralConfig", {}),
    "qwen2": ("Qwen2Config", {}),
    "qwen3": ("Qwen3Config", {"head_dim": 32, "tie_word_embeddings": True}),
    "gemma3": ("Gemma3TextConfig", {"head_dim": 32, "sliding_window": 64}),
    **{family: its for family, its in FAMILIES.items() if family != "gpt_oss"},
}


@pytest.mark.usefixtures("known_tokenizer")
@pytest.mark.parametrize("family", FAMILIES_READ)
def test_mixes_of_every_family_are_read_again(
    family: str, make_model: Callable[..., Path], settings: Settings, tmp_path: Path
) -> None:
    config_class, changes = FAMILIES_READ[family]
    folder = make_model(config_class, **changes)
    names = layer_names(folder, settings)
    config = {
        name: "Q4_0" if ".experts." in name else ("Q8_0", "BF16", "Q5_1")[n % 3] for n, name in enumerate(names)
    }
    file = written(export_of(folder, config, settings), tmp_path)
    assert {layer: type for layer, type in layer_types(read_gguf(file), config).items() if type != "F32"} == {
        layer: scheme for layer, scheme in config.items() if scheme != "BF16"
    }
    assert differing(simulated(folder, config, settings), reloaded(file, folder, settings)) == []


@pytest.mark.usefixtures("known_tokenizer")
def test_what_is_not_quantized_keeps_16_bits(tiny_llama: Path, settings: Settings, tmp_path: Path) -> None:
    config = dict.fromkeys(layer_names(tiny_llama, settings), "Q8_0")
    file = written(export_of(tiny_llama, config, settings, dtype="bfloat16"), tmp_path)
    types = {tensor.name: tensor.type_name for tensor in read_gguf(file).tensors}
    assert (types["token_embd.weight"], types["output.weight"], types["output_norm.weight"]) == (
        "BF16",
        "BF16",
        "F32",
    )
    ours = simulated(tiny_llama, config, settings, "bfloat16")
    assert differing(ours, reloaded(file, tiny_llama, settings, "bfloat16")) == []


@pytest.mark.usefixtures("known_tokenizer")
def test_a_quantized_head_that_was_tied_is_a_tensor_of_its_own(
    tiny_qwen3: Path, settings: Settings, tmp_path: Path
) -> None:
    config = {**dict.fromkeys(layer_names(tiny_qwen3, settings), "Q4_0"), "lm_head": "Q8_0"}
    file = written(export_of(tiny_qwen3, config, settings), tmp_path)
    types = {tensor.name: tensor.type_name for tensor in read_gguf(file).tensors}
    assert (types["token_embd.weight"], types["output.weight"]) == ("F32", "Q8_0")
    assert differing(simulated(tiny_qwen3, config, settings), reloaded(file, tiny_qwen3, settings)) == []


@pytest.mark.usefixtures("known_tokenizer")
@pytest.mark.parametrize("tied", [False, True])
def test_a_quantized_embedding_is_read_again(
    tied: bool, make_model: Callable[..., Path], settings: Settings, tmp_path: Path
) -> None:
    folder = make_model("LlamaConfig", tie_word_embeddings=tied)
    config = {**dict.fromkeys(layer_names(folder, settings), "Q4_0"), "model.embed_tokens": "Q8_0"}
    file = written(export_of(folder, config, settings), tmp_path)
    types = {tensor.name: tensor.type_name for tensor in read_gguf(file).tensors}
    assert types["token_embd.weight"] == "Q8_0"
    assert types.get("output.weight") == (None if tied else "F32")
    ours, theirs = simulated(folder, config, settings), reloaded(file, folder, settings)
    assert differing(ours, theirs) == []
    assert (theirs.lm_head.weight is theirs.model.embed_tokens.weight) is tied


def test_only_gguf_files_hold_embeddings() -> None:
    with pytest.raises(InvalidStudy, match="only GGUF files hold quantized embeddings"):
        check_format({"model.embed_tokens": "W4A16", "model.layers.0.mlp.up_proj": "W4A16"}, "auto_round")


@pytest.mark.usefixtures("known_tokenizer")
def test_a_head_that_llama_cpp_takes_from_the_embedding_is_refused(
    make_model: Callable[..., Path], settings: Settings
) -> None:
    folder = make_model("Gemma2Config", head_dim=32)
    config = {**dict.fromkeys(layer_names(folder, settings), "Q4_0"), "lm_head": "Q8_0"}
    with pytest.raises(InvalidStudy, match=r"computes outputs of .* with its embedding: set quant_lm_head to false"):
        export_of(folder, config, settings).check()


def test_an_unknown_tokenizer_is_refused(tiny_llama: Path, settings: Settings) -> None:
    config = dict.fromkeys(layer_names(tiny_llama, settings), "Q8_0")
    with pytest.raises(InvalidStudy, match="does not know the tokenizer of tiny-llama") as caught:
        export_of(tiny_llama, config, settings).check()
    assert "\n" not in str(caught.value)


def test_families_that_cannot_be_written_or_read_are_refused(
    make_model: Callable[..., Path], settings: Settings
) -> None:
    gpt_oss = make_model(FAMILIES["gpt_oss"][0], **FAMILIES["gpt_oss"][1])
    config = dict.fromkeys(layer_names(gpt_oss, settings), "Q8_0")
    with pytest.raises(InvalidStudy, match=r"GGUF files of gpt_oss cannot be read again here"):
        export_of(gpt_oss, config, settings).check()


@pytest.mark.usefixtures("known_tokenizer")
def test_experts_of_a_block_need_one_scheme(make_model: Callable[..., Path], settings: Settings) -> None:
    folder = make_model(FAMILIES["qwen3_moe"][0], **FAMILIES["qwen3_moe"][1])
    config = dict.fromkeys(layer_names(folder, settings), "Q8_0")
    config["model.layers.0.mlp.experts.1.up_proj"] = "Q4_0"
    with pytest.raises(InvalidStudy, match=r"as one tensor, but model\.layers\.0.* different schemes"):
        export_of(folder, config, settings).check()


def test_architectures_of_the_package_are_as_before() -> None:
    import gguf

    with unknown_architectures():
        assert gguf.MODEL_ARCH.LLAMA is MODEL_ARCH.LLAMA
        assert gguf.MODEL_ARCH.NONE_SUCH is None
    assert gguf.MODEL_ARCH is MODEL_ARCH
