"""Scores of the layers for `mixed`, by auto-round's AutoScheme. All of auto-round's AutoScheme API is here.

Source: `auto_round/auto_scheme/delta_loss.py`. A layer's score at a scheme is Σ|∂L/∂W_q ⊙ (W − W_q)| on the language
modelling loss. Scores do not depend on the budget: they are kept, and `allocate` takes every budget from them.
auto-round keeps scores too, by the last part of the model's path only, so every model revision and calibration gets a
folder of its own.
"""

import hashlib
import json
import os
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from importlib.metadata import version
from pathlib import Path
from typing import Any
from unittest.mock import patch

from qcompare.quantize.auto_round_patches import captured_scores, our_roundings, reported_progress
from qcompare.quantize.rounding import allows_bfloat16
from qcompare.study.formats import SCHEMES

LayerLosses = dict[str, dict[str, float]]
"""Scheme → full layer name → estimated loss."""


@dataclass(frozen=True)
class Scoring:
    """How layers are scored: all that a score depends on besides model and scheme."""

    dataset: str | None
    """A `.jsonl` file, a data set auto-round knows, or None for auto-round's default."""
    num_samples: int
    max_seq_length: int
    seed: int

    @property
    def digest(self) -> str:
        """Changes with any field, with the content of a local file, and with auto-round's version."""
        text = json.dumps([asdict(self), _content(self.dataset), version("auto-round")])
        return hashlib.sha256(text.encode()).hexdigest()[:16]


def layer_losses(
    load_model: Callable[[], tuple[Any, Any]],
    schemes: Sequence[str],
    scoring: Scoring,
    device: str,
    cache_dir: Path,
    report: Callable[[int, int], None] = lambda done, total: None,
) -> LayerLosses:
    """Losses of every scheme but BF16: those kept for this model, or scored now and kept.

    Args:
        load_model: gives a fresh (model, tokenizer); only called when a scheme was not scored before.
        cache_dir: a folder for this model revision alone.
    """
    folder = cache_dir / scoring.digest
    folder.mkdir(parents=True, exist_ok=True)
    scored = [scheme for scheme in schemes if scheme != "BF16"]
    if not all(_file(folder, scheme).exists() for scheme in scored):
        for scheme, losses in _score(load_model, scored, scoring, device, folder, report).items():
            _write(_file(folder, scheme), losses)
    return {scheme: json.loads(_file(folder, scheme).read_text(encoding="utf-8")) for scheme in scored}


def _score(
    load_model: Callable[[], tuple[Any, Any]],
    schemes: Sequence[str],
    scoring: Scoring,
    device: str,
    folder: Path,
    report: Callable[[int, int], None],
) -> LayerLosses:
    from auto_round.auto_scheme import delta_loss

    # Any budget in reach will do; with one scheme there is no other.
    middle = sum(SCHEMES[scheme].bits for scheme in schemes) / len(schemes)
    model, tokenizer = load_model()
    with _environment(folder), reported_progress(delta_loss, report), our_roundings(), captured_scores() as captured:
        autoscheme_compressor(model, tokenizer, schemes, scoring, middle, True, device).post_init()
    found: LayerLosses = {scheme: {} for scheme in schemes}
    for options in captured[-1].values():
        for index, _, loss, names in options:
            found[schemes[index]] |= dict.fromkeys(names, loss / len(names))
    return found


def autoscheme_compressor(
    model: Any,
    tokenizer: Any,
    schemes: Sequence[str],
    scoring: Scoring,
    avg_bits: float,
    ignore_scale_bits: bool,
    device: str,
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
        device_map=device,
        seed=scoring.seed,
        amp=allows_bfloat16(model),
        **own_text,
    )


def _content(dataset: str | None) -> str | None:
    """Hash of a local file; None for what is no file."""
    path = Path(dataset) if dataset else None
    return hashlib.sha256(path.read_bytes()).hexdigest() if path and path.is_file() else None


def _file(folder: Path, scheme: str) -> Path:
    return folder / f"{scheme}.losses.json"


def _write(path: Path, losses: dict[str, float]) -> None:
    draft = path.with_suffix(".draft")
    draft.write_text(json.dumps(losses), encoding="utf-8")
    draft.replace(path)


@contextmanager
def _environment(folder: Path) -> Iterator[None]:
    """auto-round's own scores, also those of an interrupted run, are kept in a folder below. It scores in this
    process: on a GPU its workers would load the model again, in another dtype, with `trust_remote_code=True`."""
    settings = {"AR_AUTO_SCHEME_CACHE": str(folder / "auto_round"), "AR_ENABLE_AUTO_SCHEME_PARALLEL": "0"}
    with patch.dict(os.environ, settings):
        yield
