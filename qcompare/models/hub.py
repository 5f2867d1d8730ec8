"""A model on the Hugging Face hub: what it is, and its files, fetched into the usual cache."""

import errno
import os
import threading
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeVar

from qcompare.errors import ModelUnavailable
from qcompare.models.config import check_baseline, check_code, read_config
from qcompare.models.facts import ModelFacts
from qcompare.models.folder import describe_folder, make_facts
from qcompare.models.headers import Stored
from qcompare.settings import Settings
from qcompare.words import Message, gettext_noop

T = TypeVar("T")
TIMEOUT = 5.0
"""Seconds to wait for the hub to answer at all."""
FILES = ("*.safetensors", "*.json", "*.jinja", "*.model", "*.txt", "*.tiktoken", "README.md")
OTHER_FORMATS = ("*/*", "consolidated*")
"""The same weights in other formats: subfolders (onnx, original) and Mistral's own file."""


def hub_reachable(settings: Settings) -> bool:
    """The hub answers, within a few seconds; never asked when offline is set."""
    return not is_offline(settings) and bool(within(TIMEOUT + 1, _answers))


def is_offline(settings: Settings) -> bool:
    """No hub may be asked, by qcompare's own setting or that of the hub's client."""
    return settings.offline or os.environ.get("HF_HUB_OFFLINE", "").upper() in ("1", "TRUE", "YES", "ON")


def within(seconds: float, ask: Callable[[], T]) -> T | None:
    """What a question to a network is answered within so many seconds; None after that. It must not raise."""
    answer: list[T] = []
    # In a thread: looking up a name can hang far longer than any timeout that a client offers.
    asking = threading.Thread(target=lambda: answer.append(ask()), daemon=True)
    asking.start()
    asking.join(seconds)
    return answer[0] if answer else None


def describe_hub(repo: str, revision: str | None, model: str, settings: Settings) -> ModelFacts:
    """The facts of a hub model from its metadata: a few kilobytes. Falls back to a copy in the cache.

    Raises:
        ModelUnavailable: one line: not reachable and not in the cache, unknown, gated, not allowed, not supported.
    """
    title = repo.rpartition("/")[2]
    if not hub_reachable(settings):
        return describe_folder(_cached(repo, revision, settings), model, "hub", title, settings)
    from huggingface_hub import HfApi

    with _explained(repo, revision):
        api = HfApi()
        info = api.model_info(repo, revision=revision, timeout=TIMEOUT * 2, files_metadata=True)
        files = [file.rfilename for file in info.siblings or ()]
        _check_weights(model, files)
        config_file = _fetch_configs(repo, info.sha, files)
        config = read_config(config_file)
        check_baseline(config, model, settings)
        check_code(config_file.parent, model, settings)
        metadata = api.get_safetensors_metadata(repo, revision=info.sha)
    license = info.card_data.get("license") if info.card_data else None
    stored = _stored(metadata, {file.rfilename: file.size or 0 for file in info.siblings or ()})
    return make_facts(config, stored, model=model, source="hub", title=title, license=license)


def fetch_hub(repo: str, revision: str | None, settings: Settings) -> Path:
    """Fetch the weights, config and tokenizer of a hub model into the Hugging Face cache.

    Returns:
        The snapshot folder; its name is the commit.

    Raises:
        ModelUnavailable: one line, as for `describe_hub`.
    """
    if not hub_reachable(settings):
        return _cached(repo, revision, settings)
    with _explained(repo, revision):
        return _snapshot(repo, revision, settings, local_files_only=False)


@dataclass(frozen=True)
class HubCheckpoint:
    """What the hub tells of a checkpoint before it is fetched."""

    config: dict[str, Any]
    """Empty for a GGUF file."""
    stored: Stored
    card: dict[str, Any]


def read_hub(repo: str, revision: str | None, settings: Settings, file: str = "") -> HubCheckpoint | Path:
    """What the hub tells of a checkpoint, or of one GGUF file of a repository; where it cannot be asked, the copy in
    the cache.

    Raises:
        ModelUnavailable: as for `describe_hub`; the repository has no such file, or holds GGUF files only.
    """
    if not hub_reachable(settings):
        return _cached_file(repo, file, revision, settings) if file else _cached(repo, revision, settings)
    from huggingface_hub import HfApi

    with _explained(repo, revision):
        api = HfApi()
        info = api.model_info(repo, revision=revision, timeout=TIMEOUT * 2, files_metadata=True)
        sizes = {each.rfilename: each.size or 0 for each in info.siblings or ()}
        card = dict(vars(info.card_data)) if info.card_data else {}
        ggufs = [name for name in sizes if name.endswith(".gguf")]
        if file and file not in sizes:
            raise ModelUnavailable(
                "{repo}: has no file {file}; it has {files}",
                repo=repo,
                file=file,
                files=", ".join(ggufs[:8]) or Message("no GGUF file"),
            )
        if file:
            return HubCheckpoint({}, Stored({}, sizes[file]), card)
        if ggufs and "config.json" not in sizes:
            text = gettext_noop("{repo}: holds GGUF files: name one, such as {repo}:{file}")
            raise ModelUnavailable(text, repo=repo, file=ggufs[0])
        _check_weights(repo, list(sizes))
        config_file = _fetch_configs(repo, info.sha, sizes)
        check_code(config_file.parent, repo, settings)
        config = read_config(config_file)
        if "hf_quant_config.json" in sizes:
            config.setdefault("quantization_config", {"quant_method": "modelopt"})
        return HubCheckpoint(config, _stored(api.get_safetensors_metadata(repo, revision=info.sha), sizes), card)


