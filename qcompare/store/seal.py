"""The seal of a published folder: SHA-256 of each file, so that damage is found before anything is reused."""

import hashlib
import json
import os
from pathlib import Path

SEAL = "seal.json"


def seal(folder: Path) -> None:
    """Write the seal of a folder's files, and make sure that they are on the disk."""
    found = {}
    for path in sorted(path for path in folder.rglob("*") if path.is_file()):
        with path.open("rb+") as file:
            os.fsync(file.fileno())
            found[str(path.relative_to(folder))] = hashlib.file_digest(file, "sha256").hexdigest()
    (folder / SEAL).write_text(json.dumps(found, indent=1), encoding="utf-8")


def damage(folder: Path) -> str | None:
    """What is wrong with a sealed folder, in a few words; None when it is whole, or was never sealed."""
    try:
        expected = json.loads((folder / SEAL).read_text(encoding="utf-8"))
    except FileNotFoundError:
        return None if folder.is_dir() else "it is gone"
    except (OSError, ValueError):
        return "its seal cannot be read"
    for name, digest in expected.items():
        try:
            with (folder / name).open("rb") as file:
                if hashlib.file_digest(file, "sha256").hexdigest() != digest:
                    return f"{name} has changed since it was written"
        except OSError:
            return f"{name} is missing"
    return None
