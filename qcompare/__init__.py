"""qcompare: build quantization recipes of a language model, evaluate them on the same questions, compare.

`from qcompare import Study, compare, result, submit`: see `qcompare.api`. They are imported when they are first used,
so that a command or a worker loads only what it needs.

Rooms, in the order data flows through them: study → models → recipes → quantize → evaluate → store → jobs →
results → ui, cli. A room imports only rooms listed before it (see tests/test_architecture.py).
"""

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from qcompare.api import StudyResult, compare, result, submit
    from qcompare.study.spec import Study

__version__ = "0.1.0"
__all__ = ["Study", "StudyResult", "compare", "result", "submit"]


def __getattr__(name: str) -> Any:
    if name == "compare":  # the room of that name, which can be called
        return import_module("qcompare.compare")
    if name in __all__:
        return getattr(import_module("qcompare.api"), name)
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
