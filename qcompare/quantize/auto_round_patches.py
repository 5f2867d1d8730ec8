"""All patches of auto-round, read from version 0.15.1: it has no hook for what they do.

Each replaces one name for the time of a `with` block. `tests/quantize/test_auto_round_patches.py` fails when another
version is installed, so that they are read again.
"""

from collections.abc import Callable, Container, Iterator
from contextlib import contextmanager
from typing import Any
from unittest.mock import patch

from qcompare.formats.mxfp import Microscaling

VERSION = "0.15.1"


@contextmanager
def torch_as_before() -> Iterator[None]:
    """Undo what auto-round's compressor sets for the rest of the process: deterministic algorithms."""
    import torch

    enabled = torch.are_deterministic_algorithms_enabled()
    warn_only = torch.is_deterministic_algorithms_warn_only_enabled()
    try:
        yield
    finally:
        torch.use_deterministic_algorithms(enabled, warn_only=warn_only)


@contextmanager
def reported_progress(module: Any, report: Callable[[int, int], None]) -> Iterator[None]:
    """Report the steps of a module's progress bar, its `tqdm`.

    Args:
        module: `auto_round.auto_scheme.delta_loss` (layers scored), `auto_round.compressors.orchestrator` (blocks).
        report: called with (steps done, steps in all).
    """

    class ReportingBar(module.tqdm):  # type: ignore[misc]
        def update(self, n: float | None = 1) -> bool | None:
            shown: bool | None = super().update(n)
            report(int(self.n), int(self.total or 0))
            return shown

    with patch.object(module, "tqdm", ReportingBar):
        yield


@contextmanager
def captured_scores() -> Iterator[list[dict[str, list[Any]]]]:
    """Collect what auto-round gives its own allocation: group → [scheme index, bits, loss, layer names] each."""
    from auto_round.auto_scheme import delta_loss

    captured: list[dict[str, list[Any]]] = []
    allocate = delta_loss.choose_bits_per_layer_with_path

    def collecting(layers: dict[str, list[Any]], *args: Any, **kwargs: Any) -> Any:
        captured.append(layers)
        return allocate(layers, *args, **kwargs)

    with patch.object(delta_loss, "choose_bits_per_layer_with_path", collecting):
        yield captured


@contextmanager
def our_roundings() -> Iterator[None]:
    """Let auto-round's scoring round to microscaling floats by our functions: the same values, a third less time."""
    from auto_round import wrapper

    get_quant_func = wrapper.get_quant_func

    def ours(*args: Any, **kwargs: Any) -> Any:
        function, data_type = get_quant_func(*args, **kwargs)
        return _ours_where_plain(function), data_type

    with patch.object(wrapper, "get_quant_func", ours):
        yield


@contextmanager
def unknown_architectures() -> Iterator[None]:
    """Let llama.cpp's converter, of which auto-round has a copy, be imported with the newest gguf package, 0.19.0.

    It names architectures that the package does not know, in the same files as Qwen and Gemma. Theirs are None.
    """
    import gguf

    known = gguf.MODEL_ARCH

    class Architectures:
        def __getattr__(self, name: str) -> Any:
            return getattr(known, name, None)

    with patch.object(gguf, "MODEL_ARCH", Architectures()):
        yield


@contextmanager
def gguf_blocks_packed_by(pack: Callable[[Any, str], Any], types: Container[str]) -> Iterator[None]:
    """Let llama.cpp's converter, of which auto-round has a copy, write types that the gguf package cannot pack.

    Args:
        pack: from an array of weights of shape (…, in_features) and the name of a type to bytes.
        types: names of those that it packs; others are left to the package.
    """
    from gguf import GGMLQuantizationType, quants

    quantize = quants.quantize

    def ours(weights: Any, kind: GGMLQuantizationType) -> Any:
        return pack(weights, kind.name) if kind.name in types else quantize(weights, kind)

    with patch.object(quants, "quantize", ours):
        yield


def _ours_where_plain(function: Callable[..., Any]) -> Callable[..., Any]:
    """auto-round's function, or ours where it is plain rounding: nothing to learn, no offset, no changed scale."""
    import torch

    def rounded(x: Any, bits: int, group_size: int, data_type: str, **kwargs: Any) -> Any:
        plain = all(_is(kwargs.get(name), value) for name, value in (("v", 0), ("max_scale", 1), ("init_scale", 1)))
        if plain and not (torch.is_grad_enabled() and x.requires_grad):
            found = Microscaling.of(function, data_type, bits, group_size)
            if found:
                return found.round(x), None, None
        return function(x, bits=bits, group_size=group_size, data_type=data_type, **kwargs)

    return rounded


def _is(setting: Any, value: float) -> bool:
    """Whether a setting, a number or a tensor of one, is left out or has this value."""
    return setting is None or (getattr(setting, "numel", lambda: 1)() == 1 and float(setting) == value)
