"""Load a checkpoint in a process that knows nothing else, and note what it computes.

`python -m qcompare.export.reload FOLDER MODEL DEVICE DTYPE PROMPT_FILE OUT`: writes OUT.json (a `Reloaded`) and
OUT.npy (logits of the prompt, float32, shape (tokens, vocabulary)); for compressed-tensors also OUT-weights.npy, the
logits with activations left as they are. MODEL is the original, whose config and tokenizer a GGUF file is read with.
"""

import json
import sys
from dataclasses import asdict, dataclass
from io import BytesIO
from pathlib import Path
from typing import Any

from qcompare.formats.gguf import BLOCKS
from qcompare.models.checkpoint import fetch_checkpoint
from qcompare.models.checkpoint_loading import load_checkpoint
from qcompare.models.gguf import layer_types
from qcompare.models.loading import load_tokenizer
from qcompare.models.sources import describe, fetch
from qcompare.settings import Settings

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


def main(folder: str, original: str, device: str, dtype: str, prompt_file: str, out: str) -> None:
    """Load a checkpoint, run one prompt, write what came out."""
    import torch

    prompt = Path(prompt_file).read_text(encoding="utf-8")
    if files := list(Path(folder).glob("*.gguf")):
        model, tokenizer, layers = _load_gguf(files[0], original, device, dtype)
    else:
        model, tokenizer, layers = _load_folder(folder, device, dtype)
    save_array(Path(f"{out}.npy"), prompt_logits(model, tokenizer, prompt))
    inputs = tokenizer(prompt, return_tensors="pt").to(device)
    with torch.inference_mode():
        output = model.generate(**inputs, max_new_tokens=NEW_TOKENS, do_sample=False)
    text = tokenizer.decode(output[0, inputs["input_ids"].shape[1] :], skip_special_tokens=True)
    Path(f"{out}.json").write_text(
        json.dumps(asdict(Reloaded(layers, text, str(model.dtype).removeprefix("torch.")))), encoding="utf-8"
    )
    if leave_activations(model):
        save_array(Path(f"{out}-weights.npy"), prompt_logits(model, tokenizer, prompt))


def _load_folder(folder: str, device: str, dtype: str) -> tuple[Any, Any, list[str]]:
    """As transformers loads it: the model, the tokenizer, and the names of quantized layers."""
    import torch
    from transformers import AutoModelForCausalLM, AutoTokenizer

    tokenizer = AutoTokenizer.from_pretrained(folder, local_files_only=True)
    model = AutoModelForCausalLM.from_pretrained(folder, dtype=getattr(torch, dtype), local_files_only=True)
    layers = [name for name, module in model.named_modules() if _is_quantized(module)]
    return model.to(device).eval(), tokenizer, layers


def _load_gguf(file: Path, original: str, device: str, dtype: str) -> tuple[Any, Any, list[str]]:
    """As the recipe `checkpoint` loads it: likewise."""
    settings = Settings()
    base, facts = fetch(original, settings), describe(original, settings)
    found = fetch_checkpoint(str(file), facts, settings, print)
    its = load_checkpoint(
        found, base, load_tokenizer(base, settings), device, dtype, settings, False, lambda d, n: None
    )
    assert found.gguf
    types = layer_types(found.gguf, [layer.name for layer in facts.all_layers])
    return its.model, its.tokenizer, [name for name, type_name in types.items() if type_name in BLOCKS]


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
