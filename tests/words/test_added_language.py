"""A language of somebody else's package."""

import os
import subprocess
import sys
from pathlib import Path

from babel.messages.catalog import Catalog
from babel.messages.mofile import write_mo

ROOT = Path(__file__).parents[2]
LOOK = "from qcompare.words import gettext, use_language\nwith use_language('eo'): print(gettext('Results'))"


def test_a_language_is_added_by_an_entry_point_and_its_catalogue(tmp_path: Path) -> None:
    (tmp_path / "toy-1.0.dist-info").mkdir()
    (tmp_path / "toy-1.0.dist-info" / "METADATA").write_text("Metadata-Version: 2.1\nName: toy\nVersion: 1.0\n")
    (tmp_path / "toy-1.0.dist-info" / "entry_points.txt").write_text("[qcompare.languages]\neo = toy:FOLDER\n")
    (tmp_path / "toy.py").write_text("from pathlib import Path\nFOLDER = Path(__file__).parent\n")
    catalogue = Catalog("eo")
    catalogue.add("Results", "Rezultoj")
    file = tmp_path / "eo" / "LC_MESSAGES" / "qcompare.mo"
    file.parent.mkdir(parents=True)
    with file.open("wb") as out:
        write_mo(out, catalogue)
    environment = os.environ | {"PYTHONPATH": f"{ROOT}{os.pathsep}{tmp_path}"}
    assert subprocess.check_output([sys.executable, "-c", LOOK], env=environment, text=True) == "Rezultoj\n"
