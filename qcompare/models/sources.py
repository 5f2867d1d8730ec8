"""Where a model comes from, by the name a study gives it: the demo bundle, a folder, or the hub."""

import re
from collections.abc import Callable
from dataclasses import dataclass
from difflib import get_close_matches
from pathlib import Path

from qcompare.demo.bundle import ensure_bundle, ready
from qcompare.demo.manifest import demo_manifest
from qcompare.errors import ModelUnavailable
from qcompare.models.config import check_code
from qcompare.models.facts import LocalModel, ModelFacts
from qcompare.models.folder import describe_folder, folder_revision
from qcompare.models.headers import Stored
from qcompare.models.layers import embedding, linear_layers, num_params, output_head
from qcompare.models.loading import load
from qcompare.settings import Settings
from qcompare.words import Message, gettext_noop

__all__ = ["LocalModel", "Source", "absolute", "describe", "fetch", "is_present", "load", "resolve"]

DEMO = "demo"
HUB_ID = re.compile(r"(?P<repo>[A-Za-z0-9][\w.-]*/[\w.-]+)(@(?P<revision>[\w./-]+))?")
"""`org/name` or `org/name@revision`."""
PATH = re.compile(r"[/~]|\.{1,2}([/\\]|$)|[A-Za-z]:[/\\]|\\\\")
"""How paths begin, those of Windows too: `/…`, `~`, `./…`, `..`, `C:\\…`, and shares."""


@dataclass(frozen=True)
class Source:
    """Where a model is to be looked for."""

    kind: str
    """`demo bundle`, `folder` or `hub`."""
    folder: Path | None = None
    repo: str | None = None
    revision: str | None = None
    """Branch, tag or commit on the hub; None is the newest."""


def resolve(model: str, settings: Settings) -> Source:
    """Decide what a name means: `demo`, a path that exists or looks like one, or a hub id. Asks no network.

    Raises:
        ModelUnavailable: it is none of these.
    """
    model = model.strip()
    if len(model.splitlines()) > 1 or "\0" in model:
        raise ModelUnavailable(
            "the model's name has line breaks: give demo, org/name[@revision] or a folder (./name)"
        )
    if model == DEMO:
        return Source(gettext_noop("demo bundle"))
    if is_path(model):
        return Source(gettext_noop("folder"), folder=_path(model))
    if match := HUB_ID.fullmatch(model):
        return Source(gettext_noop("hub"), repo=match["repo"], revision=match["revision"])
    shown = model if len(model) <= 60 else model[:57] + "…"
    if get_close_matches(model, [DEMO], cutoff=0.6):
        text = gettext_noop(
            "unknown model '{model}': it is no folder here and no hub id. Did you mean 'demo'? {ways}"
        )
    else:
        text = gettext_noop("unknown model '{model}': it is no folder here and no hub id. {ways}")
    raise ModelUnavailable(text, model=shown, ways=Message("Give demo, org/name[@revision] or a folder (./name)"))


def is_path(name: str) -> bool:
    """A name means a path: it looks like one, or exists here."""
    return bool(PATH.match(name)) or _exists(name)


def absolute(model: str, settings: Settings) -> str:
    """The same model by a name that holds in every working folder; for what is stored and run elsewhere.

    Raises:
        ModelUnavailable: as for `resolve`.
    """
    folder = resolve(model, settings).folder
    return model.strip() if folder is None else str(folder.resolve())


def describe(model: str, settings: Settings) -> ModelFacts:
    """What is known of a model without loading it: its layers and their sizes, from headers or hub metadata.

    The demo model is described from the package, also before it is fetched.

    Raises:
        ModelUnavailable: one line: not found, not reachable, not allowed or not supported.
    """
    source = resolve(model, settings)
    if source.kind == "demo bundle":
        return _describe_demo()
    if source.folder is not None:
        return describe_folder(source.folder, model, source.kind, "", settings)
    from qcompare.models.hub import describe_hub

    assert source.repo is not None
    return describe_hub(source.repo, source.revision, model, settings)


def fetch(model: str, settings: Settings, report: Callable[[str], None] = lambda text: None) -> LocalModel:
    """Bring a model's files to this machine, where they are not there yet.

    Raises:
        ModelUnavailable: one line: not found, not reachable, not allowed, no space.
    """
    source = resolve(model, settings)
    if source.kind == "demo bundle":
        folder = ensure_bundle(settings, report).model
        return LocalModel(folder, demo_manifest().title, source.kind, folder_revision(folder))
    if source.folder is not None:
        facts = describe(model, settings)
        return LocalModel(source.folder, facts.title, source.kind, folder_revision(source.folder))
    from qcompare.models.hub import fetch_hub

    assert source.repo is not None
    facts = describe(model, settings)  # refuses what cannot be used before gigabytes are fetched
    report(f"downloading {source.repo} ({facts.size_bytes / 1e9:.1f} GB) where it is not in the cache")
    folder = fetch_hub(source.repo, source.revision, settings)
    check_code(folder, model, settings)  # also of a commit that is newer than what was described
    return LocalModel(folder, facts.title, source.kind, folder.name)


def is_present(model: str, settings: Settings) -> bool:
    """Whether a model's weights are on this machine. Asks no network.

    Raises:
        ModelUnavailable: as for `resolve`.
    """
    source = resolve(model, settings)
    if source.kind == "demo bundle":
        return ready(settings)
    if source.folder is not None:
        return source.folder.is_dir()
    from qcompare.models.hub import in_cache

    assert source.repo is not None
    return in_cache(source.repo)


def _describe_demo() -> ModelFacts:
    manifest = demo_manifest()
    stored = Stored(manifest.tensors, size_bytes=0)
    params = num_params(stored.shapes, tied=True)
    layers = linear_layers(stored.shapes, manifest.family)
    return ModelFacts(
        model=DEMO,
        title=manifest.title,
        source="demo bundle",
        family=manifest.family,
        num_params=params,
        size_bytes=2 * params,
        license=manifest.license,
        layers=layers,
        lm_head=output_head(stored.shapes, layers, tied=True),
        embedding=embedding(stored.shapes),
        tied=True,
    )


def _path(model: str) -> Path:
    try:
        return Path(model).expanduser()
    except RuntimeError:
        raise ModelUnavailable("{model}: no such user's home", model=model[:80]) from None


def _exists(model: str) -> bool:
    try:
        return Path(model).exists()
    except (OSError, ValueError):
        return False
