"""How far a quantized model's predictions are from the original's, token by token, on held-out text.

Kullback–Leibler divergence KL(original ‖ quantized) over the whole vocabulary, in nats per token; how often both find
the same token most likely; and perplexity. What is kept of the original are its final hidden states, from which its
own output head gives back the exact logits: nothing is truncated, and a token takes
`hidden_size` numbers instead of `vocab_size`.
"""

import hashlib
import json
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from qcompare.errors import InvalidStudy
from qcompare.evaluate.scoring.head import (
    float32_head,
    hidden_states,
    logits_of,
    positions_at_a_time,
    split_model,
)
from qcompare.evaluate.scoring.threads import Workers, run_jobs
from qcompare.quantize.simulate import ORIGINAL_HEAD, original_head
from qcompare.study.json_lines import json_lines
from qcompare.study.result import Divergence, PassageKL

if TYPE_CHECKING:
    import torch

Report = Callable[[int, int], None]
"""Told (passages done, passages in all)."""
MIN_TOKENS = 8
"""Shorter passages are left out."""


@dataclass(frozen=True)
class Passages:
    """Held-out text, as tokens."""

    tokens: tuple[tuple[int, ...], ...]
    source: str
    """In words."""

    @property
    def digest(self) -> str:
        """Changes with any token."""
        return hashlib.sha256(json.dumps(self.tokens).encode()).hexdigest()[:16]


def read_passages(path: Path, tokenizer: Any, num_samples: int, max_seq_length: int, source: str) -> Passages:
    """The first passages of a text file: the `text` of a `.jsonl`'s lines, or a plain text cut into pieces.

    Raises:
        InvalidStudy: the file cannot be read, or holds no passage of at least `MIN_TOKENS` tokens.
    """
    try:
        text = path.read_text(encoding="utf-8-sig")
        texts = [json.loads(line)["text"] for line in json_lines(text)] if path.suffix == ".jsonl" else [text]
    except (OSError, UnicodeDecodeError) as error:
        raise InvalidStudy(
            "held-out text {path} cannot be read ({reason}): give a text or .jsonl file", path=path, reason=str(error)
        ) from None
    except (ValueError, KeyError, TypeError):
        raise InvalidStudy('held-out text {path}: every line must be JSON with a field "text"', path=path) from None
    passages = []
    for one in texts:
        ids = tokenizer(one, truncation=False, verbose=False)["input_ids"]
        pieces = [ids] if path.suffix == ".jsonl" else [ids[i:] for i in range(0, len(ids), max_seq_length)]
        passages += [tuple(piece[:max_seq_length]) for piece in pieces if len(piece) >= MIN_TOKENS]
        if len(passages) >= num_samples:
            break
    if not passages:
        raise InvalidStudy("held-out text {path} is too short: it needs at least {n} tokens", path=path, n=MIN_TOKENS)
    return Passages(tuple(passages[:num_samples]), source)


def reference_states(
    model: Any, passages: Passages, report: Report = lambda done, total: None
) -> "list[torch.Tensor]":
    """Final hidden states of the original model: one tensor a passage, shape (tokens, hidden), on the CPU."""
    import torch

    states: list[torch.Tensor] = [torch.empty(0)] * len(passages.tokens)

    def read(number: int) -> None:
        tokens = torch.tensor([passages.tokens[number]], device=model.device)
        states[number] = hidden_states(model, tokens)[0].to("cpu", copy=True)

    _side_by_side(read, passages, Workers.for_model(model), report)
    return states


def _side_by_side(read: Callable[[int], None], passages: Passages, workers: Workers, report: Report) -> None:
    """Read all passages, on a CPU one on each core."""
    done: list[int] = []

    def read_and_report(number: int) -> None:
        read(number)
        done.append(number)
        report(len(done), len(passages.tokens))

    run_jobs(read_and_report, range(len(passages.tokens)), workers)


def divergence(
    model: Any,
    reference: "Sequence[torch.Tensor]",
    passages: Passages,
    report: Report = lambda done, total: None,
    own: "Sequence[torch.Tensor] | None" = None,
) -> Divergence:
    """Compare a model with the original by the latter's hidden states on the same passages.

    Args:
        own: hidden states of the model itself where they are known: for the original those are `reference`.
    """
    import torch

    rows: dict[int, _Row] = {}

    def read(number: int) -> None:
        tokens = torch.tensor([passages.tokens[number]], device=model.device)
        original = reference[number].to(model.device)
        states = own[number] if own else hidden_states(model, tokens)[0]
        rows[number] = _passage(model, original, original if is_original else states.to(model.device), tokens[0])

    rounded_head = ORIGINAL_HEAD in model.__dict__
    is_original = own is reference and not rounded_head  # its logits are computed once
    # a rounded head is exchanged for the original's within the one model: not while another thread uses it
    workers = Workers.one() if rounded_head else Workers.for_model(model)
    with split_model(model), float32_head(*_heads(model)):
        _side_by_side(read, passages, workers, report)
    return _summary([rows[number] for number in sorted(rows)], passages)


def _heads(model: Any) -> list[Any]:
    """The output head, and that of the original where it is another."""
    return [head for head in (model.get_output_embeddings(), model.__dict__.get(ORIGINAL_HEAD)) if head is not None]


@dataclass(frozen=True)
class _Row:
    """Sums over the predicted tokens of one passage."""

    tokens: int
    kl: float
    same_top: int
    nll: float
    reference_nll: float


def _passage(model: Any, original: "torch.Tensor", quantized: "torch.Tensor", ids: "torch.Tensor") -> _Row:
    import torch
    import torch.nn.functional as F

    step = positions_at_a_time(model, quantized)
    sums = torch.zeros(4, dtype=torch.float64)
    for first in range(0, len(ids) - 1, step):
        span = slice(first, min(first + step, len(ids) - 1))
        target = ids[span.start + 1 : span.stop + 1].unsqueeze(1)
        with original_head(model):
            p = F.log_softmax(logits_of(model, original[span]).float(), dim=-1)
        q = p.clone() if quantized is original else F.log_softmax(logits_of(model, quantized[span]).float(), dim=-1)
        same = (p.argmax(dim=-1) == q.argmax(dim=-1)).float()
        nll, reference_nll = (-each.gather(1, target).squeeze(1) for each in (q, p))
        kl = torch.sub(p, q, out=q).mul_(p.exp_()).sum(dim=-1)
        # one transfer a piece; not every accelerator has float64
        sums += torch.stack([kl, same, nll, reference_nll]).cpu().double().sum(dim=1)
    kl_sum, same_sum, nll_sum, reference_sum = sums.tolist()
    return _Row(len(ids) - 1, kl_sum, round(same_sum), nll_sum, reference_sum)


def _summary(rows: Sequence[_Row], passages: Passages) -> Divergence:
    """Means over tokens; the standard error treats passages, not tokens, as independent (ratio estimator)."""
    from math import exp, sqrt

    tokens = sum(row.tokens for row in rows)
    kl = sum(row.kl for row in rows) / tokens
    count = len(rows)
    spread = sum((row.kl - kl * row.tokens) ** 2 for row in rows)
    return Divergence(
        kl=kl,
        kl_stderr=sqrt(spread * count / (count - 1)) / tokens if count > 1 else None,
        top1_agreement=sum(row.same_top for row in rows) / tokens,
        perplexity=exp(sum(row.nll for row in rows) / tokens),
        reference_perplexity=exp(sum(row.reference_nll for row in rows) / tokens),
        tokens=tokens,
        text=passages.source,
        passages=tuple(PassageKL(tokens=row.tokens, kl=row.kl / row.tokens) for row in rows),
    )
