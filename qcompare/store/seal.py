"""The seal of a published folder: SHA-256 of each file, so that damage is found before anything is reused."""

import hashlib
import json
import os
from pathlib import Path

from qcompare.store.moving import replace
from qcompare.words import gettext

SEAL = "seal.json"


def seal(folder: Path) -> None:
    """Write the seal of a folder's files, and make sure that they are on the disk."""
    found = {}
    for path in _files(folder):
        with path.open("rb+") as file:
            os.fsync(file.fileno())
            found[path.relative_to(folder).as_posix()] = hashlib.file_digest(file, "sha256").hexdigest()
    draft = folder / f".{SEAL}.{os.getpid()}"
    draft.write_text(json.dumps(found, indent=1), encoding="utf-8")
    replace(draft, folder / SEAL)


def _files(folder: Path) -> list[Path]:
    """All files but the seal, in a fixed order."""
    return sorted(path for path in folder.rglob("*") if path.is_file() and path != folder / SEAL)


def damage(folder: Path) -> str | None:
    """What is wrong with a sealed folder, in a few words; None when it is whole, or was never sealed."""
    try:
        expected = json.loads((folder / SEAL).read_text(encoding="utf-8"))
    except FileNotFoundError:
        return None if folder.is_dir() else gettext("it is not there")
    except (OSError, ValueError):
        return gettext("its seal cannot be read")
    if not isinstance(expected, dict):
        return gettext("its seal cannot be read")
    for name, digest in expected.items():
        try:
            if not (folder / name).resolve().is_relative_to(folder.resolve()):
                return gettext("its seal names a file outside")
            with (folder / name).open("rb") as file:
                if hashlib.file_digest(file, "sha256").hexdigest() != digest:
                    return gettext("{name} has changed since it was written", name=name)
        except (OSError, ValueError):
            return gettext("{name} is missing", name=name)
    return None
