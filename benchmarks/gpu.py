"""Every part of a study that computes, on one GPU, at the shape of an 8 B Llama with random weights: speed only.

    python -m benchmarks.gpu [--out FOLDER] [--minutes 9] [--only scoring,kl]
    python -m benchmarks.gpu --device cpu --layers 2 --small         the same code, to try it without a GPU

Needs this repository, torch, transformers and lm-eval, no network; sections that need another library that is not
here, or the demo bundle where it was never fetched, say so by name and are left out. One JSON and one text file go to
FOLDER. A section that has no time left is left out too.
"""

import argparse
import json
import platform
import sys
import time
import traceback
from collections.abc import Callable
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import Any

Figures = dict[str, Any]


@dataclass
class Bench:
    """What sections share."""

    device: str
    dtype: str
    small: bool
    layers: int
    end: float
    """When all must be done, by `time.perf_counter`."""
    figures: dict[str, Figures] = field(default_factory=dict)
    _model: Any = None

    @property
    def left(self) -> float:
        """Seconds."""
        return self.end - time.perf_counter()

    @property
    def model(self) -> Any:
        """The random model, made when first needed."""
        if self._model is None:
            self._model = make_model(self)
        return self._model

    def wait(self) -> None:
        """Until the device has done what it was given."""
        import torch

        if self.device.startswith("cuda"):
            torch.cuda.synchronize()

    def seconds(self, work: Callable[[], Any], repeat: int = 3, warm: bool = True) -> float:
        """Fastest of a few runs, the device's work included."""
        if warm:
            work()
        best = float("inf")
        for _ in range(repeat):
            self.wait()
            started = time.perf_counter()
            work()
            self.wait()
            best = min(best, time.perf_counter() - started)
        return best


def make_model(bench: Bench) -> Any:
    """A Llama of random weights on the device, in eval mode."""
    import torch
    from transformers import AutoModelForCausalLM, LlamaConfig

    large = {"hidden_size": 4096, "intermediate_size": 14336, "num_attention_heads": 32, "vocab_size": 128_256}
    small = {"hidden_size": 256, "intermediate_size": 512, "num_attention_heads": 8, "vocab_size": 2048}
    config = LlamaConfig(
        **(small if bench.small else large),
        num_hidden_layers=bench.layers,
        num_key_value_heads=8,
        max_position_embeddings=8192,
        bos_token_id=0,
        eos_token_id=1,
        pad_token_id=1,
    )
    torch.manual_seed(0)
    with torch.device(bench.device):
        return AutoModelForCausalLM.from_config(config, dtype=getattr(torch, bench.dtype)).eval()


def make_tokenizer() -> Any:
    """As much of one as lm-eval asks for: requests are given as tokens."""
    from tokenizers import Tokenizer, models
    from transformers import PreTrainedTokenizerFast

    words = {"<s>": 0, "</s>": 1, "<unk>": 2}
    return PreTrainedTokenizerFast(
        tokenizer_object=Tokenizer(models.WordLevel(words, unk_token="<unk>")),
        bos_token="<s>",
        eos_token="</s>",
        pad_token="</s>",
        unk_token="<unk>",
    )


def facts(bench: Bench) -> Figures:
    """The device, its driver, and what compiling lacks."""
    import torch

    found: Figures = {
        "python": platform.python_version(),
        "torch": torch.__version__,
        "cuda": torch.version.cuda,
        "hip": torch.version.hip,
        "threads": torch.get_num_threads(),
    }
    if bench.device.startswith("cuda"):
        its = torch.cuda.get_device_properties(bench.device)
        found |= {"name": its.name, "capability": [its.major, its.minor], "processors": its.multi_processor_count}
        found |= {"gigabytes": its.total_memory / 1e9, "uuid": str(its.uuid)}
        found["bfloat16"] = torch.cuda.is_bf16_supported(including_emulation=False)
        found["arch_list"] = torch.cuda.get_arch_list()
        torch.backends.cuda.enable_cudnn_sdp(False)  # as in jobs
    return found


