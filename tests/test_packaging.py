"""What `pip install .` gives."""

import os
import shutil
import socket
import subprocess
import sys
import sysconfig
import urllib.request
import venv
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
SOURCES = ("qcompare", "assets", "pyproject.toml", "setup.py", "requirements.txt", "README.md", "LICENSE")


@pytest.fixture(scope="module")
def installed(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The `bin` of a fresh environment with the wheel in it; the dependencies are those of this environment."""
    tmp = tmp_path_factory.mktemp("wheel")
    source = tmp / "source"  # building writes beside the sources
    source.mkdir()
    for name in SOURCES:
        copy = shutil.copytree if (ROOT / name).is_dir() else shutil.copy
        copy(ROOT / name, source / name)  # type: ignore[operator]
    pip = [sys.executable, "-m", "pip", "--quiet", "--disable-pip-version-check"]
    build = ["wheel", "--no-deps", "--no-build-isolation", "--wheel-dir", str(tmp), str(source)]
    subprocess.run([*pip, *build], check=True)
    venv.create(tmp / "venv")
    python = tmp / "venv" / "bin" / "python"
    (wheel,) = tmp.glob("*.whl")
    subprocess.run([*pip, "--python", str(python), "install", "--no-deps", "--no-index", str(wheel)], check=True)
    site = subprocess.check_output(
        [python, "-c", "import sysconfig; print(sysconfig.get_path('purelib'))"], text=True
    )
    (Path(site.strip()) / "dependencies.pth").write_text(sysconfig.get_path("purelib"))
    return python.parent


def test_an_installed_app_brings_its_assets_texts_and_recorded_study(installed: Path, tmp_path: Path) -> None:
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    environment = os.environ | {
        "QCOMPARE_HOME": str(tmp_path / "home"),
        "QCOMPARE_PORT": str(port),
        "QCOMPARE_OFFLINE": "true",
    }
    command = [installed / "qcompare", "app"]
    with subprocess.Popen(command, cwd=tmp_path, env=environment, stdout=subprocess.PIPE, text=True) as app:
        try:
            assert app.stdout is not None
            assert "qcompare is open at" in app.stdout.readline()
            with urllib.request.urlopen(f"http://127.0.0.1:{port}/?lang=zh") as answer:
                page = answer.read().decode()
            for path in ("manifest.json", "service-worker.js", "pwa_icon/192"):
                with urllib.request.urlopen(f"http://127.0.0.1:{port}/{path}") as answer:
                    assert answer.status == 200
        finally:
            app.terminate()
    for script in ("page.js", "log.js"):
        assert (ROOT / "assets" / script).read_text().splitlines()[0] in page
    assert "进度" in page
    listed = subprocess.check_output([installed / "qcompare", "list"], cwd=tmp_path, env=environment, text=True)
    assert "[recording, winner]" in listed


def test_the_command_works_from_any_folder(installed: Path, tmp_path: Path) -> None:
    environment = {name: value for name, value in os.environ.items() if name != "PYTHONPATH"}
    folder = tmp_path / "else where"
    folder.mkdir()

    def qcompare(*words: str) -> str:
        command = [installed / "qcompare", *words]
        return subprocess.check_output(command, cwd=folder, env=environment, encoding="utf-8")

    assert "--desktop" in qcompare("app", "--help") and "doctor" in qcompare("--help")
    code = "import qcompare, qcompare.ui.assets as a; print(qcompare.__file__, a.ICON, a.ICON.exists(), sep='|')"
    found = subprocess.check_output(
        [installed / "python", "-c", code], cwd=folder, env=environment, encoding="utf-8"
    ).strip()
    package, icon, there = found.split("|")
    assert Path(package).is_relative_to(installed.parent) and Path(icon).is_relative_to(installed.parent)
    assert there == "True"
    said = qcompare("doctor")
    assert "FAIL" not in said and "libraries" in said
    assert list(folder.iterdir()) == []


def test_the_wheel_says_what_a_window_needs(installed: Path) -> None:
    (metadata,) = installed.parent.rglob("qcompare-*.dist-info/METADATA")
    text = metadata.read_text(encoding="utf-8")
    assert "Provides-Extra: desktop" in text and "Requires-Dist: pywebview" in text
