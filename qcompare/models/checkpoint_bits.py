"""Bits of a checkpoint's linear layers, measured on its file headers."""

from qcompare.models.facts import ModelFacts
from qcompare.models.gguf import GgufFile, nominal_bits, tensor_names
from qcompare.models.headers import Stored
from qcompare.study.result import Bits


def measured_bits(files: Stored | GgufFile, base: ModelFacts) -> Bits:
    """Average bits of the linear layers as they are stored: of their weights alone, and with scales and zero points.

    Where the files do not name their layers as the model does, all bytes over all weights.
    """
    found = _gguf_bits(files, base) if isinstance(files, GgufFile) else _stored_bits(files, base)
    if len(found) < len(base.layers):
        size = files.path.stat().st_size if isinstance(files, GgufFile) else files.size_bytes
        bits = 8 * size / base.num_params
        return Bits(asked=None, achieved=bits, achieved_with_scales=bits)
    return Bits(
        asked=None,
        achieved=sum(weights for weights, _ in found.values()) / base.num_quantized_params,
        achieved_with_scales=sum(whole for _, whole in found.values()) / base.num_quantized_params,
    )


def _stored_bits(stored: Stored, base: ModelFacts) -> dict[str, tuple[int, int]]:
    """Layer → bits of its largest tensor, and of all that belong to it but the bias."""
    sizes: dict[str, list[int]] = {}
    for name, size in stored.num_bytes.items():
        layer, _, kind = name.rpartition(".")
        if kind != "bias":
            # bitsandbytes keeps scales below the weight: `q_proj.weight.absmax`
            sizes.setdefault(layer.removesuffix(".weight"), []).append(8 * size)
    return {layer.name: (max(its), sum(its)) for layer in base.layers if (its := sizes.get(layer.name))}


def _gguf_bits(file: GgufFile, base: ModelFacts) -> dict[str, tuple[int, int]]:
    """The same; a GGUF block holds weights and scales, so the former are counted by the name of its type."""
    names = tensor_names(file, (f"{layer.name}.weight" for layer in base.layers))
    tensors = {names[tensor.name]: tensor for tensor in file.tensors if tensor.name in names}
    return {
        layer.name: (layer.numel * nominal_bits(tensor.type_name), 8 * tensor.num_bytes)
        for layer in base.layers
        if (tensor := tensors.get(f"{layer.name}.weight"))
    }
