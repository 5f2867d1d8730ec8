"""``PlainLM``: log-likelihoods by lm-eval's own backend, with progress."""

from typing import Any

from .batched import BatchedLM
from .modes import ScoringMode


class PlainLM(BatchedLM):
    """HFLM's own scoring; ``mode`` says so in results."""

    mode: ScoringMode = ScoringMode.LM_EVAL
    _done: int = 0
    _total: int = 0

    def _loglikelihood_tokens(self, requests: Any, *args: Any, **kwargs: Any) -> Any:
        self._done, self._total = 0, len(requests)
        return super()._loglikelihood_tokens(requests, *args, **kwargs)

    def _model_call(self, inps: Any, *args: Any, **kwargs: Any) -> Any:
        logits = super()._model_call(inps, *args, **kwargs)
        self._done = min(self._total, self._done + len(inps))
        self.progress(self._done, self._total)
        return logits
