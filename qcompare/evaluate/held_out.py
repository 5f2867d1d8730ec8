"""The held-out text of a study, and what the original model makes of it, computed once and kept."""

import os
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any

from qcompare.demo.bundle import ensure_bundle
from qcompare.evaluate.divergence import Passages, Report, read_passages, reference_states
from qcompare.settings import Settings
from qcompare.study.spec import HeldOut

if TYPE_CHECKING:
    import torch


def passages(wish: HeldOut, tokenizer: Any, settings: Settings, report: Callable[[str], None]) -> Passages:
    """The study's held-out text as tokens; `auto` is that of the demo bundle, whatever the model.

    Raises:
        InvalidStudy: the study's own file cannot be used.
        ModelUnavailable: the demo bundle cannot be fetched.
    """
    amount = f"{wish.num_samples} × {wish.max_seq_length} tokens"
    if wish.text == "auto":
        path, source = ensure_bundle(settings, report).held_out, f"CoQA stories of the demo bundle, {amount}"
    else:
        path, source = Path(wish.text).expanduser(), f"{wish.text}, {amount}"
    return read_passages(path, tokenizer, wish.num_samples, wish.max_seq_length, source)


def original_states(model: Any, text: Passages, folder: Path, report: Report) -> "list[torch.Tensor]":
    """Final hidden states of the original model, from `folder` where they were kept there before."""
    from safetensors.torch import load_file, save_file

    kept = folder / f"{text.digest}.safetensors"
    if kept.exists():
        found = load_file(kept)
        return [found[str(index)] for index in range(len(text.tokens))]
    states = reference_states(model, text, report)
    folder.mkdir(parents=True, exist_ok=True)
    draft = kept.with_suffix(f".{os.getpid()}.draft")
    save_file({str(index): state for index, state in enumerate(states)}, draft)
    draft.replace(kept)
    return states
