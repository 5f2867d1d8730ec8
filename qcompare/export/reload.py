"""Load a checkpoint in a process that knows nothing else, and note what it computes.

`python -m qcompare.export.reload FOLDER DEVICE DTYPE PROMPT_FILE OUT`: writes OUT.json (a `Reloaded`) and OUT.npy
(logits of the prompt, float32, shape (tokens, vocabulary)); for compressed-tensors also OUT-weights.npy, the logits
with activations left as they are.
"""

import json
import sys
from dataclasses import asdict, dataclass
from io import BytesIO
from pathlib import Path
from typing import Any

NEW_TOKENS = 12
"""Packed layers are unpacked for every token on a CPU: a second each on the demo model."""


@dataclass(frozen=True)
class Reloaded:
    """A checkpoint as transformers loads it."""

    layers: list[str]
    """Names of the quantized layers."""
    text: str
    """The greedy continuation of the prompt."""
    dtype: str
    """In which it computes; some kernels allow only one."""


def prompt_logits(model: Any, tokenizer: Any, prompt: str) -> Any:
    """Logits at every token of a prompt, as a float32 array of shape (tokens, vocabulary)."""
    import torch

    with torch.inference_mode():
        found = model(**tokenizer(prompt, return_tensors="pt").to(model.device)).logits[0]
    return found.float().cpu().numpy()


def main(folder: str, device: str, dtype: str, prompt_file: str, out: str) -> None:
    """Load a checkpoint, run one prompt, write what came out."""
    import torch
    from transformers import AutoModelForCausalLM, AutoTokenizer

    prompt = Path(prompt_file).read_text(encoding="utf-8")
    tokenizer = AutoTokenizer.from_pretrained(folder, local_files_only=True)
    model = AutoModelForCausalLM.from_pretrained(folder, dtype=getattr(torch, dtype), local_files_only=True)
    model = model.to(device).eval()
    save_array(Path(f"{out}.npy"), prompt_logits(model, tokenizer, prompt))
    inputs = tokenizer(prompt, return_tensors="pt").to(device)
    with torch.inference_mode():
        output = model.generate(**inputs, max_new_tokens=NEW_TOKENS, do_sample=False)
    text = tokenizer.decode(output[0, inputs["input_ids"].shape[1] :], skip_special_tokens=True)
    layers = [name for name, module in model.named_modules() if _is_quantized(module)]
    Path(f"{out}.json").write_text(
        json.dumps(asdict(Reloaded(layers, text, str(model.dtype).removeprefix("torch.")))), encoding="utf-8"
    )
    if leave_activations(model):
        save_array(Path(f"{out}-weights.npy"), prompt_logits(model, tokenizer, prompt))


def save_array(path: Path, values: Any) -> None:
    """As `numpy.save`, which tells a full disk as "16384 requested and 5088 written", without its error number."""
    import numpy

    buffer = BytesIO()
    numpy.save(buffer, values)
    path.write_bytes(buffer.getbuffer())


def leave_activations(model: Any) -> bool:
    """Switch off the rounding of activations by compressed-tensors, whose weights are decompressed by now."""
    modules = [module for module in model.modules() if hasattr(module, "quantization_scheme")]
    for module in modules:
        module.quantization_enabled = False
    return bool(modules)


def _is_quantized(module: Any) -> bool:
    """A layer of auto-round's packed kinds, or one that compressed-tensors handles."""
    import torch

    if getattr(module, "quantization_scheme", None) is not None:
        return isinstance(module, torch.nn.Linear)
    return type(module).__name__ != "Linear" and (
        hasattr(module, "qweight") or hasattr(module, "weight_packed") or hasattr(module, "weight_scale")
    )


if __name__ == "__main__":
    main(*sys.argv[1:])
