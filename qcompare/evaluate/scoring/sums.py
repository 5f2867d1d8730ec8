"""Token scores summed to request scores."""

import threading

import numpy as np

from .head import TokenLogprobs

Scores = list[tuple[float, bool]]
"""(log-likelihood, greedy) per request, as lm-eval returns them."""


class Sums:
    """Running log-likelihood and greedy flag of every request; several threads may add."""

    def __init__(self, requests: int) -> None:
        self._logprobs = np.zeros(requests)
        self._greedy = np.ones(requests, dtype=bool)
        self._lock = threading.Lock()

    def add(self, requests: np.ndarray, found: TokenLogprobs | None) -> None:
        """Add token scores; ``requests`` [targets] says whose each is. None adds nothing."""
        if found is None:
            return
        logprobs, greedy = found.logprobs.cpu().double().numpy(), found.greedy.cpu().numpy()
        with self._lock:
            np.add.at(self._logprobs, requests, logprobs)
            np.logical_and.at(self._greedy, requests, greedy)

    def scores(self) -> Scores:
        return list(zip(self._logprobs.tolist(), self._greedy.tolist(), strict=True))
