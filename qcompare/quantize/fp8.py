"""FP8 checkpoints with llm-compressor, plainly rounded or after AWQ; all of its API is here.

The recipe is that of the published results: AWQ with `duo_scaling="both"`, then FP8 on all linear layers but lm_head.
"""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from qcompare.formats.w8a8 import PRESETS, scheme_of_inputs
from qcompare.quantize.simulate import SharedInput, round_inputs
from qcompare.study.result import AwqReport

Report = Callable[[int, int], None]


def write_fp8(
    model: Any, tokenizer: Any, scheme: str, rows: Any, n_grid: int | None, folder: Path, report: Report
) -> AwqReport | None:
    """Compress a loaded model and save it as compressed-tensors. The model is consumed: its weights are freed.

    Args:
        scheme: `FP8_DYNAMIC` or `FP8_BLOCK`.
        rows: calibration rows (`recipes.calibration.token_rows`); None without AWQ.
        n_grid: scales that AWQ tries per mapping; None rounds plainly.
        folder: where the checkpoint goes.

    Returns:
        What AWQ did; None without it.
    """
    from llmcompressor import oneshot
    from llmcompressor.modifiers.quantization import QuantizationModifier

    rounding = QuantizationModifier(ignore=["lm_head"], scheme=PRESETS.get(scheme, scheme), targets=["Linear"])
    awq = _reporting_awq(n_grid, report) if n_grid else None
    calibration = (
        {"dataset": rows, "num_calibration_samples": len(rows), "max_seq_length": _longest(rows)} if awq else {}
    )
    with _without_pinning():
        oneshot(model=model, tokenizer=tokenizer, recipe=[*([awq] if awq else []), rounding], **calibration)
    model.save_pretrained(folder, save_compressed=True)
    tokenizer.save_pretrained(folder)
    for module in model.modules():  # frees the weights, whoever still refers to the model
        module._parameters, module._buffers = {}, {}
    return awq.done() if awq else None


def skip_repeated_rounding(model: Any) -> None:
    """Let a reloaded compressed-tensors model compute the same in far less time.

    Its weights are decompressed at the first call and rounded already: they are not rounded anew at every call.
    Inputs are rounded by `simulate`'s hooks, to the same values and once for all layers that share them, where a
    scheme of ours rounds them alike.
    """
    import torch
    from compressed_tensors.quantization import QuantizationStatus

    with torch.inference_mode():
        model(torch.tensor([[0]], device=model.device))
    shared = SharedInput()
    for module in model.modules():
        scheme = getattr(module, "quantization_scheme", None)
        if scheme is None or not isinstance(module, torch.nn.Linear):
            continue
        module.quantization_status = QuantizationStatus.COMPRESSED
        inputs = scheme.input_activations
        ours = inputs and scheme_of_inputs(inputs)
        if (ours or not inputs) and not scheme.output_activations:
            module.forward = torch.nn.Linear.forward.__get__(module)
        if ours:
            round_inputs(module, shared, ours)


def _longest(rows: Any) -> int:
    return max(len(tokens) for tokens in rows["input_ids"])


def _reporting_awq(n_grid: int, report: Report) -> Any:
    """llm-compressor's AWQ, telling which mappings it applied and which it passed over (it only logs that)."""
    from compressed_tensors.utils import match_modules_set
    from llmcompressor.modifiers.transform.awq import AWQModifier
    from pydantic import PrivateAttr
    from torch.utils._pytree import tree_leaves

    class ReportingAWQ(AWQModifier):  # type: ignore[misc]
        _found: dict[str, str] = PrivateAttr(default_factory=dict)
        _applied: list[str] = PrivateAttr(default_factory=list)

        def _set_resolved_mappings(self, model: Any) -> None:
            super()._set_resolved_mappings(model)
            names = {module: name for name, module in model.named_modules()}
            for mapping in self.mappings:
                patterns = (mapping.smooth_layer, *mapping.balance_layers)
                for (smooth, *_), *balanced in match_modules_set(model, patterns):
                    key = self._key(names[smooth], [names[layer] for layer in tree_leaves(balanced)])
                    self._found[key] = key

        def _compute_best_scale(self, mapping: Any, *args: Any, **kwargs: Any) -> Any:
            scales = super()._compute_best_scale(mapping, *args, **kwargs)
            self._applied.append(self._key(mapping.smooth_name, mapping.balance_names))
            report(len(self._applied), len(self._resolved_mappings))
            return scales

        @staticmethod
        def _key(smooth: str, balanced: list[str]) -> str:
            return f"{smooth} → {', '.join(name.rpartition('.')[2] for name in balanced)}"

        def done(self) -> AwqReport:
            skipped = tuple(key for key in self._found if key not in self._applied)
            return AwqReport(applied=tuple(self._applied), skipped=skipped, n_grid=n_grid)

    return ReportingAWQ(duo_scaling="both", n_grid=n_grid)


@contextmanager
def _without_pinning() -> Iterator[None]:
    """On a machine without an accelerator, pinning memory for it stops AWQ with an error; it only saves time."""
    import torch
    from llmcompressor.pipelines.cache import IntermediatesCache

    before = IntermediatesCache.pin_memory
    if not torch.cuda.is_available():
        IntermediatesCache.pin_memory = lambda self, batch_index, input_names=None: None
    try:
        yield
    finally:
        IntermediatesCache.pin_memory = before