def fetch_hub_file(repo: str, file: str, revision: str | None, settings: Settings) -> tuple[Path, str]:
    """Fetch one file of a repository into the Hugging Face cache.

    Returns:
        Where it is, and the commit.

    Raises:
        ModelUnavailable: one line, as for `describe_hub`.
    """
    from huggingface_hub import hf_hub_download

    if hub_reachable(settings):
        with _explained(repo, revision):
            path = Path(hf_hub_download(repo, file, revision=revision))
    else:
        path = _cached_file(repo, file, revision, settings)
    return path, path.parts[-len(Path(file).parts) - 1]  # …/snapshots/COMMIT/file


def in_cache(repo: str) -> bool:
    """Files of this model are in the Hugging Face cache."""
    from huggingface_hub import constants

    return Path(constants.HF_HUB_CACHE, f"models--{repo.replace('/', '--')}").is_dir()


def _snapshot(repo: str, revision: str | None, settings: Settings, local_files_only: bool) -> Path:
    from huggingface_hub import snapshot_download

    return Path(
        snapshot_download(
            repo,
            revision=revision,
            allow_patterns=[*FILES, *(["*.py"] if settings.trust_remote_code else [])],
            ignore_patterns=list(OTHER_FORMATS),
            local_files_only=local_files_only,
        )
    )


def _cached(repo: str, revision: str | None, settings: Settings) -> Path:
    from huggingface_hub.errors import LocalEntryNotFoundError

    try:
        return _snapshot(repo, revision, settings, local_files_only=True)
    except LocalEntryNotFoundError:
        raise _not_cached(repo, settings) from None


def _fetch_configs(repo: str, commit: str | None, files: Iterable[str]) -> Path:
    """Fetch every config of a repository, each of which may name code; gives the path of its config.json."""
    from huggingface_hub import hf_hub_download

    configs = (name for name in files if name.endswith("config.json") and "/" not in name)
    fetched = [Path(hf_hub_download(repo, name, revision=commit)) for name in {"config.json", *configs}]
    return fetched[0].with_name("config.json")


def _cached_file(repo: str, file: str, revision: str | None, settings: Settings) -> Path:
    from huggingface_hub import hf_hub_download
    from huggingface_hub.errors import LocalEntryNotFoundError

    try:
        return Path(hf_hub_download(repo, file, revision=revision, local_files_only=True))
    except LocalEntryNotFoundError:
        raise _not_cached(repo, settings) from None


def _not_cached(repo: str, settings: Settings) -> ModelUnavailable:
    why = Message("qcompare is set to offline") if is_offline(settings) else Message("the hub is not reachable")
    return ModelUnavailable(
        "{repo}: {why} and no copy is in the cache; give a folder that holds the model, or use 'demo'",
        repo=repo,
        why=why,
    )


@contextmanager
def _explained(repo: str, revision: str | None) -> Iterator[None]:
    """Turn what the hub's client raises into one line."""
    import httpx
    from huggingface_hub import constants, errors

    at = f"{repo}@{revision}" if revision else repo
    try:
        yield
    except errors.GatedRepoError:
        raise ModelUnavailable(
            "{repo}: is gated; accept its terms on the hub, then log in with 'hf auth login'", repo=repo
        ) from None
    except errors.RepositoryNotFoundError:
        raise ModelUnavailable(
            "{repo}: no such model on the hub, or it is private; check the name, or log in with 'hf auth login'",
            repo=repo,
        ) from None
    except errors.RevisionNotFoundError:
        raise ModelUnavailable(
            "{at}: the model has no such revision; leave out '@{revision}' for the newest",
            at=at,
            revision=revision,
        ) from None
    except errors.EntryNotFoundError:
        raise ModelUnavailable("{at}: has no config.json, so transformers cannot load it", at=at) from None
    except (errors.NotASafetensorsRepoError, errors.SafetensorsParsingError):
        raise ModelUnavailable("{at}: its safetensors files cannot be read on the hub", at=at) from None
    except (httpx.TransportError, errors.HfHubHTTPError, ConnectionError) as error:
        first = next(iter(str(error)[:120].splitlines()), Message("no answer"))
        raise ModelUnavailable(
            "{at}: the hub does not answer ({reason}); try again, or use 'demo'", at=at, reason=first
        ) from None
    except OSError as error:
        if error.errno != errno.ENOSPC:
            raise
        raise ModelUnavailable(
            "{at}: no space left in {cache}; free some, or set HF_HOME", at=at, cache=constants.HF_HUB_CACHE
        ) from None


def _check_weights(model: str, files: list[str]) -> None:
    if "model.safetensors" in files or "model.safetensors.index.json" in files:
        return
    if any(name.endswith((".bin", ".pt", ".pth")) for name in files):
        raise ModelUnavailable(
            "{model}: has only pickled weights, which can run code when loaded; choose a revision with safetensors",
            model=model,
        )
    raise ModelUnavailable("{model}: has no model.safetensors; choose a model in transformers' format", model=model)


def _stored(metadata: Any, sizes: dict[str, int]) -> Stored:
    tensors = {name: t for file in metadata.files_metadata.values() for name, t in file.tensors.items()}
    return Stored(
        shapes={name: tuple(tensor.shape) for name, tensor in tensors.items()},
        size_bytes=sum(sizes.get(name, 0) for name in metadata.files_metadata),
    )


def _answers() -> bool:
    import httpx
    from huggingface_hub import constants

    try:
        return httpx.head(constants.ENDPOINT, timeout=TIMEOUT, follow_redirects=True).status_code < 400
    except (httpx.HTTPError, httpx.InvalidURL, OSError):
        return False
