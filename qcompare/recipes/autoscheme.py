"""Scores of the layers for `mixed`, by auto-round's AutoScheme. All of auto-round's AutoScheme API is here.

Source: `auto_round/auto_scheme/delta_loss.py`. A layer's score at a scheme is Σ|∂L/∂W_q ⊙ (W − W_q)| on the language
modelling loss. Scores do not depend on the budget: they are kept, and `allocate` takes every budget from them.
auto-round keeps scores too, by the last part of the model's path only; each entry of our cache gives it a folder of
its own, where it finds what it had of an interrupted run.

Schemes are scored one after another, and nothing but the text and the loaded model could be shared: the loss and its
gradients are those of the model whose layers are all rounded in the scheme, weights and inputs alike, so each scheme
has a forward and a backward pass of its own.
"""

import hashlib
import json
import os
import shutil
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from functools import partial
from pathlib import Path
from typing import Any
from unittest.mock import patch

from qcompare.quantize.auto_round_patches import captured_scores, our_roundings, reported_progress, torch_as_before
from qcompare.quantize.rounding import allows_bfloat16
from qcompare.store.cache import Cache, CacheKey
from qcompare.study.formats import SCHEMES, UNQUANTIZED, scheme_definitions
from qcompare.study.layers import LayerLosses

LOSSES = "losses.json"
SOURCES = ("qcompare.models.loading", "qcompare.formats", "qcompare.quantize", "qcompare.recipes.autoscheme")


@dataclass(frozen=True)
class Scoring:
    """How layers are scored: all that a score depends on besides model and scheme."""

    dataset: str | None
    """A `.jsonl` file, a data set auto-round knows, or None for auto-round's default."""
    num_samples: int
    max_seq_length: int
    seed: int

    @property
    def inputs(self) -> dict[str, Any]:
        """All fields, a local file by its content."""
        return asdict(self) | {"dataset": _content(self.dataset) or self.dataset}


def layer_losses(
    load_model: Callable[[], tuple[Any, Any]],
    schemes: Sequence[str],
    scoring: Scoring,
    device: str,
    cache: Cache,
    key: Callable[..., CacheKey],
    report: Callable[[int, int], None] = lambda done, total: None,
    quant_lm_head: bool = False,
) -> LayerLosses:
    """Losses of every scheme but BF16: those kept for this model, or scored now and kept, scheme by scheme.

    Args:
        load_model: gives a fresh (model, tokenizer); called once for each scheme that was not scored before.
        quant_lm_head: score the output head too, which must not be tied.
        key: of the entry of a scheme: kind, sources and what it depends on → `CacheKey` (`Lab.cache_key`).
    """
    scored = [scheme for scheme in schemes if scheme != UNQUANTIZED]
    found: LayerLosses = {}
    for number, scheme in enumerate(scored):

        def make(folder: Path, scheme: str = scheme, number: int = number) -> None:
            part = partial(_report_part, report, number, len(scored))
            losses = _score(load_model, scheme, scoring, device, folder, part, quant_lm_head)
            (folder / LOSSES).write_text(json.dumps(losses), encoding="utf-8")

        inputs = {"quant_lm_head": quant_lm_head, **scoring.inputs}
        its_key = key("layer_scores", SOURCES, scheme=scheme_definitions([scheme]), **inputs)
        found[scheme] = json.loads((cache.entry(its_key, make) / LOSSES).read_text(encoding="utf-8"))
    return found


def _report_part(report: Callable[[int, int], None], number: int, of: int, done: int, total: int) -> None:
    """Progress of one scheme as that of all."""
    report(number * total + done, of * total)


def _score(
    load_model: Callable[[], tuple[Any, Any]],
    scheme: str,
    scoring: Scoring,
    device: str,
    folder: Path,
    report: Callable[[int, int], None],
    quant_lm_head: bool,
) -> dict[str, float]:
    from auto_round.auto_scheme import delta_loss

    model, tokenizer = load_model()
    budget = SCHEMES[scheme].bits  # of one option there is no other
    with _environment(folder), reported_progress(delta_loss, report), our_roundings(), captured_scores() as captured:
        autoscheme_compressor(model, tokenizer, [scheme], scoring, budget, True, device, quant_lm_head).post_init()
    found: dict[str, float] = {}
    for options in captured[-1].values():
        for _, _, loss, names in options:
            found |= dict.fromkeys(names, loss / len(names))
    return found


def autoscheme_compressor(
    model: Any,
    tokenizer: Any,
    schemes: Sequence[str],
    scoring: Scoring,
    avg_bits: float,
    ignore_scale_bits: bool,
    device: str,
    quant_lm_head: bool = False,
) -> Any:
    """auto-round's compressor with an AutoScheme; its `post_init` scores and computes `layer_config`."""
    from auto_round import AutoRound, AutoScheme

    from qcompare.formats.library import library_scheme

    scheme = AutoScheme(
        avg_bits=avg_bits,
        options=[library_scheme(name) for name in schemes],
        ignore_scale_zp_bits=ignore_scale_bits,
        nsamples=scoring.num_samples,
        seqlen=scoring.max_seq_length,
        low_cpu_mem_usage=False,  # it would load the weights again from files, which hold those of GPT-2 transposed
    )
    own_text = {} if scoring.dataset is None else {"dataset": scoring.dataset}  # AutoScheme's own field is not read
    return AutoRound(
        model,
        tokenizer,
        scheme=scheme,
        iters=0,
        disable_opt_rtn=True,  # plain round-to-nearest, as in the published tables
        disable_model_free=True,
        device_map="auto" if device == "cuda" else device,
        seed=scoring.seed,
        amp=allows_bfloat16(model),
        quant_lm_head=quant_lm_head,
        **own_text,
    )


def _content(dataset: str | None) -> str | None:
    """Hash of a local file; None for what is no file."""
    path = Path(dataset) if dataset else None
    return hashlib.sha256(path.read_bytes()).hexdigest() if path and path.is_file() else None


@contextmanager
def _environment(folder: Path) -> Iterator[None]:
    """auto-round keeps what it has of an interrupted run in a folder below, until it is done. It scores in this
    process: on a GPU its workers would load the model again, in another dtype, with `trust_remote_code=True`."""
    settings = {"AR_AUTO_SCHEME_CACHE": str(folder / "auto_round"), "AR_ENABLE_AUTO_SCHEME_PARALLEL": "0"}
    with patch.dict(os.environ, settings), torch_as_before():
        yield
    shutil.rmtree(folder / "auto_round", ignore_errors=True)
