"""Make `assets/screenshots/`: every tab of the recorded study, desk and phone, light and dark.

python scripts/screenshots.py        needs Chromium and requirements-dev.txt
"""

import sys
import tempfile
from itertools import product
from pathlib import Path

from PIL import Image
from playwright.sync_api import Browser, sync_playwright

ROOT = Path(__file__).parents[1]
sys.path.insert(0, str(ROOT))
FOLDER = ROOT / "assets" / "screenshots"
TABS = ("new", "progress", "results", "generations", "explorer", "history")
SIZES = {"desk": (1440, 900), "phone": (390, 844)}
COLOURS = 256
"""Of a picture: flat areas and text need no more, and the files stay small."""


def main() -> None:
    """Start the app on an empty home and take all pictures."""
    from tests.ui.conftest import ARGUMENTS, CHROMIUM, serve

    FOLDER.mkdir(parents=True, exist_ok=True)
    with (
        tempfile.TemporaryDirectory() as home,
        serve(Path(home) / "home", recording=True) as address,
        sync_playwright() as playwright,
    ):
        browser = playwright.chromium.launch(executable_path=CHROMIUM, args=ARGUMENTS)
        for tab, size, theme in product(TABS, SIZES, ("light", "dark")):
            take(browser, f"{address}?tab={tab}&path=page&__theme={theme}", tab, size, theme)
        browser.close()
    total = sum(file.stat().st_size for file in FOLDER.iterdir())
    print(f"{len(list(FOLDER.iterdir()))} files, {total / 1e6:.1f} MB")


def take(browser: Browser, address: str, tab: str, size: str, theme: str) -> None:
    """One picture of what a visitor sees first."""
    width, height = SIZES[size]
    page = browser.new_page(viewport={"width": width, "height": height}, device_scale_factor=1)
    page.goto(address)
    page.wait_for_selector("#qc-header")
    page.wait_for_timeout(7000)
    name = tab if (size, theme) == ("desk", "light") else f"{tab}-{size}-{theme}"
    file = FOLDER / f"{name}.png"
    page.screenshot(path=file)
    Image.open(file).convert("RGB").quantize(COLOURS, method=Image.Quantize.MAXCOVERAGE).save(file, optimize=True)
    page.close()


if __name__ == "__main__":
    main()
