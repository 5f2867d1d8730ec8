"""Rounding by auto-round itself: optimised or tuned, and whatever a real checkpoint is packed from.

Plain rounding for evaluation is `simulate`'s, which gives the same weights in a tenth of the time.
"""

from collections import Counter
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

from qcompare.formats.library import library_scheme
from qcompare.models.loading import placed
from qcompare.quantize.auto_round_patches import reported_progress, torch_as_before
from qcompare.quantize.simulate import give_original_head, keep_original_head, take_original_head
from qcompare.study.formats import UNQUANTIZED, quantized


@dataclass(frozen=True)
class Rounding:
    """How weights are rounded."""

    kind: str
    """`rtn`, `opt_rtn` or `tuned`."""
    iters: int
    """Steps a block; for `tuned` only."""
    dataset: str | None
    """A `.jsonl` file or a data set that auto-round knows; None is its default."""
    num_samples: int
    max_seq_length: int
    seed: int

    @property
    def label(self) -> str:
        """For results: `rtn`, `opt_rtn`, `tuned (200 iters)`."""
        return f"tuned ({self.iters} iters)" if self.kind == "tuned" else self.kind


def allows_bfloat16(model: Any) -> bool:
    """auto-round's `amp`: off for a model loaded in float32, because the job's dtype decides.

    auto-round would cast it to bfloat16, rotary tables included, on a GPU or a CPU with units for bfloat16
    (`auto_round/context/model.py: _set_amp_dtype`).
    """
    import torch

    return model.dtype is not torch.float32


def compressor(model: Any, tokenizer: Any, layer_config: Mapping[str, str], rounding: Rounding, device: str) -> Any:
    """auto-round's compressor for a layer config; nothing runs yet."""
    import torch
    from auto_round import AutoRound

    most = Counter(quantized(layer_config).values()).most_common(1)[0][0]
    modules = dict(model.named_modules())
    keep_original_head(model, [modules[name] for name in quantized(layer_config)])
    others = {name: dict(library_scheme(scheme)) for name, scheme in layer_config.items() if scheme != most}
    left = (name for name, module in modules.items() if isinstance(module, torch.nn.Linear))
    others |= {name: dict(library_scheme(UNQUANTIZED)) for name in left if name not in layer_config}
    own_text = {} if rounding.dataset is None else {"dataset": rounding.dataset}
    has_head = take_original_head(model) is not None
    return AutoRound(
        model,
        tokenizer,
        scheme=library_scheme(most),
        layer_config=others,
        iters=rounding.iters if rounding.kind == "tuned" else 0,
        disable_opt_rtn=rounding.kind == "rtn",
        disable_model_free=True,
        nsamples=rounding.num_samples,
        seqlen=rounding.max_seq_length,
        device_map="auto" if device == "cuda" else device,
        seed=rounding.seed,
        amp=allows_bfloat16(model),
        quant_lm_head=has_head,
        low_cpu_mem_usage=not has_head,  # which saves block by block, and the head as it was
        **own_text,
    )


def round_in_memory(
    model: Any,
    tokenizer: Any,
    layer_config: Mapping[str, str],
    rounding: Rounding,
    device: str,
    report: Callable[[int, int], None] = lambda done, total: None,
) -> Any:
    """A model that behaves as if stored in these schemes, rounded by auto-round. The one given is consumed."""
    from auto_round.compressors import orchestrator

    with reported_progress(orchestrator, report), torch_as_before():
        found, _ = compressor(model, tokenizer, layer_config, rounding, device).quantize()
    if head := take_original_head(model):
        give_original_head(found, head)
    return placed(found, device).eval()
