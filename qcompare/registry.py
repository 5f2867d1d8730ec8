"""What can be added to qcompare without changing other code: one line in a registry, or a Python entry point.

A registry names its built-in objects as `module:attribute` and imports them when they are first asked for, so a room
may offer what later rooms define. A package of somebody else adds to a registry through an entry point of the
registry's group; CONTRIBUTING.md shows one of each kind. Source of the idea: inspect_ai's registry.
"""

import sys
from collections.abc import Iterator, Mapping
from functools import cached_property
from importlib import import_module
from importlib.metadata import entry_points
from typing import Any, Generic, TypeVar

from qcompare.errors import InvalidStudy, unknown

T = TypeVar("T")


class Registry(Generic[T], Mapping[str, T]):
    """Objects of one kind by name, in the order of their lines; those of entry points come last."""

    def __init__(self, group: str, kind: str, built_in: Mapping[str, str]) -> None:
        """
        Args:
            group: of entry points, such as `qcompare.recipes`.
            kind: what the objects are, for errors ("recipe").
            built_in: name → `module:attribute`.
        """
        self.group = group
        self.kind = kind
        self._built_in = built_in

    @cached_property
    def _found(self) -> dict[str, T]:
        found = {name: _load(target) for name, target in self._built_in.items()}
        for entry in entry_points(group=self.group):
            try:
                found.setdefault(entry.name, entry.load())
            except Exception as error:  # somebody else's package must not keep the rest from working
                print(
                    f"{self.kind} '{entry.name}' cannot be loaded: {type(error).__name__}: {error}", file=sys.stderr
                )
        return found

    def __getitem__(self, name: str) -> T:
        """
        Raises:
            InvalidStudy: there is none of that name; names those there are.
        """
        if name not in self._found:
            raise InvalidStudy(unknown(self.kind, name, self._found))
        return self._found[name]

    def get(self, name: str, default: T | None = None) -> T | None:  # type: ignore[override]
        """The object of that name, or `default`: `Mapping.get` waits for a KeyError."""
        return self._found.get(name, default)

    def __contains__(self, name: object) -> bool:
        return name in self._found

    def __iter__(self) -> Iterator[str]:
        return iter(self._found)

    def __len__(self) -> int:
        return len(self._found)


def _load(target: str) -> Any:
    module, _, attribute = target.partition(":")
    return getattr(import_module(module), attribute)
