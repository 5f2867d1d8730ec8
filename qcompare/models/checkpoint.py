"""Checkpoints that others made: which one a study means, and what it is, from configs, file headers and model cards.

Nothing here loads a weight or torch; `checkpoint_loading` makes models of them. What headers show is refused before
anything large is fetched.
"""

import re
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from functools import lru_cache
from pathlib import Path
from typing import Any

from qcompare.errors import ModelUnavailable
from qcompare.models.checkpoint_bits import measured_bits
from qcompare.models.checkpoint_checks import check_checkpoint, check_file, quant_type
from qcompare.models.config import check_code, quantization, read_config
from qcompare.models.facts import ModelFacts
from qcompare.models.folder import content_hash, model_card
from qcompare.models.gguf import GgufFile, read_gguf
from qcompare.models.headers import Stored, read_headers
from qcompare.models.hub import fetch_hub, fetch_hub_file, read_hub
from qcompare.models.sources import HUB_ID, is_path
from qcompare.settings import Settings
from qcompare.study.model_name import SAYS_NOTHING, model_title
from qcompare.study.result import Bits
from qcompare.words import Message, gettext_noop

HUB_CHECKPOINT = re.compile(HUB_ID.pattern + r"(:(?P<file>[^:]+\.gguf))?")
"""`org/name`, `org/name@revision`, `org/name:file.gguf`, or `org/name@revision:file.gguf`."""
HUB_SECONDS = 60
"""For so long the hub is not asked again about a checkpoint: the screen makes a plan at every change."""
GGUF = "gguf"


@dataclass(frozen=True)
class CheckpointSource:
    """Where a checkpoint is."""

    name: str
    """As the study names it."""
    path: Path | None = None
    """A folder or a file on this machine."""
    repo: str = ""
    revision: str | None = None
    file: str = ""
    """A `.gguf` file of the repository."""

    @property
    def title(self) -> str:
        """For people: the last part of its name, without `.gguf`; more of it where that says nothing."""
        if self.path:
            return model_title(str(self.path.absolute()).removesuffix(".gguf"))
        last = (self.file or self.repo).rpartition("/")[2].removesuffix(".gguf")
        return f"{self.repo.rpartition('/')[2]}/{last}" if SAYS_NOTHING.fullmatch(last) else last


@dataclass(frozen=True)
class Checkpoint:
    """A checkpoint as its config, headers and card describe it."""

    source: CheckpointSource
    config: Mapping[str, Any]
    """Of its config.json; empty for GGUF files."""
    stored: Stored
    """Without tensors for GGUF files."""
    card: Mapping[str, Any]
    """The head of its model card."""
    gguf: GgufFile | None = None
    """None also for a file that is still on the hub."""
    path: Path | None = None
    """Folder or file on this machine, when it is fetched."""
    revision: str = ""
    """Commit on the hub, or a hash over its files; when it is fetched."""
    bits: Bits | None = None
    """Of its linear layers, measured on the files; when it is fetched."""

    @property
    def method(self) -> str:
        """`gguf`, a `quant_method`, or nothing where it is not quantized."""
        if self.gguf or self.source.file:
            return GGUF
        return str(quantization(self.config).get("quant_method") or "")

    @property
    def description(self) -> str:
        """For people: `GGUF Q4_K_M`, `compressed-tensors (nvfp4-pack-quantized)`, `gptq`; empty: not quantized."""
        if self.gguf:
            return f"GGUF {self.gguf.file_type}"
        kind = quant_type(quantization(self.config))
        return f"{self.method} ({kind})" if kind else self.method

    @property
    def scales_kv_cache(self) -> bool:
        """It holds scales for keys and values, by which compressed-tensors rounds them."""
        return bool(quantization(self.config).get("kv_cache_scheme"))

    @property
    def author(self) -> str | None:
        """Who made it, as far as it is known."""
        return self.source.repo.partition("/")[0] or self._stated("", "quantized_by") or self._stated("", "author")

    @property
    def license(self) -> str | None:
        """As its model card, or its GGUF header, states it."""
        return self._stated("license", "license")

    @property
    def base_model(self) -> str | None:
        """The model that it was made from, as its model card, or its GGUF header, states it."""
        return self._stated("base_model", "base_model.0.name")

    def _stated(self, key: str, gguf_key: str) -> str | None:
        value = self.card.get(key) or (self.gguf.metadata.get(f"general.{gguf_key}") if self.gguf else None)
        first = value[0] if isinstance(value, list) and value else value
        return first if isinstance(first, str) else None


