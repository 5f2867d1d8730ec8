"""An FP8 KV cache, simulated: what attention reads of keys and values is what a cache of 8-bit floats would hold.

As vLLM's `kv_cache_dtype=fp8` with its default scales of 1.0: numbers beyond ±448 become ±448, the others are rounded
to e4m3, keys after their positions were encoded. Queries and attention weights stay as they are; vLLM's
FlashAttention 3 rounds queries too (https://docs.vllm.ai/en/latest/features/quantization/quantized_kvcache/).
"""

import sys
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

from qcompare.errors import JobError
from qcompare.formats.small_floats import FLOAT8_MAX

if TYPE_CHECKING:
    import torch

PREFIX = "qcompare_fp8_kv_"
"""Of the names under which transformers knows an attention that reads such a cache."""


def simulate_fp8_cache(model: Any) -> None:
    """Let a model's attention read an FP8 KV cache, in whatever way it is called.

    Args:
        model: a loaded transformers model; changed in place.

    Raises:
        JobError: its attention cannot be replaced.
    """
    from transformers import AttentionInterface, AttentionMaskInterface
    from transformers.masking_utils import ALL_MASK_ATTENTION_FUNCTIONS

    before = model.config._attn_implementation
    if not getattr(model, "_supports_attention_backend", False):
        raise JobError(
            "the attention of {model} cannot be given an FP8 KV cache: leave kv_cache out", model=type(model).__name__
        )
    name = PREFIX + before
    AttentionInterface.register(name, reading_fp8(_implementation(before)))
    AttentionMaskInterface.register(name, ALL_MASK_ATTENTION_FUNCTIONS[before])
    model.set_attn_implementation(name)


def without_fp8_cache(implementation: str) -> tuple[str, bool]:
    """The implementation of attention behind a name, and whether it reads an FP8 cache."""
    return implementation.removeprefix(PREFIX), implementation.startswith(PREFIX)


def reading_fp8(attention: Callable[..., Any]) -> Callable[..., Any]:
    """An implementation of attention (transformers' `AttentionInterface`) that reads keys and values in FP8."""

    def reading(module: Any, query: Any, key: Any, value: Any, *args: Any, **kwargs: Any) -> Any:
        return attention(module, query, as_fp8(key), as_fp8(value), *args, **kwargs)

    return reading


def as_fp8(x: "torch.Tensor") -> "torch.Tensor":
    """`x` as 8-bit floats (e4m3); same shape and dtype."""
    import torch

    return x.clamp(-FLOAT8_MAX, FLOAT8_MAX).to(torch.float8_e4m3fn).to(x.dtype)


def _implementation(name: str) -> Callable[..., Any]:
    """An implementation by its name; `eager` is that of each model's own file."""
    from transformers.modeling_utils import ALL_ATTENTION_FUNCTIONS

    def attention(module: Any, *args: Any, **kwargs: Any) -> Any:
        eager = getattr(sys.modules[type(module).__module__], "eager_attention_forward", None)
        return ALL_ATTENTION_FUNCTIONS.get_interface(name, eager)(module, *args, **kwargs)

    return attention
