"""The README.md of an exported checkpoint: what it is, how well it does, how to load it."""

from collections import Counter
from collections.abc import Sequence

from qcompare.study.layers import LinearLayer
from qcompare.study.recipe import RECIPES
from qcompare.study.result import ExportReport, Result
from qcompare.study.task import TASKS

Z95 = 1.96


def model_card(
    result: Result, layers: Sequence[LinearLayer], report: ExportReport, fits_vllm: bool, changed: int = 0
) -> str:
    """The card as Markdown.

    Args:
        result: what was measured, with the exported layers.
        changed: layers that hold another scheme than when they were measured.
        layers: those of the model, with their sizes.
        fits_vllm: no fused group holds two schemes.
    """
    name = RECIPES[result.recipe].label
    return "\n\n".join(
        (
            f"# {result.model.name}, {name}, {report.format} format",
            _recipe(result, report),
            _layer_table(result, layers),
            _scores(result, changed),
            _check(report),
            _loading(report, fits_vllm, result.kv_cache),
            "Versions: " + ", ".join(f"{name} {number}" for name, number in result.environment.libraries.items()),
            "`study.yaml` beside this file repeats the measurement: `python -m qcompare run study.yaml`.\n",
        )
    )


def _recipe(result: Result, report: ExportReport) -> str:
    assert result.bits is not None, "a served model cannot be written"
    lines = [
        f"- Original: {result.model.name} ({result.model.source}, revision {result.model.revision})",
        f"- Recipe: {result.recipe}: {RECIPES[result.recipe].text}",
        f"- Average bits of a quantized weight: {result.bits.achieved:.3f}; "
        f"{result.bits.achieved_with_scales:.3f} with scales",
        f"- Bits per weight, from the files: {report.bits_per_weight:.3f} ({report.size_bytes / 1e6:.1f} MB)",
        f"- Rounding: {result.rounding}",
    ]
    if result.kv_cache:
        lines.append(
            "- KV cache: measured in FP8 with scale 1.0. It is a setting of the server, not part of this checkpoint: "
            f"vLLM's `--kv-cache-dtype {result.kv_cache}`"
        )
    if result.calibration:
        lines.append(f"- Calibration: {result.calibration}")
    if result.awq:
        skipped = f", skipped: {', '.join(result.awq.skipped)}" if result.awq.skipped else ""
        lines.append(f"- AWQ: {len(result.awq.applied)} mappings applied, {len(result.awq.skipped)} skipped{skipped}")
    return "\n".join(lines)


def _layer_table(result: Result, layers: Sequence[LinearLayer]) -> str:
    count: Counter[str] = Counter()
    weights: Counter[str] = Counter()
    for layer in layers:
        scheme = result.layer_config.get(layer.name, "BF16")
        count[scheme] += 1
        weights[scheme] += layer.numel
    total = sum(weights.values())
    rows = [f"| {s} | {count[s]} | {weights[s]:,} | {100 * weights[s] / total:.1f} % |" for s in sorted(count)]
    return "\n".join(["| scheme | layers | weights | share |", "|---|---:|---:|---:|", *rows])


def _scores(result: Result, changed: int) -> str:
    if not result.tasks:
        return "No benchmarks were run."
    how = "with these formats simulated in memory" if result.simulated else "on this checkpoint"
    if changed:
        how += f", when {changed} layers held another scheme (layers that vLLM fuses were given one since)"
    rows = []
    for score in result.tasks:
        interval = "–" if score.stderr is None else f"± {Z95 * score.stderr:.4f}"
        value = "–" if score.value is None else f"{score.value:.4f}"
        rows.append(
            f"| {TASKS.title(score.task)} | {score.metric} | {value} | {interval} | {score.n} | {score.data} |"
        )
    head = ["| task | metric | score | 95 % | questions | data |", "|---|---|---:|---:|---:|---|"]
    return "\n".join([f"Measured {how}:\n", *head, *rows])


def _check(report: ExportReport) -> str:
    return (
        f"Checked by loading it in a fresh process ({report.dtype}): {report.layers} quantized layers; logits of a "
        f"prompt differ from the measured model's by {agreement(report)}. "
        f"It continues “{report.prompt}” with “{' '.join(report.text.split())}”."
    )


def agreement(report: ExportReport) -> str:
    """How near the reloaded model is to the measured one, and why it is not nearer."""
    text = (
        f"{report.mean_difference:.2g} on average and {report.max_difference:.2g} at most, the same next word in "
        f"{100 * report.top1_agreement:.0f} % of places"
    )
    if report.weights_difference is not None:
        return (
            f"{text}, because compressed-tensors rounds activation scales by a rule of its own; "
            f"with activations left alone by {report.weights_difference:.2g} at most"
        )
    return text


def _loading(report: ExportReport, fits_vllm: bool, kv_cache: str | None) -> str:
    if report.format == "gguf":
        return """With llama.cpp:

```bash
llama-server -m FILE.gguf
```"""
    package = "auto-round" if report.format == "auto_round" else "compressed-tensors"
    vllm = (
        f"```bash\nvllm serve FOLDER{f' --kv-cache-dtype {kv_cache}' if kv_cache else ''}\n```"
        if fits_vllm
        else "vLLM does not load it: q/k/v or gate/up of some blocks hold two schemes, and vLLM fuses them. "
        "Export with `--vllm` to get one that it can fuse."
    )
    return f"""With transformers (and {package} installed):

```python
from transformers import AutoModelForCausalLM

model = AutoModelForCausalLM.from_pretrained("FOLDER", dtype="bfloat16")
```

With vLLM (not tried here):

{vllm}"""
