"""Pairing, statistics, tables of numbers. Called, it is `qcompare.api.compare`: `from qcompare import compare`."""

import sys
from importlib import import_module
from types import ModuleType
from typing import Any


class _Callable(ModuleType):
    def __call__(self, *args: Any, **options: Any) -> Any:
        """As `qcompare.api.compare`."""
        return import_module("qcompare.api").compare(*args, **options)


sys.modules[__name__].__class__ = _Callable