def devices(bench: Bench) -> Figures:
    """What jobs would be given, and that a job's process sees its own device alone."""
    import os
    import subprocess

    from qcompare.models.devices import accelerators, environment_of, job_devices
    from qcompare.plan.capacity import of_device

    found = accelerators()
    figures: Figures = {"listed": [vars(each) for each in found.devices], "problem": str(found.problem or "")}
    for device in (*job_devices("auto")[:1], "cpu"):
        code = "import torch; print(torch.cuda.device_count(), torch.accelerator.is_available())"
        env = {**os.environ, **environment_of(device)}
        done = subprocess.run([sys.executable, "-c", code], env=env, capture_output=True, text=True, timeout=120)
        figures[f"seen as {device}"] = done.stdout.strip() or done.stderr[-300:]
        figures[f"memory of {device}"] = vars(of_device(device)) | {"holders": None}
    return figures


def compiling(bench: Bench) -> Figures:
    """What compiled kernels lack."""
    from qcompare.formats.compiling import missing_for_compiling

    return {"missing": missing_for_compiling()}


def peak(bench: Bench) -> Figures:
    """Large square matrix products, in TFLOP/s: what utilization is measured against."""
    import torch

    size = 512 if bench.small else 8192
    found: Figures = {}
    for dtype in (torch.bfloat16, torch.float32):
        if bench.device == "cpu" and dtype is torch.bfloat16 and not bench.small:
            continue
        a = torch.randn(size, size, device=bench.device, dtype=dtype)
        found[str(dtype).removeprefix("torch.")] = 2 * size**3 / bench.seconds(partial(torch.matmul, a, a), 5) / 1e12
    return found


def run_section(bench: Bench, name: str, section: Callable[[Bench], Figures]) -> Figures:
    """The section's figures, or why there are none."""
    started = time.perf_counter()
    if bench.left < 5:
        return {"left out": "no time left"}
    try:
        found = section(bench)
    except ModuleNotFoundError as error:
        return {"left out": f"needs {error.name}"}
    except Exception as error:
        traceback.print_exc()
        found = {"failed": f"{type(error).__name__}: {str(error)[:300]}"}
        error.__traceback__ = None
    finally:
        _free(bench)
    return found | {"seconds in all": time.perf_counter() - started}


def _free(bench: Bench) -> None:
    import gc

    import torch

    gc.collect()
    if bench.device.startswith("cuda"):
        torch.cuda.empty_cache()


def as_text(figures: dict[str, Figures]) -> str:
    """One line a figure."""
    lines = []
    for section, its in figures.items():
        lines.append(f"== {section}")
        for name, value in its.items():
            if isinstance(value, list) and value and isinstance(value[0], dict):
                lines += [f"   {name}:", *(f"      {each}" for each in value)]
            else:
                lines.append(f"   {name}: {value:.4g}" if isinstance(value, float) else f"   {name}: {value}")
    return "\n".join(lines)


def main() -> None:
    """Run every section and write what was found after each."""
    from benchmarks import gpu_parts

    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--device", default="cuda:0")
    parser.add_argument("--dtype", default="bfloat16")
    parser.add_argument("--layers", type=int, default=32)
    parser.add_argument("--small", action="store_true")
    parser.add_argument("--minutes", type=float, default=9.0)
    parser.add_argument("--out", type=Path)
    parser.add_argument("--only", default="", help="sections, with commas")
    asked = parser.parse_args()
    bench = Bench(asked.device, asked.dtype, asked.small, asked.layers, time.perf_counter() + 60 * asked.minutes - 10)
    sections: dict[str, Callable[[Bench], Figures]] = {
        "facts": facts,
        "devices": devices,
        "compiling": compiling,
        "matmul peak, TFLOP/s": peak,
        **gpu_parts.SECTIONS,
    }
    bench.figures["model"] = {
        "what": f"Llama with random weights, {asked.layers} blocks{', small' if asked.small else ', 8 B shape'}; "
        "speed only, its scores mean nothing",
        "dtype": asked.dtype,
        "device": asked.device,
    }
    for name, section in sections.items():
        if asked.only and name.split(",")[0] not in asked.only.split(","):
            continue
        bench.figures[name] = run_section(bench, name, section)
        print(as_text({name: bench.figures[name]}), flush=True)
        if asked.out:
            asked.out.mkdir(parents=True, exist_ok=True)
            (asked.out / "gpu.json").write_text(json.dumps(bench.figures, indent=1, default=str), encoding="utf-8")
            (asked.out / "gpu.txt").write_text(as_text(bench.figures), encoding="utf-8")


if __name__ == "__main__":
    main()
