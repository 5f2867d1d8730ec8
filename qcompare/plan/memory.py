"""How much memory a job takes: the weights, which are a floor, and a working set above them.

The working set follows the memory that is free: rows of a forward pass and pieces of logits are smaller where there
is less. So what a job takes at least (`Range.low`) is not much above the weights, and what it takes where nothing is
tight (`Range.high`) is some gigabytes more.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from statistics import median

from qcompare.models.devices import Device
from qcompare.models.facts import ModelFacts
from qcompare.quantize.switchable import KEPT_BYTES
from qcompare.study.records import Range
from qcompare.study.result import Result
from qcompare.study.spec import Study

CONTEXT_BYTES = 700_000_000
"""Of a CUDA process on its GPU, beside what torch allocates: the context and the code of kernels."""
WORKER_BYTES = 900_000_000
"""What Python and its libraries take in RAM before a model is loaded."""
GPU_WORKER_BYTES = 2_500_000_000
"""The same with CUDA's libraries, and what they pin."""
LEAST_WORK = {"gpu": 400_000_000, "cpu": 100_000_000}
"""The smallest rows and pieces of logits."""
USUAL_WORK = {"gpu": 3_000_000_000, "cpu": 300_000_000}
"""Logits of a gigabyte and their log-softmax; on a CPU pieces are small."""
MOST_WORK = {"gpu": 8_000_000_000, "cpu": 800_000_000}
"""Full rows of 16 384 tokens beside them."""
SCORED_BATCH = 8
"""Passages that AutoScheme reads at a time."""
LIKE_SIZE = 4.0
"""Models up to so many times larger or smaller tell about each other's working set."""
BF16_CAPABILITY = (8, 0)
BF16_FLAGS = {"amx_bf16", "avx512_bf16", "bf16", "svebf16"}
"""As `/proc/cpuinfo` calls the units of `models.machine.BF16_UNITS`."""


@dataclass(frozen=True)
class MemoryNeeds:
    """What a job takes."""

    device: Range
    """Of the device that computes."""
    ram: Range
    """The same on a CPU."""


def item_bytes(device: Device, dtype: str) -> int:
    """Bytes of a weight, as `models.machine.pick_dtype` decides; without loading torch.

    Args:
        dtype: the setting.
    """
    if dtype != "auto":
        return 4 if dtype == "float32" else 2
    if device.kind == "cuda":
        return 2 if (device.capability or BF16_CAPABILITY) >= BF16_CAPABILITY else 4
    if device.kind == "xpu":
        return 2
    return 2 if device.kind == "cpu" and BF16_FLAGS & _cpu_flags() else 4


def memory_needs(
    facts: ModelFacts, study: Study, device: Device, dtype: str, scoring: bool, past: Sequence[Result] = ()
) -> MemoryNeeds:
    """What one job takes, by its model's size, or by what like jobs took above the weights.

    Args:
        dtype: the setting.
        scoring: it computes the scores of layers.
        past: results of jobs that did the same in this respect, of any model, on such a device.
    """
    size = item_bytes(device, dtype)
    place = "cpu" if device.kind in ("cpu", "mps") else "gpu"
    weights = facts.num_stored_params * size
    base = WORKER_BYTES if place == "cpu" else CONTEXT_BYTES
    rounding = 16 * max((layer.numel for layer in facts.layers), default=0)  # four float32 copies of a layer
    least, usual, most = (weights + base + rounding + work[place] for work in (LEAST_WORK, USUAL_WORK, MOST_WORK))
    if scoring:
        logits = _scored_logits(facts, study)
        if place == "cpu":  # AutoScheme keeps a rounded copy of the weights, and gradients of a block
            usual, most = usual + logits + weights, most + 2 * logits + 2 * weights
            least += logits // 2
        else:  # and streams blocks to a GPU; our own scores keep rounded weights where there is room
            usual, most = usual + logits // 2, most + logits + min(KEPT_BYTES, 2 * weights)
    if (measured := _measured(facts, size, base, past)) is not None:
        least, usual, most = (max(weights + base, int(measured * share)) for share in (0.9, 1.0, 1.15))
    found = Range(low=least, likely=usual, high=most)
    if place == "cpu":
        return MemoryNeeds(found, found)
    # weights go to the GPU one by one; AutoScheme moves them back and keeps a rounded copy
    ram = GPU_WORKER_BYTES + (2 * weights if scoring else weights // 10)
    return MemoryNeeds(
        found, Range(low=GPU_WORKER_BYTES + (weights if scoring else 0), likely=ram, high=ram + weights // 4)
    )


def _scored_logits(facts: ModelFacts, study: Study) -> int:
    """Logits of the passages that are scored together, in float32, with their softmax and gradients."""
    vocabulary = facts.lm_head.out_features if facts.lm_head else 128_000
    tokens = min(SCORED_BATCH, study.calibration.num_samples) * study.calibration.max_seq_length
    return 16 * tokens * vocabulary


def _measured(facts: ModelFacts, size: int, base: int, past: Sequence[Result]) -> float | None:
    """The peak by what jobs of this model took in this dtype, else by the working set of models of about its size."""
    alike = [result for result in past if _item_bytes_of(result) == size]
    on_gpu = base == CONTEXT_BYTES  # which torch does not count
    own = [each.peak_memory_bytes for each in alike if each.model.num_params == facts.num_params]
    if own:
        return median(own) + (base if on_gpu else 0)
    weights = facts.num_stored_params * size
    others = [
        each.peak_memory_bytes - each.model.num_params * size
        for each in alike
        if 1 / LIKE_SIZE <= each.model.num_params / facts.num_params <= LIKE_SIZE
    ]
    return weights + max(0.0, median(others)) + (base if on_gpu else 0) if others else None


def _item_bytes_of(result: Result) -> int:
    return 4 if result.environment.dtype == "float32" else 2


def _cpu_flags() -> set[str]:
    try:
        lines = Path("/proc/cpuinfo").read_text(encoding="utf-8", errors="replace").splitlines()
    except OSError:
        return set()
    return set(next((line.split(":")[1].split() for line in lines if line.startswith(("flags", "Features"))), []))


def gpus_needed(memory: Range, one_gpu_bytes: int, available: int) -> int:
    """How many equal GPUs a job must hold: as many as its memory takes, at most all of them.

    Each GPU has a context of its own, and blocks are whole: a twentieth of each is not used.
    """
    usable = max(1, int(0.95 * one_gpu_bytes) - CONTEXT_BYTES)
    return max(1, min(available, -(-int(memory.low) // usable) if memory.low > one_gpu_bytes else 1))
