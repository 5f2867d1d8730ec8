"""The row budget of a study whose jobs run on machines without a common disk."""

from pathlib import Path

import pytest

from qcompare.evaluate.row_budget import RemoteBudget


@pytest.mark.parametrize("kind", ["folder", "url"])
def test_the_first_machine_decides_and_any_may_lower(kind: str, tmp_path: Path) -> None:
    url = str(tmp_path) if kind == "folder" else f"memory://{tmp_path.name}"
    small, large = RemoteBudget(url), RemoteBudget(url)
    assert small.read() is None
    assert small.agree(3000) == 2048
    assert large.agree(9000) == 2048
    assert large.agree(9000, most=1500) == 1024
    large.lower(512)
    assert small.read() == 512
    small.lower(4096)
    assert large.agree(9000) == 512
