"""Rounding is compiled for tensors on a GPU, where all that it takes is there; nothing asks a GPU in between."""

from pathlib import Path
from typing import Any

import pytest
import torch

from qcompare.formats import compiling
from qcompare.formats.compiling import fused_on_gpu, missing_for_compiling
from qcompare.quantize.simulate import activation_rounding


@pytest.fixture
def complete(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """A machine with triton, a C compiler and Python's headers."""
    (tmp_path / "Python.h").touch()
    monkeypatch.setattr(compiling, "find_spec", lambda name: object())
    monkeypatch.setattr("shutil.which", lambda name: f"/usr/bin/{name}")
    monkeypatch.setattr("sysconfig.get_paths", lambda: {"include": str(tmp_path)})
    compiling.can_compile.cache_clear()


def test_triton_needs_a_compiler_and_headers_too(
    complete: None, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    assert missing_for_compiling() == ()
    (tmp_path / "Python.h").unlink()
    monkeypatch.setattr("shutil.which", lambda name: None)
    monkeypatch.delenv("CC", raising=False)
    assert missing_for_compiling() == ("a C compiler", "Python's headers (python3-dev)")
    monkeypatch.setenv("CC", "/opt/cc")
    assert missing_for_compiling() == ("Python's headers (python3-dev)",)


def test_where_a_tensor_lies_decides_not_what_the_machine_has(
    complete: None, monkeypatch: pytest.MonkeyPatch
) -> None:
    asked: list[Any] = []
    monkeypatch.setattr(torch.cuda, "is_available", lambda: True)
    monkeypatch.setattr(compiling, "compiled", lambda function: asked.append(function) or function)
    rounding = fused_on_gpu(lambda x: x)
    rounding(torch.ones(2))
    assert asked == []
    for _ in range(2):
        rounding(FakeCuda())
    assert len(asked) == 1


class FakeCuda:
    """A tensor as far as its place goes."""

    is_cuda = True


@pytest.mark.parametrize("scheme", ["MXFP4", "MXFP8", "FP8_DYNAMIC", "INT8_W8A8"])
def test_rounding_on_a_device_never_waits_for_it(scheme: str) -> None:
    """Tensors without data stand for those of a device: reading a value raises."""
    rounding = activation_rounding(scheme)
    assert rounding
    assert rounding(torch.empty(4, 64, device="meta", dtype=torch.bfloat16)).shape == (4, 64)
