"""`mixed`: auto-round's AutoScheme chooses the scheme of every layer. All of auto-round's AutoScheme API is here.

Source: `auto_round/auto_scheme/delta_loss.py`. A layer's score at a scheme is Σ|∂L/∂W_q ⊙ (W − W_q)| on the language
modelling loss; an exact dynamic programme then minimises the sum of scores under the budget. Scores do not depend on
the budget and are cached. auto-round keys its cache by the last part of the model's path only, so every model
revision gets a cache folder of its own.
"""

import os
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from qcompare.errors import JobError
from qcompare.recipes.bits import LayerConfig

SCHEME_KEYS = ("bits", "group_size", "data_type", "act_bits", "act_group_size", "act_data_type", "act_dynamic")
"""What tells auto-round's schemes apart."""


@dataclass(frozen=True)
class Budget:
    """What AutoScheme is asked for."""

    schemes: tuple[str, ...]
    avg_bits: float
    ignore_scale_bits: bool
    dataset: str | None
    """A `.jsonl` file, a data set auto-round knows, or None for auto-round's default."""
    num_samples: int
    max_seq_length: int
    seed: int


def mixed_config(
    model: Any,
    tokenizer: Any,
    budget: Budget,
    device: str,
    cache_dir: Path,
    report: Callable[[int, int], None] = lambda done, total: None,
) -> LayerConfig:
    """Run AutoScheme on a loaded model and return its choice. The model is consumed: load it anew afterwards.

    Raises:
        JobError: auto-round chose a scheme that was not offered.
    """
    with _score_cache(cache_dir), _progress(report):
        compressor = autoscheme_compressor(model, tokenizer, budget, device)
        compressor.post_init()
    return to_scheme_names(compressor.layer_config, budget.schemes)


def autoscheme_compressor(model: Any, tokenizer: Any, budget: Budget, device: str) -> Any:
    """auto-round's compressor with an AutoScheme; its `post_init` computes `layer_config`."""
    from auto_round import AutoRound, AutoScheme

    scheme = AutoScheme(
        avg_bits=budget.avg_bits,
        options=list(budget.schemes),
        ignore_scale_zp_bits=budget.ignore_scale_bits,
        nsamples=budget.num_samples,
        seqlen=budget.max_seq_length,
    )
    own_text = {} if budget.dataset is None else {"dataset": budget.dataset}  # AutoScheme's own field is not read
    return AutoRound(
        model,
        tokenizer,
        scheme=scheme,
        iters=0,
        disable_opt_rtn=True,  # plain round-to-nearest, as in the published tables
        disable_model_free=True,
        device_map=device,
        seed=budget.seed,
        **own_text,
    )


def to_scheme_names(layer_config: dict[str, dict[str, Any]], schemes: Sequence[str]) -> LayerConfig:
    """auto-round's layer dictionaries as scheme names; layers left at 16 bits are dropped."""
    from auto_round.schemes import preset_name_to_scheme

    known = {name: preset_name_to_scheme(name) for name in schemes}
    config: LayerConfig = {}
    for layer, values in layer_config.items():
        if values.get("bits", 16) >= 16:
            continue
        matching = [n for n, s in known.items() if all(values.get(k) == getattr(s, k) for k in SCHEME_KEYS)]
        if not matching:
            raise JobError(f"auto-round chose {values.get('data_type')}{values.get('bits')} for {layer}: not offered")
        config[layer] = matching[0]
    return config


@contextmanager
def _score_cache(folder: Path) -> Iterator[None]:
    folder.mkdir(parents=True, exist_ok=True)
    before = os.environ.get("AR_AUTO_SCHEME_CACHE")
    os.environ["AR_AUTO_SCHEME_CACHE"] = str(folder)
    try:
        yield
    finally:
        if before is None:
            del os.environ["AR_AUTO_SCHEME_CACHE"]
        else:
            os.environ["AR_AUTO_SCHEME_CACHE"] = before


@contextmanager
def _progress(report: Callable[[int, int], None]) -> Iterator[None]:
    """Listen to the progress bar of the scoring: auto-round has no callback for it."""
    from auto_round.auto_scheme import delta_loss

    class ReportingBar(delta_loss.tqdm):  # type: ignore[misc]
        def update(self, n: float | None = 1) -> bool | None:
            shown: bool | None = super().update(n)
            report(int(self.n), int(self.total or 0))
            return shown

    before = delta_loss.tqdm
    delta_loss.tqdm = ReportingBar
    try:
        yield
    finally:
        delta_loss.tqdm = before
