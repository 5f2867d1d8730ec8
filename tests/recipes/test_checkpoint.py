"""Rows of checkpoints that somebody made, from the study file to the table."""

import json
import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest
import yaml

from qcompare.compare.table import read_comparison
from qcompare.errors import InvalidStudy, QCompareError
from qcompare.jobs.submit import submit
from qcompare.present.caveats import caveats
from qcompare.settings import Settings
from qcompare.store import Store
from qcompare.study.reading import parse_study
from qcompare.study.recipe import recipe_of
from qcompare.study.spec import Study
from tests.tiny import make_model_folder, make_tokenizer, save_quantized, write_gguf

ROOT = Path(__file__).parents[2]


def test_a_row_is_called_as_its_checkpoint_and_survives_the_study_file() -> None:
    study = parse_study({"recipes": ["bf16", {"recipe": "checkpoint", "from": "org/name-GGUF:name-Q4_K_M.gguf"}]})
    assert study.recipes[1].title == "name-Q4_K_M"
    assert parse_study(yaml.safe_load(study.to_yaml())) == study
    assert "from: org/name-GGUF:name-Q4_K_M.gguf" in study.to_yaml()
    assert Study.model_validate_json(study.model_dump_json()) == study
    again = recipe_of({"recipe": "checkpoint", **study.recipes[1].parameters})
    assert again == study.recipes[1]


def test_a_path_holds_in_every_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    recipe = recipe_of({"recipe": "checkpoint", "from": "./x.gguf"})
    assert recipe.parameters == {"from": f"{tmp_path}/x.gguf", "title": "x"}


@pytest.mark.parametrize(
    ("values", "reason"),
    [
        ({}, "from"),
        ({"from": "nothing"}, "unknown checkpoint 'nothing'"),
        ({"from": "org/x", "avg_bits": 4}, "takes no budget"),
    ],
)
def test_what_names_no_checkpoint_is_refused_by_the_study(values: dict[str, object], reason: str) -> None:
    with pytest.raises(InvalidStudy, match=reason) as caught:
        parse_study({"recipes": [{"recipe": "checkpoint", **values}]})
    assert "\n" not in str(caught.value)


def test_a_checkpoint_that_is_not_there_stops_the_study_before_anything_is_stored(
    tiny_llama: Path, settings: Settings
) -> None:
    values = {"model": str(tiny_llama), "recipes": ["bf16", {"recipe": "checkpoint", "from": "/no/such/file.gguf"}]}
    with pytest.raises(QCompareError, match="no such file or folder"):
        submit(parse_study(values), settings)
    assert not Store(settings.home).studies()


