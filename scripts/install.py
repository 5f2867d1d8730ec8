"""Make `.venv` beside the repository's files and install into it, once per requirements. Needs Python only.

python scripts/install.py requirements.txt [requirements-dev.txt]
"""

import hashlib
import subprocess
import sys
import venv
from collections.abc import Sequence
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
FOLDER = ROOT / ".venv"
OLDEST = (3, 11)


def install(files: Sequence[str]) -> Path:
    """Install what the files name; gives the Python of `.venv`."""
    if sys.version_info < OLDEST:
        sys.exit(f"qcompare needs Python {OLDEST[0]}.{OLDEST[1]} or newer, this is {sys.version.split()[0]}")
    python = FOLDER / ("Scripts/python.exe" if sys.platform == "win32" else "bin/python")
    if not python.exists():
        try:
            venv.create(FOLDER, with_pip=True)
        except subprocess.CalledProcessError:
            sys.exit("this Python cannot make environments: install its venv module (Debian: python3-venv)")
    stamp, noted = stamp_of(files), FOLDER / "installed"
    if not noted.exists() or noted.read_text(encoding="utf-8").strip() != stamp:
        print("Installing packages into .venv (a few minutes, once)", flush=True)
        # all files in one step, torch pinned among them, so that no other package draws another torch
        words = [word for file in files for word in ("-r", file)]
        pip = [str(python), "-m", "pip", "install", "--quiet", "--disable-pip-version-check"]
        if code := subprocess.run([*pip, *words], cwd=ROOT).returncode:
            sys.exit(code)
        noted.write_text(f"{stamp}\n", encoding="utf-8")
    return python


def stamp_of(files: Sequence[str]) -> str:
    """Changes with the files, as `cat FILES | sha256sum` prints it."""
    return f"{hashlib.sha256(b''.join((ROOT / file).read_bytes() for file in files)).hexdigest()}  -"


if __name__ == "__main__":
    install(sys.argv[1:])
