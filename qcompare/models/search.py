"""Which models could be meant: those in the Hugging Face cache, and the hub's, the most downloaded first."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass

from qcompare.errors import ModelUnavailable
from qcompare.models.hub import is_offline, within
from qcompare.settings import Settings
from qcompare.words import gettext_noop

ANSWER_SECONDS = 3.0
"""A hub that takes longer is not there, for somebody who types."""
FOUND, ASKED = 8, 40
"""Models to show, and to ask for: those that cannot be used are taken out."""
USABLE = ("text-generation", "safetensors")
"""Tags of what can be compared."""
UNUSABLE = frozenset(
    ("gguf", "gptq", "awq", "bitsandbytes", "compressed-tensors", "fp8", "mxfp4", "4-bit", "8-bit", "mlx", "onnx")
)
"""Tags of what is quantized already or in another format."""
QUANTIZED = UNUSABLE - {"mlx", "onnx"}
"""Tags of what a study's model may be compared with."""
OFFLINE = gettext_noop("The hub is switched off here (offline). Folders and the demo work.")
ABSENT = gettext_noop("The hub cannot be reached now. Folders and the demo work.")


@dataclass(frozen=True)
class FoundModel:
    """A model that a study may name."""

    name: str
    """`org/name`."""
    downloads: int | None = None
    """In the last 30 days, as the hub counts them; None where the hub was not asked."""
    num_params: int | None = None
    """As the hub knows it."""
    size_bytes: int | None = None
    """Of its files on this machine; None where there are none."""


def search_hub(text: str, settings: Settings) -> tuple[FoundModel, ...]:
    """Models of the hub whose names hold a text, as far as they can be compared; without a text, the most used.

    Args:
        text: what was typed so far; a revision (`@…`) does not count.

    Raises:
        ModelUnavailable: one line: offline is set, or the hub did not answer in time.
    """
    return _answer(settings, lambda: _ask(text.partition("@")[0].strip(), USABLE, lambda tags: not UNUSABLE & tags))


def search_checkpoints(base: str, text: str, settings: Settings) -> tuple[FoundModel, ...]:
    """Quantized versions of a model on the hub whose names hold a text; without a model, of any.

    Args:
        base: `org/name`; empty where the model is on no hub.
        text: what was typed so far. `org/name:` asks for the GGUF files of a repository.

    Returns:
        What a study may name; a repository of GGUF files ends with `:`, since one of them must be chosen.

    Raises:
        ModelUnavailable: as for `search_hub`.
    """
    if not (base or text):
        return ()
    if text.endswith(":"):
        return _answer(settings, lambda: _files(text))
    filters = (f"base_model:quantized:{base}",) if base else ()
    return _answer(settings, lambda: _ask(text.partition("@")[0], filters, lambda tags: bool(QUANTIZED & tags)))


def _answer(settings: Settings, ask: Callable[[], tuple[FoundModel, ...] | None]) -> tuple[FoundModel, ...]:
    if is_offline(settings):
        raise ModelUnavailable(OFFLINE)
    found = within(ANSWER_SECONDS, ask)
    if found is None:
        raise ModelUnavailable(ABSENT)
    return found


def cached_models(text: str = "") -> tuple[FoundModel, ...]:
    """Models whose weights are in the Hugging Face cache and whose names hold a text, by name. Asks no network."""
    from huggingface_hub import scan_cache_dir
    from huggingface_hub.errors import CacheNotFound

    try:
        repos = [repo for repo in scan_cache_dir().repos if repo.repo_type == "model"]
    except CacheNotFound:
        return ()
    whole = [repo for repo in repos if any(_is_whole(revision.files) for revision in repo.revisions)]
    held = [FoundModel(repo.repo_id, size_bytes=repo.size_on_disk) for repo in whole]
    return tuple(
        sorted((model for model in held if text.lower() in model.name.lower()), key=lambda model: model.name)
    )


def _is_whole(files: frozenset[object]) -> bool:
    names = [str(getattr(file, "file_name", "")) for file in files]
    return "config.json" in names and any(name.endswith(".safetensors") for name in names)


def _files(repo: str) -> tuple[FoundModel, ...] | None:
    """The GGUF files of `org/name:`; None where the hub does not answer."""
    import httpx
    from huggingface_hub import HfApi, errors

    try:
        info = HfApi().model_info(repo.removesuffix(":"), files_metadata=True)
    except (errors.RepositoryNotFoundError, errors.HFValidationError):
        return ()
    except (httpx.HTTPError, errors.HfHubHTTPError, OSError, ValueError):
        return None
    files = sorted(info.siblings or (), key=lambda file: file.size or 0)
    return tuple(
        FoundModel(f"{repo}{file.rfilename}", size_bytes=file.size)
        for file in files
        if file.rfilename.endswith(".gguf")
    )


def _ask(text: str, filters: Sequence[str], usable: Callable[[set[str]], bool]) -> tuple[FoundModel, ...] | None:
    """None where the hub does not answer."""
    import httpx
    from huggingface_hub import HfApi, errors

    try:
        models = list(
            HfApi().list_models(
                search=text or None,
                filter=list(filters) or None,
                sort="downloads",
                limit=ASKED,
                expand=["downloads", "safetensors", "tags"],
            )
        )
    except (httpx.HTTPError, errors.HfHubHTTPError, OSError, ValueError):
        return None
    tagged = [(model, {tag.lower() for tag in model.tags or ()}) for model in models]
    return tuple(
        FoundModel(
            f"{model.id}:" if "gguf" in tags else model.id,
            model.downloads,
            model.safetensors.total if model.safetensors else None,
        )
        for model, tags in [each for each in tagged if usable(each[1])][:FOUND]
    )