@pytest.mark.filterwarnings("ignore")
def test_checkpoints_stand_in_the_table_and_their_scores_are_kept(
    toy_package: None, tiny_llama: Path, quantized: Callable[..., Path], tmp_path: Path, home: Path
) -> None:
    text = tmp_path / "text.jsonl"
    text.write_text("\n".join(json.dumps({"text": f"{n}. The capital of France is Paris. " * 6}) for n in range(3)))
    gguf = write_gguf(tmp_path / "tiny-Q4_0.gguf", tiny_llama, "Q4_0")
    packed = quantized(tiny_llama, "W4A16", "auto_gptq", group_size=32)
    # of the same model, with a tokenizer of its own that knows other words
    other = make_model_folder(tmp_path / "other", make_tokenizer(tmp_path / "words", ("zzz yyy xxx",)), "LlamaConfig")
    study = {
        "model": str(tiny_llama),
        "recipes": [
            "bf16", "uniform",
            {"recipe": "checkpoint", "from": str(gguf)},
            {"recipe": "checkpoint", "from": str(packed), "title": "Packed"},
            {"recipe": "checkpoint", "from": str(other)},
        ],
        "tasks": ["toy"], "limit": 3, "prompts": ["Hello"], "max_new_tokens": 4,
        "divergence": {"text": str(text), "num_samples": 2, "max_seq_length": 64},
    }  # fmt: skip
    file = tmp_path / "study.yaml"
    file.write_text(json.dumps(study))
    environment = os.environ | {"PYTHONPATH": os.pathsep.join([str(tmp_path / "site"), str(ROOT)])}
    environment["QCOMPARE_DTYPE"] = "float32"
    command = [sys.executable, "-m", "qcompare", "run", str(file)]
    for _ in range(2):
        done = subprocess.run(command, capture_output=True, text=True, env=environment)
        assert done.returncode == 0, done.stdout + done.stderr
    assert "tiny-Q4_0" in done.stdout
    store = Store(home)
    newest = store.newest()
    assert newest
    results = {result.title or result.recipe: result for result in store.results(newest)}
    assert set(results) == {"bf16", "uniform", "tiny-Q4_0", "Packed", "other"}
    of_gguf, of_packed, of_other = results["tiny-Q4_0"], results["Packed"], results["other"]
    assert of_gguf.checkpoint
    assert (of_gguf.checkpoint.method, of_gguf.checkpoint.faithful) == ("GGUF Q4_0", "weights")
    assert of_gguf.size_bytes == gguf.stat().st_size
    assert (of_gguf.bits.achieved, of_gguf.bits.achieved_with_scales) == (4, 4.5)
    assert not of_gguf.simulated
    assert of_packed.checkpoint
    assert of_packed.checkpoint.method == "gptq"
    assert of_packed.bits.achieved == 4
    for result in (of_gguf, of_packed):
        assert result.divergence
        assert result.divergence.kl > 0
        assert result.divergence.reference_perplexity == pytest.approx(results["bf16"].divergence.perplexity)  # type: ignore[union-attr]
        assert result.reused_requests > 0, "the second run computed them again"
    assert of_other.checkpoint
    assert of_other.checkpoint.other_tokenizer
    assert of_other.divergence is None
    found = read_comparison(store, (newest,))
    assert [str(row.title) for row in found.rows if row.group] == ["other"]
    assert "another vocabulary" in str(found.set_apart[1])
    notes = " ".join(caveats(found))
    assert "Packed" in notes


@pytest.mark.filterwarnings("ignore")
def test_checkpoints_of_bitsandbytes_and_torchao_are_rows(
    toy_package: None, tiny_llama: Path, tmp_path: Path, home: Path
) -> None:
    pytest.importorskip("bitsandbytes")
    quantization = pytest.importorskip("torchao.quantization")
    from transformers import BitsAndBytesConfig, TorchAoConfig

    configs = {
        "nf4": BitsAndBytesConfig(load_in_4bit=True, bnb_4bit_quant_type="nf4"),
        "int8": BitsAndBytesConfig(load_in_8bit=True),
        "torchao": TorchAoConfig(quantization.Int8WeightOnlyConfig()),
    }
    folders = [save_quantized(tiny_llama, config, tmp_path / name) for name, config in configs.items()]
    text = tmp_path / "text.jsonl"
    text.write_text("\n".join(json.dumps({"text": f"{n}. The capital of France is Paris. " * 6}) for n in range(3)))
    study = {
        "model": str(tiny_llama),
        "recipes": ["bf16", *({"recipe": "checkpoint", "from": str(folder)} for folder in folders)],
        "tasks": ["toy"], "limit": 3, "prompts": ["Hello"], "max_new_tokens": 4,
        "divergence": {"text": str(text), "num_samples": 2, "max_seq_length": 64},
    }  # fmt: skip
    file = tmp_path / "study.yaml"
    file.write_text(json.dumps(study))
    environment = os.environ | {"PYTHONPATH": os.pathsep.join([str(tmp_path / "site"), str(ROOT)])}
    done = subprocess.run(
        [sys.executable, "-m", "qcompare", "run", str(file)], capture_output=True, text=True, env=environment
    )
    assert done.returncode == 0, done.stdout + done.stderr
    store = Store(home)
    newest = store.newest()
    assert newest
    results = {result.title: result for result in store.results(newest) if result.checkpoint}
    found = {title: (its.checkpoint.method, its.checkpoint.faithful) for title, its in results.items()}  # type: ignore[union-attr]
    assert found == {
        "nf4": ("bitsandbytes (nf4)", "weights"),
        "int8": ("bitsandbytes (int8)", "kernel"),
        "torchao": ("torchao (Int8WeightOnlyConfig)", "weights"),
    }
    kl = {title: its.divergence.kl for title, its in results.items() if its.divergence}
    assert 0 < kl["torchao"] < kl["nf4"]
    assert 0 < kl["int8"] < kl["nf4"]
    assert results["nf4"].environment.libraries["bitsandbytes"]
    assert results["nf4"].generations
