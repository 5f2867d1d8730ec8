"""A model in a local folder: what it is, and a hash that changes when its files do."""

import hashlib
from collections.abc import Iterable
from pathlib import Path
from typing import Any

from qcompare.errors import ModelUnavailable
from qcompare.models.attention import unusual_cache
from qcompare.models.config import NO_BASELINE, check_baseline, check_code, num_blocks, read_config
from qcompare.models.facts import ModelFacts
from qcompare.models.headers import Stored, read_headers
from qcompare.models.layers import (
    EXPERT_FAMILIES,
    VISION_FAMILIES,
    as_loaded,
    embedding,
    expert_count,
    linear_layers,
    num_params,
    output_head,
)
from qcompare.settings import Settings
from qcompare.study.model_name import model_title
from qcompare.words import Message

TOKENIZERS = ("tokenizer.json", "tokenizer.model", "vocab.json", "vocab.txt", "tokenizer_config.json")
RELEVANT = (".safetensors", ".json", ".model", ".txt", ".jinja", ".tiktoken", ".bin", ".py")
PACKED = (".qweight", ".qzeros", ".g_idx", ".weight_packed", ".weight_scale", ".weight_scale_inv")
"""Endings of tensors that only GPTQ, AWQ, FP8 and MXFP checkpoints hold; older ones say nothing in their config."""
SMALL = 16 * 2**20
"""Files up to this size (bytes) are hashed whole."""
SAMPLES, SAMPLE = 256, 4096
"""Pieces, and bytes of each, that are hashed of a larger file."""


def describe_folder(folder: Path, model: str, source: str, title: str, settings: Settings) -> ModelFacts:
    """The facts of a model folder, from its config and file headers.

    Args:
        title: the model's name for people; empty: `model_title` of the folder.

    Raises:
        ModelUnavailable: one line: what is missing, damaged, not allowed or not supported.
    """
    if not folder.is_dir():
        if folder.exists():
            raise ModelUnavailable("{folder}: is a file; give the folder that holds the model", folder=folder)
        raise ModelUnavailable("{folder}: no such folder", folder=folder)
    if not (folder / "config.json").is_file():
        raise ModelUnavailable(
            "{folder}: has no config.json, so it is no model folder; 'demo' is always available", folder=folder
        )
    config = read_config(folder / "config.json")
    check_baseline(config, model, settings)
    check_code(folder, model, settings)
    stored = read_headers(folder, settings.allow_unsafe_weights)
    if not any((folder / name).is_file() for name in TOKENIZERS):
        raise ModelUnavailable("{folder}: has no tokenizer (tokenizer.json); save it beside the model", folder=folder)
    title = title or model_title(str(folder.resolve()), str(config.get("_name_or_path") or ""))
    return make_facts(config, stored, model=model, source=source, title=title, license=_license(folder))


def model_card(folder: Path) -> dict[str, Any]:
    """The head of the model card beside the weights: `license`, `base_model`, …; empty where there is none."""
    import yaml
    from huggingface_hub import metadata_load

    try:
        return dict(metadata_load(folder / "README.md") or {})
    except (OSError, ValueError, yaml.YAMLError):
        return {}


def _license(folder: Path) -> str | None:
    license = model_card(folder).get("license")
    return license if isinstance(license, str) else None


def make_facts(
    config: dict[str, object], stored: Stored, *, model: str, source: str, title: str, license: str | None
) -> ModelFacts:
    """Facts from a config and file headers, wherever they come from.

    Raises:
        ModelUnavailable: a mixture of experts, or no linear layers in numbered blocks.
    """
    family = str(config.get("model_type", ""))
    if (experts := expert_count(stored.shapes)) and family not in EXPERT_FAMILIES:
        raise ModelUnavailable(
            "{model}: is a mixture of {experts} experts of the family '{family}', whose weights cannot be quantized "
            "here yet; choose a dense model or one of {families}",
            model=model,
            experts=experts,
            family=family,
            families=", ".join(sorted(EXPERT_FAMILIES)),
        )
    if packed := next((name for name in stored.shapes if name.endswith(PACKED)), None):
        raise ModelUnavailable(
            "{model}: is quantized already (it holds {packed}): {reason}",
            model=model,
            packed=packed,
            reason=Message(NO_BASELINE),
        )
    layers = linear_layers(stored.shapes, family, num_blocks(config))
    if not layers:
        raise ModelUnavailable(
            "{model}: no linear layers with inputs in multiples of 32 were found in its blocks", model=model
        )
    loaded = as_loaded(stored.shapes, family)
    tied = bool(config.get("tie_word_embeddings", False)) or "lm_head.weight" not in loaded
    return ModelFacts(
        model=model,
        title=title,
        source=source,
        family=family,
        num_params=num_params(stored.shapes, tied=tied),
        size_bytes=stored.size_bytes,
        license=license,
        layers=layers,
        lm_head=output_head(loaded, layers, tied),
        embedding=None if family in VISION_FAMILIES else embedding(loaded),
        tied=tied,
        unusual_cache=unusual_cache(config),
    )


def folder_revision(folder: Path) -> str:
    """A hash over a model folder: 40 hex digits of a sha256.

    It covers the names and sizes of all model files; the whole content of files up to 16 MiB (configs, tokenizer,
    small models); of larger files the first 4 KiB, the last 4 KiB and 254 pieces of 4 KiB evenly between them, which
    takes in the start of the safetensors header. Retraining or rounding changes it; a change of a few bytes between
    the pieces of a large file does not.
    """
    return _hash([path for path in folder.iterdir() if path.suffix in RELEVANT and path.is_file()])


def content_hash(path: Path) -> str:
    """The same for a single file, or a model folder."""
    return folder_revision(path) if path.is_dir() else _hash([path])


def _hash(paths: Iterable[Path]) -> str:
    digest = hashlib.sha256()
    for path in sorted(paths):
        size = path.stat().st_size
        digest.update(f"{path.name}\0{size}\0".encode())
        with path.open("rb") as file:
            if size <= SMALL:
                digest.update(file.read())
                continue
            for index in range(SAMPLES):
                file.seek(index * (size - SAMPLE) // (SAMPLES - 1))
                digest.update(file.read(SAMPLE))
    return digest.hexdigest()[:40]