def find_checkpoint(name: str) -> CheckpointSource:
    """Decide what a name means: a path that exists or looks like one, or something on the hub. Asks no network.

    Raises:
        ModelUnavailable: it is neither.
    """
    name = name.strip()
    if is_path(name):
        return CheckpointSource(name, path=Path(name).expanduser())
    if match := HUB_CHECKPOINT.fullmatch(name):
        return CheckpointSource(name, repo=match["repo"], revision=match["revision"], file=match["file"] or "")
    raise ModelUnavailable(
        "unknown checkpoint '{name}': give org/name[@revision], org/name:file.gguf, a folder, or a .gguf file",
        name=name if len(name) <= 60 else name[:57] + "…",
    )


def describe_checkpoint(name: str, base: ModelFacts, settings: Settings) -> Checkpoint:
    """What a checkpoint is; fetches a few kilobytes at most.

    Args:
        base: the study's model, beside which it is to stand.

    Raises:
        ModelUnavailable: one line: not found, not reachable, damaged, not loadable here, of another model.
    """
    source = find_checkpoint(name)
    found = _on_hub(source, settings) if source.path is None else _read(source, source.path, {}, settings)
    _check(found, base, settings)
    return found


def fetch_checkpoint(name: str, base: ModelFacts, settings: Settings, report: Callable[[str], None]) -> Checkpoint:
    """Bring a checkpoint to this machine, and read all that its headers tell.

    Raises:
        ModelUnavailable: as for `describe_checkpoint`, or there is no space.
    """
    found = describe_checkpoint(name, base, settings)
    source, path = found.source, found.source.path
    if path is None:
        report(f"downloading {source.name} where it is not in the cache")
        if source.file:
            path, revision = fetch_hub_file(source.repo, source.file, source.revision, settings)
        else:
            path = fetch_hub(source.repo, source.revision, settings)
            revision = path.name
        found = _read(source, path, found.card, settings)
        _check(found, base, settings)
    else:
        revision = content_hash(path)
    return replace(found, path=path, revision=revision, bits=measured_bits(found.gguf or found.stored, base))


def _on_hub(source: CheckpointSource, settings: Settings) -> Checkpoint:
    found = _asked(source, settings, int(time.time() // HUB_SECONDS))
    if isinstance(found, ModelUnavailable):
        raise found
    return found


@lru_cache(maxsize=32)
def _asked(source: CheckpointSource, settings: Settings, minute: int) -> Checkpoint | ModelUnavailable:
    try:
        found = read_hub(source.repo, source.revision, settings, source.file)
    except ModelUnavailable as error:
        return error
    if isinstance(found, Path):  # the hub cannot be reached, but a copy is in the cache
        return _read(source, found, {}, settings)
    return Checkpoint(source, found.config, found.stored, found.card)


def _read(source: CheckpointSource, path: Path, card: Mapping[str, Any], settings: Settings) -> Checkpoint:
    """A checkpoint on this machine, from its headers."""
    if path.is_file():
        return Checkpoint(source, {}, Stored({}, path.stat().st_size), card, gguf=read_gguf(path))
    if not path.is_dir():
        raise ModelUnavailable("{path}: no such file or folder", path=path)
    if not (path / "config.json").is_file():
        raise ModelUnavailable(_no_config(path))
    check_code(path, source.name, settings)
    config = read_config(path / "config.json")
    if not quantization(config) and (path / "hf_quant_config.json").is_file():
        config |= {"quantization_config": {"quant_method": "modelopt"}}  # its exporter's own file
    stored = read_headers(path, settings.allow_unsafe_weights)
    return Checkpoint(source, config, stored, model_card(path) or card)


def _no_config(folder: Path) -> Message:
    if files := [path.name for path in sorted(folder.glob("*.gguf"))]:
        values = {"folder": folder, "files": ", ".join(files[:4])}
        return Message("{folder}: holds GGUF files: name one of them ({files})", values)
    if (folder / "adapter_config.json").is_file():
        text = gettext_noop("{folder}: is an adapter, not a model; merge it into its model and name the result")
        return Message(text, {"folder": folder})
    text = gettext_noop("{folder}: has no config.json, so it is no checkpoint; give a model folder or a .gguf file")
    return Message(text, {"folder": folder})


def _check(found: Checkpoint, base: ModelFacts, settings: Settings) -> None:
    if found.gguf:
        check_file(found.gguf, found.source.name, base)
    elif not found.source.file:
        check_checkpoint(found.config, found.source.name, base, settings)
