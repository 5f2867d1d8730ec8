"""A layer config as a real checkpoint, packed by auto-round."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from qcompare.errors import InvalidStudy, unknown
from qcompare.formats.library import AutoRoundFormat
from qcompare.models.facts import ModelFacts
from qcompare.models.layers import EMBEDDING, EXPERT_FAMILIES, experts_of
from qcompare.quantize.rounding import Rounding, compressor
from qcompare.store.moving import replace
from qcompare.study.formats import CHECKPOINT_FORMATS, SCHEMES, checkpoint_formats, format_of, quantized
from qcompare.words import gettext_noop

EXPERTS_PACKED = frozenset({"mixtral", "olmoe", "qwen2_moe", "qwen3_moe"})
"""Mixtures of experts that auto-round writes so that transformers loads them."""


def check_format(layer_config: Mapping[str, str], format: str, written: bool = False) -> None:
    """Refuse a format that does not hold a layer config's schemes.

    Args:
        written: its recipe wrote a compressed-tensors checkpoint already.

    Raises:
        InvalidStudy: says which formats do.
    """
    if format not in CHECKPOINT_FORMATS:
        raise InvalidStudy(unknown(gettext_noop("format"), format, CHECKPOINT_FORMATS))
    schemes = sorted(set(quantized(layer_config).values()))
    if not schemes:
        raise InvalidStudy("no layer of it was quantized here: there is nothing to export")
    unpacked = [name for name in schemes if name in SCHEMES and not SCHEMES[name].packed]
    if unpacked:
        raise InvalidStudy("{scheme} can be compared but not stored: no kernel loads it", scheme=unpacked[0])
    if format == "llm_compressor" and any(experts_of(name) for name in layer_config):
        raise InvalidStudy(
            "transformers cannot load experts that llm_compressor wrote: choose auto_round or gguf, and schemes that "
            "they hold"
        )
    if format != "gguf" and any(EMBEDDING.fullmatch(f"{name}.weight") for name in quantized(layer_config)):
        raise InvalidStudy(
            "only GGUF files hold quantized embeddings: choose GGUF types, or measure with quant_embedding: false"
        )
    exports = ("llm_compressor",) if written else checkpoint_formats(schemes)
    if not exports:
        raise InvalidStudy("{schemes} can be compared but not stored yet", schemes=" + ".join(schemes))
    if format not in exports:
        raise InvalidStudy(
            "{schemes} cannot be stored as {format}: choose {others}",
            schemes=" + ".join(schemes),
            format=format,
            others=", ".join(exports),
        )


def check_experts(facts: ModelFacts, format: str) -> None:
    """Refuse a mixture of experts that a library cannot write.

    Raises:
        InvalidStudy: names its family, and what works.
    """
    if format == "auto_round" and facts.family in EXPERT_FAMILIES - EXPERTS_PACKED:
        raise InvalidStudy(
            "auto-round cannot store experts of {family} here: choose one of {families}",
            family=facts.family,
            families=", ".join(sorted(EXPERTS_PACKED)),
        )


def packed_by_auto_round(layer_config: Mapping[str, str]) -> bool:
    """Whether auto-round packs all schemes of a layer config; others are written by llm-compressor."""
    return all(isinstance(format_of(scheme), AutoRoundFormat) for scheme in quantized(layer_config).values())


def pack(
    model: Any,
    tokenizer: Any,
    layer_config: Mapping[str, str],
    rounding: Rounding,
    format: str,
    folder: Path,
    device: str,
) -> None:
    """Round, pack and save a loaded model. The model is consumed.

    Packing uses a pool of processes: the calling script needs its `__main__` guard.
    """
    rounder = compressor(model, tokenizer, layer_config, rounding, device)
    rounder.quantize_and_save(str(folder), format=format)
    # auto-round puts the files into a folder below, named by the model and its format
    for inner in [path.parent for path in folder.glob("*/config.json")]:
        for path in inner.iterdir():
            replace(path, folder / path.name)
        inner.rmdir()
