"""Is a model, by its config.json, one that qcompare can compare? Answered without loading torch."""

import ast
import json
from collections.abc import Mapping
from functools import cache
from importlib.metadata import version
from importlib.util import find_spec
from pathlib import Path
from typing import Any

from qcompare.errors import ModelUnavailable
from qcompare.models.layers import VISION_FAMILIES
from qcompare.settings import Settings
from qcompare.words import Message, gettext_noop

USABLE = Message("a decoder-only language model (Llama, Qwen, Gemma, Mistral, …)")
NO_BASELINE = gettext_noop(
    "differences would be measured against a model that has lost accuracy already; choose the original model"
)


def read_config(path: Path) -> dict[str, Any]:
    """The content of a config.json.

    Raises:
        ModelUnavailable: it is damaged.
    """
    try:
        config = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError, RecursionError):
        config = None
    if not isinstance(config, dict):
        raise ModelUnavailable("{path}: is damaged; fetch the model again", path=path)
    return config


def check_baseline(config: dict[str, Any], model: str, settings: Settings) -> None:
    """Refuse what cannot be a study's model: what `check_config` refuses, and what is quantized already.

    Raises:
        ModelUnavailable: says why.
    """
    if how := quantization(config):
        method = how.get("quant_method") or Message("unknown method")
        text = gettext_noop("{model}: is quantized already ({method}): {reason}")
        raise ModelUnavailable(text, model=model, method=method, reason=Message(NO_BASELINE))
    check_config(config, model, settings)


def quantization(config: Mapping[str, Any]) -> dict[str, Any]:
    """How a checkpoint is quantized, as its config says; empty where it says nothing."""
    how = config.get("quantization_config") or config.get("compression_config")
    return how if isinstance(how, dict) else {"quant_method": None} if how else {}


def check_config(config: Mapping[str, Any], model: str, settings: Settings) -> None:
    """Refuse what cannot be compared, with the reason.

    Raises:
        ModelUnavailable: it names code of its own and that is not allowed; it is not a decoder-only causal language
            model; transformers does not know it.
    """
    _check_code(config, "config.json", model, settings)
    family = str(config.get("model_type", ""))
    architectures = [str(name) for name in config.get("architectures") or ()]
    known = causal_families()
    if family in VISION_FAMILIES:
        return
    if config.get("is_encoder_decoder") or "vision_config" in config or "audio_config" in config:
        text = gettext_noop("{model}: is not a text-only decoder ({kind}); choose {models}")
        raise ModelUnavailable(text, model=model, kind=_name(architectures, family), models=USABLE)
    if known is None or (family in known and (not architectures or known[family] in architectures)):
        return
    if config.get("auto_map") and family not in known:
        return  # allowed, or it would have been refused above
    if family not in known and any(name.endswith("ForCausalLM") for name in architectures):
        text = gettext_noop("{model}: transformers {version} does not know '{family}' models")
        raise ModelUnavailable(text, model=model, version=version("transformers"), family=family)
    text = gettext_noop("{model}: is not a causal language model ({kind}); choose {models}")
    raise ModelUnavailable(text, model=model, kind=_name(architectures, family), models=USABLE)


def check_code(folder: Path, model: str, settings: Settings) -> None:
    """Refuse a folder in which a config (of the model, tokenizer, generation, a processor) names code of its own.

    transformers prefers its own classes where it knows a model, but other libraries may not.

    Raises:
        ModelUnavailable: that is not allowed.
    """
    for path in sorted(folder.glob("*config.json")):
        _check_code(read_config(path), path.name, model, settings)


def _check_code(config: object, file: str, model: str, settings: Settings) -> None:
    if not settings.trust_remote_code and _names_code(config):
        raise ModelUnavailable(
            "{model}: {file} names code that the model brings along (auto_map), which is refused; "
            "set QCOMPARE_TRUST_REMOTE_CODE=true if you trust where it comes from",
            model=model,
            file=file,
        )


def _names_code(config: object) -> bool:
    if not isinstance(config, dict):
        return False
    return bool(config.get("auto_map")) or any(_names_code(value) for value in config.values())


def num_blocks(config: Mapping[str, Any]) -> int | None:
    """Decoder blocks as the config counts them; None where it does not say."""
    text = config.get("text_config")
    config = text if isinstance(text, dict) else config
    value = next(
        (config[key] for key in ("num_hidden_layers", "n_layer", "num_layers", "n_layers") if key in config), None
    )
    return value if isinstance(value, int) else None


@cache
def causal_families() -> dict[str, str] | None:
    """`model_type` → class of transformers' causal language models; None where the library cannot be read.

    Read from the text of the library's table (`models/auto/modeling_auto.py`): importing it would load torch.
    """
    spec = find_spec("transformers")
    if spec is None or not spec.submodule_search_locations:
        return None
    path = Path(spec.submodule_search_locations[0]) / "models" / "auto" / "modeling_auto.py"
    try:
        tree = ast.parse(path.read_text(encoding="utf-8"))
        table = next(node for node in tree.body if _assigns(node, "MODEL_FOR_CAUSAL_LM_MAPPING_NAMES"))
        return dict(ast.literal_eval(table.value.args[0]))  # type: ignore[attr-defined]
    except (OSError, ValueError, SyntaxError, StopIteration, AttributeError, IndexError):
        return None


def _assigns(node: ast.stmt, name: str) -> bool:
    return isinstance(node, ast.Assign) and any(isinstance(t, ast.Name) and t.id == name for t in node.targets)


def _name(architectures: list[str], family: str) -> str | Message:
    return architectures[0] if architectures else family or Message("no model_type")
