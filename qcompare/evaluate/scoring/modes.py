"""Which scoring mode a model can take: by its config, then by a trial on the model itself.

A mode is used when it agrees with plain forward passes of single sequences; what was refused and why is recorded.
"""

import random
from dataclasses import dataclass
from enum import StrEnum
from typing import Any

import torch

from . import whole_rows as whole_row_attention
from .memory import Budget, is_out_of_memory
from .packed import score_plan
from .padded import score_padded
from .plan import make_plan
from .sequences import Sequence, unique_sequences
from .sums import Scores
from .threads import Workers, compute_threads


class ScoringMode(StrEnum):
    """How log-likelihoods are computed, fastest first. All modes give lm-eval's answers."""

    PACKED = "packed"
    """Shared prefixes, rows without padding."""
    PADDED = "padded"
    """One row per sequence, logits only where they are needed."""
    WHOLE = "whole"
    """One row per sequence, all logits: for models without a separate decoder."""
    LM_EVAL = "lm_eval"
    """lm-eval's own backend."""


TOLERANCE = {torch.float32: 1e-3, torch.float64: 1e-3}
"""Largest difference of a token's log-probability, in standard deviations of the model's logits."""
HALF_TOLERANCE = 0.05
NOISE_FACTOR = 5.0
"""Models that quantize activations jump where rounding does: how much more than batching alone a mode may differ."""
MOST_NOISE = 0.25
CHECKED_WINDOW = 512
"""Widest sliding window tried; sequences longer than a wider window are scored padded."""


@dataclass(frozen=True)
class ModeChoice:
    """The mode chosen, and what the trial found."""

    mode: ScoringMode
    refused: dict[ScoringMode, str]
    """Faster modes → why they are not used."""
    difference: float
    """Largest difference to plain forward passes in the trial, in standard deviations of the logits."""
    longest: int | None
    """Sequences longer than this are scored padded although the mode is packed; None: no limit."""
    whole_rows: bool = False
    """Packed rows are attended to in one call (``whole_rows``), not in buckets."""


def choose_mode(model: Any, max_length: int, workers: Workers | None = None) -> ModeChoice:
    """Try the modes on a few random sequences and take the first that agrees."""
    with compute_threads((workers or Workers.one()).threads):
        return _choose(model, max_length)


def _choose(model: Any, max_length: int) -> ModeChoice:
    refused: dict[ScoringMode, str] = {}
    window = smallest_window(model.config)
    trial = _Trial.of(model, window)
    reasons = _reasons(model, max_length)
    whole = whole_row_attention.can_be_used(model.device) and not reasons[ScoringMode.PACKED]
    for mode, whole_rows in [(ScoringMode.PACKED, True)] * whole + [(mode, False) for mode in reasons]:
        reason = reasons[mode]
        try:
            difference = float("inf") if reason else trial.difference(mode, whole_rows)
            if whole_rows and whole_row_attention.failures():
                reason = "; ".join(whole_row_attention.failures())
        except (
            RuntimeError,
            TypeError,
            ValueError,
            AttributeError,
            KeyError,
            IndexError,
            NotImplementedError,
        ) as error:
            if is_out_of_memory(error):  # says nothing about the mode
                raise
            reason = f"{type(error).__name__}: {error}"
        else:
            if not reason and trial.tolerates(difference):
                wide = window is not None and window > CHECKED_WINDOW and mode is ScoringMode.PACKED
                return ModeChoice(mode, refused, difference, window if wide else None, whole_rows)
        reason = reason or f"differs from plain passes by {difference:.2g} standard deviations of the logits"
        if whole_rows:
            print(f"packed rows are attended to in buckets: attention in one call {reason}")
        else:
            refused[mode] = reason
    return ModeChoice(ScoringMode.LM_EVAL, refused, float("nan"), None)


def smallest_window(config: Any) -> int | None:
    """The narrowest sliding window any layer uses; None when all see everything."""
    text = config.get_text_config()
    window = getattr(text, "sliding_window", None)
    kinds = getattr(text, "layer_types", None)
    if window is None or (kinds is not None and "sliding_attention" not in kinds):
        return None
    return int(window) if getattr(text, "use_sliding_window", True) else None


