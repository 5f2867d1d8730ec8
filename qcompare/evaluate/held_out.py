"""The held-out text of a study, and what the original model makes of it, computed once and kept."""

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from qcompare.demo.bundle import ensure_bundle
from qcompare.evaluate.divergence import Passages, Report, read_passages, reference_states
from qcompare.evaluate.tasks.questions import prepare
from qcompare.settings import Settings
from qcompare.store.cache import Cache, CacheKey
from qcompare.study.spec import HeldOut
from qcompare.study.task import TASKS, is_file

if TYPE_CHECKING:
    import torch

STATES = "states.safetensors"


def passages(
    wish: HeldOut, tokenizer: Any, settings: Settings, report: Callable[[str], None], tasks: Sequence[str] = ()
) -> Passages:
    """The study's held-out text as tokens; `auto` is the first file of texts among its tasks, else that of the demo
    bundle, whatever the model.

    Raises:
        InvalidStudy: the study's own file cannot be used.
        ModelUnavailable: the demo bundle cannot be fetched.
    """
    amount = f"{wish.num_samples} × {wish.max_seq_length} tokens"
    own = next((name for name in tasks if is_file(name) and TASKS[name].rolling and TASKS[name].yaml), None)
    if wish.text == "auto" and own:
        path, source = prepare(Path(own), settings.home).texts, f"{Path(own).name}, {amount}"
    elif wish.text == "auto":
        path, source = ensure_bundle(settings, report).held_out, f"CoQA stories of the demo bundle, {amount}"
    else:
        path, source = Path(wish.text).expanduser(), f"{wish.text}, {amount}"
    return read_passages(path, tokenizer, wish.num_samples, wish.max_seq_length, source)


def original_states(model: Any, text: Passages, cache: Cache, key: CacheKey, report: Report) -> "list[torch.Tensor]":
    """Final hidden states of the original model: those kept under `key`, or computed now and kept."""
    from safetensors.torch import load_file, save_file

    def make(folder: Path) -> None:
        states = reference_states(model, text, report)
        save_file({str(index): state for index, state in enumerate(states)}, folder / STATES)

    found = load_file(cache.entry(key, make) / STATES)
    return [found[str(index)] for index in range(len(text.tokens))]
