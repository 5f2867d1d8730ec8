"""How often something may be done: by one visitor, from one address, with one name."""

import time
from collections import OrderedDict, deque
from collections.abc import Callable
from math import ceil
from threading import Lock

KEPT = 10_000
"""Keys remembered; the oldest is forgotten first, so that nobody fills the memory with new ones."""


class RateLimit:
    """At most so many within a time, for each key."""

    def __init__(self, most: int, seconds: float, clock: Callable[[], float] = time.monotonic) -> None:
        self.most, self.seconds = most, seconds
        self._clock = clock
        self._times: OrderedDict[str, deque[float]] = OrderedDict()
        self._lock = Lock()

    def wait(self, *keys: str) -> int:
        """Seconds until one more is allowed for all of the keys; 0: now."""
        with self._lock:
            return max((self._wait(key) for key in keys), default=0)

    def take(self, *keys: str) -> int:
        """Count one for all of the keys where that is allowed now (0); else seconds to wait, and nothing counts."""
        with self._lock:
            wait = max((self._wait(key) for key in keys), default=0)
            for key in keys if not wait else ():
                self._times.setdefault(key, deque()).append(self._clock())
                self._times.move_to_end(key)
            while len(self._times) > KEPT:
                self._times.popitem(last=False)
        return wait

    def _wait(self, key: str) -> int:
        times = self._times.get(key, deque())
        while times and times[0] <= self._clock() - self.seconds:
            times.popleft()
        return ceil(times[0] + self.seconds - self._clock()) if len(times) >= self.most else 0
