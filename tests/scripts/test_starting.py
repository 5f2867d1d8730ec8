"""Starting from a checkout without a shell: copied scripts, and an environment that notes what it is told."""

import shutil
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
PYTHON = f"""#!{sys.executable}
import pathlib, sys
folder = pathlib.Path(__file__).parents[2]
with (folder / "asked.txt").open("a", encoding="utf-8") as file:
    print(*sys.argv[1:], file=file)
sys.exit(int((folder / "code").read_text() if (folder / "code").exists() else 0))
"""
INSTALLED = "-m pip install --quiet --disable-pip-version-check -r requirements.txt"


@pytest.fixture
def checkout(tmp_path: Path) -> Path:
    """A folder with a space in its name that holds the scripts, a requirements file and an environment."""
    folder = tmp_path / "check out"
    (folder / ".venv" / "bin").mkdir(parents=True)
    shutil.copytree(ROOT / "scripts", folder / "scripts")
    (folder / "requirements.txt").write_text("torch\n", encoding="utf-8")
    python = folder / ".venv" / "bin" / "python"
    python.write_text(PYTHON, encoding="utf-8")
    python.chmod(0o755)
    return folder


def start(checkout: Path, *words: str, command: tuple[str, ...] = (sys.executable, "scripts/start.py")) -> int:
    return subprocess.run([*command, *words], cwd=checkout).returncode


def asked(checkout: Path) -> list[str]:
    return (checkout / "asked.txt").read_text(encoding="utf-8").splitlines()


def test_packages_are_installed_once_per_requirements(checkout: Path) -> None:
    assert start(checkout) == 0
    assert asked(checkout) == [INSTALLED, "-m qcompare app"]
    assert start(checkout, "--demo") == start(checkout, "plan", "x.yaml") == 0
    assert asked(checkout)[2:] == ["-m qcompare demo", "-m qcompare plan x.yaml"]
    (checkout / "requirements.txt").write_text("torch\ngradio\n", encoding="utf-8")
    assert start(checkout) == 0
    assert asked(checkout)[4:] == [INSTALLED, "-m qcompare app"]


def test_what_fails_is_told_by_the_exit_code_and_tried_again(checkout: Path) -> None:
    (checkout / "code").write_text("3", encoding="utf-8")
    assert start(checkout) == 3
    assert asked(checkout) == [INSTALLED]
    (checkout / "code").unlink()
    assert start(checkout) == 0
    assert asked(checkout)[1:] == [INSTALLED, "-m qcompare app"]


def test_the_shell_script_does_the_same(checkout: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Without the packages of Debian that it adds as root: `apt-get` is not found here."""
    tools = checkout / "tools"
    tools.mkdir()
    for name in ("bash", "dirname", "cat", "id"):
        (tools / name).symlink_to(str(shutil.which(name)))
    (tools / "python3").symlink_to(sys.executable)
    monkeypatch.setenv("PATH", str(tools))
    assert start(checkout, "list", "--tag", "a b", command=("bash", "scripts/start.sh")) == 0
    assert asked(checkout) == [INSTALLED, "-m qcompare list --tag a b"]
    noted = (checkout / ".venv" / "installed").read_text(encoding="utf-8")
    monkeypatch.undo()
    expected = subprocess.check_output(["sh", "-c", "cat requirements.txt | sha256sum"], cwd=checkout)
    assert noted == expected.decode()
