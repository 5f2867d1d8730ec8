"""Which checkpoints can be loaded here and stand beside a study's model: others are refused, by their headers."""

from collections.abc import Mapping
from dataclasses import dataclass
from importlib.util import find_spec
from typing import Any, NoReturn

from qcompare.errors import ModelUnavailable
from qcompare.models.config import check_config, num_blocks, quantization
from qcompare.models.devices import job_devices
from qcompare.models.facts import ModelFacts
from qcompare.models.gguf import GgufFile
from qcompare.settings import Settings
from qcompare.words import Message, gettext_noop


@dataclass(frozen=True)
class Method:
    """A way of quantizing, as configs name it (`quant_method`)."""

    package: str = ""
    """What transformers needs to load it, as pip calls it."""
    module: str = ""
    """The same as Python imports it."""
    refused: str = ""
    """Why it cannot be loaded at all, and what to do."""


METHODS: Mapping[str, Method] = {
    "compressed-tensors": Method("compressed-tensors", "compressed_tensors"),
    "auto-round": Method("auto-round", "auto_round"),
    "gptq": Method(),  # unpacked by `packed_ints`
    "awq": Method(),
    "bitsandbytes": Method("bitsandbytes", "bitsandbytes"),
    "torchao": Method("torchao", "torchao"),
    "fp8": Method(),
    "hqq": Method(
        refused=gettext_noop(
            "transformers 5 no longer reads its checkpoints; name a GPTQ, AWQ, bitsandbytes or GGUF version"
        )
    ),
    "quanto": Method("optimum-quanto", "optimum.quanto"),
    "aqlm": Method("aqlm", "aqlm"),
    "modelopt": Method(
        refused=gettext_noop(
            "transformers skips ModelOpt's quantization, so the scores would be those of something else; "
            "name a compressed-tensors version"
        )
    ),
}
"""By `quant_method`; others are refused by name."""


def check_checkpoint(config: Mapping[str, Any], name: str, base: ModelFacts, settings: Settings) -> None:
    """Refuse a checkpoint in transformers' format.

    Args:
        config: its config.json.
        name: as the study names it.
        base: the study's model.

    Raises:
        ModelUnavailable: it needs code or a library that is not there, is quantized in a way that cannot be loaded,
            or is of another model.
    """
    check_config(config, name, settings)
    if how := quantization(config):
        _check_method(str(how.get("quant_method") or ""), name)
        if quant_type(how) == "Int4WeightOnlyConfig":
            _check_int4(how, name, settings)
    if (family := str(config.get("model_type", ""))) != base.family:
        raise ModelUnavailable(
            "{name}: is a '{family}' model and {base} is '{ours}'; name a checkpoint of the study's model",
            name=name,
            family=family,
            base=base.title,
            ours=base.family,
        )
    _check_sizes(name, num_blocks(config), config.get("hidden_size", config.get("n_embd")), base)


def check_file(file: GgufFile, name: str, base: ModelFacts) -> None:
    """Refuse a GGUF file of another model.

    Raises:
        ModelUnavailable: says which sizes differ.
    """
    _check_sizes(name, file.value("block_count"), file.value("embedding_length"), base)


def quant_type(how: Mapping[str, Any]) -> str:
    """Which type of its method a config names: `nvfp4-pack-quantized`, `nf4`, `Int8WeightOnlyConfig`; empty where it
    names none."""
    if how.get("quant_method") == "bitsandbytes":
        return "int8" if how.get("load_in_8bit") else str(how.get("bnb_4bit_quant_type") or "")
    if how.get("quant_method") == "torchao":
        return str(_torchao_config(how).get("_type") or "")
    kind = next((how[key] for key in ("format", "packing_format", "quant_type") if how.get(key)), None)
    return kind if isinstance(kind, str) else ""


def _torchao_config(how: Mapping[str, Any]) -> Mapping[str, Any]:
    types = how.get("quant_type")
    default = types.get("default") if isinstance(types, dict) else None
    return default if isinstance(default, dict) else {}


def _check_int4(how: Mapping[str, Any], name: str, settings: Settings) -> None:
    """torchao's 4-bit weights are packed for kernels of GPUs, and nothing in it unpacks them."""
    if settings.executor == "local" and job_devices(settings.device)[0] in ("cpu", "mps"):
        raise ModelUnavailable(
            "{name}: torchao computes its 4-bit weights (Int4WeightOnlyConfig) on a GPU with CUDA only, which no job "
            "has here; name a GPTQ, AWQ, bitsandbytes or GGUF version",
            name=name,
        )
    layout = (_torchao_config(how).get("_data") or {}).get("int4_packing_format")
    if isinstance(layout, dict):
        layout = layout.get("_data")
    if str(layout or "plain").lower() in ("plain", "preshuffled") and not _installed("mslk"):
        _needs(name, "torchao (Int4WeightOnlyConfig)", "mslk-cuda")


def _needs(name: str, method: str, package: str) -> NoReturn:
    raise ModelUnavailable(
        "{name}: is quantized by {method}, which needs a package that is not installed: pip install {package}",
        name=name,
        method=method,
        package=package,
    )


def _check_method(method: str, name: str) -> None:
    known = METHODS.get(method)
    if known is None:
        raise ModelUnavailable(
            "{name}: is quantized in a way that cannot be loaded here ({method}); known are {known}",
            name=name,
            method=method or Message("unknown method"),
            known=", ".join(each for each, its in METHODS.items() if not its.refused),
        )
    if known.refused:
        raise ModelUnavailable(
            "{name}: is quantized by {method}: {why}", name=name, method=method, why=Message(known.refused)
        )
    if known.module and not _installed(known.module):
        _needs(name, method, known.package)


def _installed(module: str) -> bool:
    try:
        return find_spec(module) is not None
    except ModuleNotFoundError:  # its parent package is missing
        return False


def _check_sizes(name: str, blocks: Any, hidden: Any, base: ModelFacts) -> None:
    expected = {
        gettext_noop("blocks"): (blocks, max(layer.block for layer in base.layers) + 1),
        gettext_noop("hidden features"): (hidden, base.layers[0].in_features),
    }
    for what, (theirs, ours) in expected.items():
        if isinstance(theirs, int) and theirs != ours:
            raise ModelUnavailable(
                "{name}: is another model than {base} ({theirs} {what} instead of {ours}); name a checkpoint of the "
                "study's model",
                name=name,
                base=base.title,
                theirs=theirs,
                what=Message(what),
                ours=ours,
            )
