"""8-bit weights and activations, as a compressed-tensors checkpoint of these schemes computes them once it is loaded.

Weights go through compressed-tensors' own functions. So could activations, which are rounded at every call; here they
are rounded to the same values in a third of the time (`compressed_tensors/quantization/lifecycle/forward.py`).
"""

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

from qcompare.errors import InvalidStudy
from qcompare.formats.compiling import fused_on_gpu
from qcompare.formats.library import OWN_SETTINGS
from qcompare.formats.small_floats import FLOAT8_MAX, rounded_float8_
from qcompare.study.formats import SCHEMES, Format, Rounding, Scheme, SchemeChoice
from qcompare.study.layers import LinearLayer
from qcompare.words import gettext_noop

if TYPE_CHECKING:
    import torch

BLOCK = 128
"""Rows and columns of a block of `FP8_BLOCK`, and numbers of an input that share a scale."""
PER_ROW = 1 << 30
"""Group size of schemes whose scale belongs to a whole row."""
PRESETS = {"INT8_W8A8": "W8A8"}
"""Our name of a scheme → compressed-tensors' preset, where they differ."""
INT8_MAX = 127.5
"""What a scale maps the largest number to; in FP8 to `FLOAT8_MAX`."""


class _W8A8(Format):
    name = "w8a8"
    title = gettext_noop("8-bit weights and activations")
    exports = ("llm_compressor",)
    schemes = (
        Scheme("FP8_DYNAMIC", name, 8, PER_ROW, 16, gettext_noop("8-bit floats, one scale per output.")),
        Scheme("FP8_BLOCK", name, 8, BLOCK, 16, gettext_noop("8-bit floats, one scale per 128 × 128 block."), BLOCK),
        Scheme("INT8_W8A8", name, 8, PER_ROW, 16, gettext_noop("8-bit integers, one scale per output.")),
    )
    choices = (
        SchemeChoice(
            ("NVFP4", "FP8_DYNAMIC"), gettext_noop("NVFP4 + FP8\nNVIDIA's formats: 4 bits, and 8 where it matters.")
        ),
        SchemeChoice(
            ("MXFP4", "FP8_DYNAMIC", "BF16"), gettext_noop("MXFP4 + FP8 + BF16\nThree widths that vLLM serves.")
        ),
    )

    def check(self, schemes: Sequence[Scheme], layers: Sequence[LinearLayer]) -> None:
        for scheme in (scheme for scheme in schemes if scheme.group_rows > 1):
            for layer in layers:
                if layer.out_features % BLOCK or layer.in_features % BLOCK:
                    raise InvalidStudy(
                        "{scheme} needs weights in blocks of {block} × {block}, but {layer} has {outputs} × "
                        "{inputs}: choose FP8_DYNAMIC, which takes any size",
                        scheme=scheme.name,
                        block=BLOCK,
                        layer=layer.name,
                        outputs=layer.out_features,
                        inputs=layer.in_features,
                    )

    def definition(self, scheme: Scheme) -> Mapping[str, Any]:
        args: Mapping[str, Any] = library_args(scheme.name).model_dump(mode="json")
        return args

    def weight_rounding(self, scheme: Scheme) -> Rounding:
        from compressed_tensors.quantization.lifecycle.forward import fake_quantize
        from compressed_tensors.quantization.utils import calculate_qparams

        args = library_args(scheme.name).weights

        def rounded(x: "torch.Tensor") -> "torch.Tensor":
            grouped = x
            if scheme.group_rows > 1:
                blocks = x.unflatten(-1, (-1, scheme.group_size)).unflatten(0, (-1, scheme.group_rows))
                grouped = blocks.transpose(1, 2).flatten(2)
            least, most = grouped.aminmax(dim=-1, keepdim=scheme.group_rows == 1)
            scale, zero_point = calculate_qparams(least, most, args)
            found: torch.Tensor = fake_quantize(x, scale, zero_point, args)
            return found

        return rounded

    def activation_rounding(self, scheme: Scheme, maximum: float | None = None) -> Rounding:
        group_size = BLOCK if scheme.group_rows > 1 else None
        integer = scheme.name == "INT8_W8A8"
        return fused_on_gpu(lambda x: rounded_in_groups(x, group_size, integer))


def rounded_in_groups(x: "torch.Tensor", group_size: int | None, integer: bool) -> "torch.Tensor":
    """`x` of shape (rows, features) as 8-bit numbers, floats (e4m3) or integers; same shape and dtype.

    Args:
        group_size: features that share a scale; None: a whole row.
    """
    import torch

    groups = x if group_size is None else x.unflatten(-1, (-1, group_size))
    largest = INT8_MAX if integer else FLOAT8_MAX
    scale = torch.linalg.vector_norm(groups, float("inf"), dim=-1, keepdim=True) / largest
    scale.masked_fill_(scale == 0, torch.finfo(x.dtype).eps)
    scaled = groups / scale
    if integer:
        return scaled.clamp_(-128, 127).round_().mul_(scale).reshape(x.shape)
    return rounded_float8_(scaled).to(x.dtype).mul_(scale).reshape(x.shape)


def scheme_of_inputs(args: Any) -> str | None:
    """The scheme that rounds inputs as these `compressed_tensors.quantization.QuantizationArgs`; None: none does."""
    fields = ("num_bits", "type", "strategy", "symmetric", "dynamic", "group_size")
    wanted = [getattr(args, field) for field in fields]
    names = ("NVFP4", *(scheme.name for scheme in W8A8.schemes))
    presets = ((name, library_args(name).input_activations) for name in names)
    return next((name for name, its in presets if wanted == [getattr(its, field) for field in fields]), None)


def library_args(scheme: str, targets: Sequence[str] = ("Linear",)) -> Any:
    """The `compressed_tensors.quantization.QuantizationScheme` of a scheme, for layers of these names or classes."""
    from compressed_tensors.quantization import preset_name_to_scheme

    found = preset_name_to_scheme(OWN_SETTINGS.sub("", PRESETS.get(scheme, scheme)), list(targets))
    if SCHEMES[scheme].format == "int":
        found.weights.group_size = SCHEMES[scheme].group_size
    return found


W8A8 = _W8A8()
