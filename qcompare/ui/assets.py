"""Where styles, scripts, icons and the recorded study are."""

from pathlib import Path

PACKAGE = Path(__file__).parents[1]
ASSETS = next(path for path in (PACKAGE / "assets", PACKAGE.parent / "assets") if path.is_dir())
"""In the package where it is installed; beside it in a checkout."""
ICON = ASSETS / "favicon.png"


def read_asset(name: str) -> str:
    """The text of a file in `assets/`."""
    return (ASSETS / name).read_text(encoding="utf-8")
