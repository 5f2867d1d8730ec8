"""Publishing by rename, on every system.

Windows refuses to replace what another process has open, if only for a moment: a reader, a virus scanner, a search
indexer. So it is tried again there for a while. A folder is never replaced by rename there, only a missing one.
"""

import os
import shutil
import sys
import time
from pathlib import Path

SHARING_SECONDS = 10.0
"""How long Windows is asked again."""
PAUSE_SECONDS = 0.05


def replace(source: Path, target: Path) -> None:
    """Rename a file or folder; an existing file of the target's name is replaced.

    Raises:
        OSError: as for `os.replace`.
    """
    _insist(source, target, over_folder=False)


def replace_folder(source: Path, target: Path) -> None:
    """Rename a folder; an existing one of the target's name is removed first, with all that it holds.

    Raises:
        OSError: as for `os.replace`.
    """
    _insist(source, target, over_folder=True)


def _insist(source: Path, target: Path, over_folder: bool) -> None:
    end = time.monotonic() + SHARING_SECONDS
    while True:
        if over_folder:
            shutil.rmtree(target, ignore_errors=True)
        try:
            os.replace(source, target)
            return
        except PermissionError:
            if sys.platform != "win32" or time.monotonic() > end:
                raise
        time.sleep(PAUSE_SECONDS)