def _reasons(model: Any, max_length: int) -> dict[ScoringMode, str | None]:
    """Each mode with the config's reason against it."""
    text = model.config.get_text_config()
    packed, padded = None, None
    if not getattr(model, "_supports_attention_backend", False):
        packed = f"{type(model).__name__} does not let its attention be replaced"
    strange = set(getattr(text, "layer_types", None) or ()) - {"full_attention", "sliding_attention"}
    if strange:
        packed = f"it has layers of type {', '.join(sorted(strange))}"
    if getattr(text, "alibi", False):
        packed = "it encodes positions in the attention (ALiBi)"
    rope = getattr(text, "rope_parameters", None) or {}
    kinds = {str(part.get("rope_type")) for part in [rope, *rope.values()] if isinstance(part, dict)}
    if kinds & {"dynamic", "longrope"} and max_length > _original_length(text, rope):
        packed = padded = "its position encoding depends on the longest sequence of a batch"
    if model.config.is_encoder_decoder:
        packed = padded = "it is an encoder-decoder"
    return {ScoringMode.PACKED: packed, ScoringMode.PADDED: padded, ScoringMode.WHOLE: padded}


def _original_length(text: Any, rope: dict[str, Any]) -> int:
    found = rope.get("original_max_position_embeddings") or getattr(text, "original_max_position_embeddings", None)
    return int(found or text.max_position_embeddings)


@dataclass(frozen=True)
class _Trial:
    """A few random requests with plain scores to compare with."""

    model: Any
    sequences: list[Sequence]
    lengths: list[int]
    """Target tokens of each request."""
    plain: Scores
    spread: float
    """Standard deviation of the logits."""

    @classmethod
    def of(cls, model: Any, window: int | None) -> "_Trial":
        requests = _trial_requests(model, window)
        sequences = unique_sequences(requests, 1 << 30)
        plain = score_padded(model, sequences, len(requests), Budget(1), split=False)
        with torch.no_grad():
            tokens = torch.tensor([sequences[-1].tokens], device=model.device)
            spread = float(model(input_ids=tokens, use_cache=False).logits.float().std())
        lengths = [len(continuation) for _, continuation in requests]
        return cls(model, sequences, lengths, plain, max(spread, 1e-12))

    def tolerates(self, difference: float) -> bool:
        """Whether a difference is rounding: below the tolerance, or not much above what batching alone does."""
        if difference <= TOLERANCE.get(self.model.dtype, HALF_TOLERANCE):
            return True
        if difference > MOST_NOISE:
            return False
        noise = self._distance(
            score_padded(self.model, self.sequences, len(self.plain), Budget(1 << 20), split=False)
        )
        return difference <= NOISE_FACTOR * noise

    def difference(self, mode: ScoringMode, whole_rows: bool = False) -> float:
        """How far a mode is from the plain scores: the worst request's difference per token."""
        if mode is ScoringMode.PACKED:
            plan = make_plan(self.sequences, block_tokens=24, saved_tokens=1)
            return self._distance(score_plan(self.model, plan, len(self.plain), Budget(96), whole_rows=whole_rows))
        return self._distance(
            score_padded(self.model, self.sequences, len(self.plain), Budget(128), split=mode is ScoringMode.PADDED)
        )

    def _distance(self, scores: Scores) -> float:
        pairs = zip(scores, self.plain, self.lengths, strict=True)
        return max(abs(one[0] - other[0]) / length for one, other, length in pairs) / self.spread


def _trial_requests(model: Any, window: int | None) -> list[tuple[list[int], list[int]]]:
    """Options of several lengths after contexts with a common beginning, alone, and beyond a narrow window."""
    rng = random.Random(0)
    size = int(model.config.get_text_config().vocab_size)

    def words(count: int) -> list[int]:
        return [rng.randrange(size) for _ in range(count)]

    start = words(14)
    context = start + words(6)
    requests = [(start + words(5), words(length)) for length in (1, 4)]
    requests += [(context, words(length)) for length in (1, 1, 3, 7)]
    requests.append((words(1), words(9)))
    if window is not None and window <= CHECKED_WINDOW:
        context = words(window + 8)
        requests += [(context, words(3)), (context, words(3))]
    return requests
