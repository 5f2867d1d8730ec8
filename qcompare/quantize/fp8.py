"""Checkpoints with llm-compressor: plainly rounded, after AWQ, or by GPTQ; all of its API is here.

AWQ is that of the published results: `duo_scaling="both"`, then the rounding.
"""

from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from qcompare.formats.w8a8 import library_args
from qcompare.study.formats import quantized
from qcompare.study.result import AwqReport

Report = Callable[[int, int], None]


def write_compressed(
    model: Any,
    tokenizer: Any,
    layer_config: Mapping[str, str],
    folder: Path,
    report: Report = lambda done, total: None,
    rows: Any = None,
    n_grid: int | None = None,
    gptq: bool = False,
) -> AwqReport | None:
    """Compress a loaded model and save it as compressed-tensors. The model is consumed: its weights are freed.

    Args:
        layer_config: full layer name → scheme, of formats that compressed-tensors holds; other layers stay.
        folder: where the checkpoint goes.
        rows: calibration rows (`recipes.calibration.token_rows`), for AWQ and GPTQ and schemes that calibrate inputs.
        n_grid: scales that AWQ tries per mapping; None leaves AWQ out.
        gptq: round by GPTQ instead of to the nearest.

    Returns:
        What AWQ did; None without it.
    """
    import torch
    from llmcompressor import oneshot
    from llmcompressor.modifiers.gptq import GPTQModifier
    from llmcompressor.modifiers.quantization import QuantizationModifier

    layer_config = quantized(layer_config)
    linear = [name for name, module in model.named_modules() if isinstance(module, torch.nn.Linear)]
    by_scheme = {scheme: [n for n in linear if layer_config.get(n) == scheme] for scheme in layer_config.values()}
    targets = {scheme: names if len(by_scheme) > 1 else ["Linear"] for scheme, names in by_scheme.items()}
    rounding = (GPTQModifier if gptq else QuantizationModifier)(
        ignore=[name for name in linear if name not in layer_config],
        config_groups={f"group_{n}": library_args(*item) for n, item in enumerate(targets.items())},
    )
    awq = _reporting_awq(n_grid, report) if n_grid else None
    calibration = (
        {"dataset": rows, "num_calibration_samples": len(rows), "max_seq_length": _longest(rows)} if rows else {}
    )
    with _without_pinning():
        oneshot(model=model, tokenizer=tokenizer, recipe=[*([awq] if awq else []), rounding], **calibration)
    model.save_pretrained(folder, save_compressed=True)
    tokenizer.save_pretrained(folder)
    for module in model.modules():  # frees the weights, whoever still refers to the model
        module._parameters, module._buffers = {}, {}
    return awq.done() if awq else None


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
