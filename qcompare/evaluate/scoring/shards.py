"""Models whose layers lie on several devices: what a pass is laid out with is copied to each device once."""

import copy
from dataclasses import is_dataclass
from typing import Any, Generic, TypeVar

import torch

T = TypeVar("T")


class OnDevices(Generic[T]):
    """An object that holds tensors, with a copy for each device that asks for it."""

    def __init__(self, original: T, device: torch.device) -> None:
        """``device`` is where the object's tensors are."""
        self._original = original
        self._copies = {device: original}

    def on(self, device: torch.device) -> T:
        """The object with its tensors on a device."""
        if device not in self._copies:
            self._copies[device] = moved(self._original, device, top=True)
        return self._copies[device]


def moved(thing: Any, device: torch.device, top: bool = False) -> Any:
    """A copy with its tensors, and those of its lists, tables and data classes, on a device; all else is shared.

    Args:
        top: copy the thing itself whatever it is.
    """
    if isinstance(thing, torch.Tensor):
        return thing.to(device)
    if isinstance(thing, list):
        return [moved(each, device) for each in thing]
    if isinstance(thing, dict):
        return {key: moved(each, device) for key, each in thing.items()}
    if top or (is_dataclass(thing) and not isinstance(thing, type)):
        found = copy.copy(thing)
        found.__dict__.update({name: moved(each, device) for name, each in vars(thing).items()})
        return found
    return thing
