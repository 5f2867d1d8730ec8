"""Roundings of weights remembered while AutoScheme scores layers.

auto-round rounds every weight anew at each of three visits a batch, always to the same values: on a CPU a third of
the scoring time. Nothing it computes changes.
"""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

SHARE = 0.25
"""Part of the free memory that remembered weights may take."""


@contextmanager
def remembered_roundings(device: str) -> Iterator[None]:
    """Inside, auto-round's wrapped layers round each weight once per scheme, as far as memory allows.

    Only on a CPU: elsewhere rounding is cheap and memory is not.
    """
    from auto_round import wrapper

    if device != "cpu":
        yield
        return
    before, memory = wrapper.get_quant_func, _Memory()

    def get_quant_func(*args: Any, **options: Any) -> tuple[Callable[..., Any], str]:
        function, data_type = before(*args, **options)
        return memory.remembering(function), data_type

    wrapper.get_quant_func = get_quant_func
    try:
        yield
    finally:
        wrapper.get_quant_func = before


class _Memory:
    """Rounded weights by weight, function and bits; a remembered weight is held, so that no other takes its place."""

    def __init__(self) -> None:
        import psutil

        self.room = int(SHARE * psutil.virtual_memory().available)
        self.known: dict[tuple[Any, ...], tuple[Any, Any]] = {}

    def remembering(self, function: Callable[..., Any]) -> Callable[..., Any]:
        import torch

        def rounded(weight: Any, **options: Any) -> Any:
            if not isinstance(weight, torch.nn.Parameter) or (
                torch.is_tensor(options.get("v")) and options["v"].any()
            ):
                return function(weight, **options)  # an activation, or rounding that is being tuned
            key = (function, options["bits"], options["group_size"], weight.data_ptr(), weight._version)
            if key not in self.known:
                found = function(weight, **options)
                if weight.nbytes > self.room:
                    return found
                self.room -= weight.nbytes
                self.known[key] = (weight, found)
            return self.known[key][1]

        return rounded
