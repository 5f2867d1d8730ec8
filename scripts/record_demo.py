"""Make a recording that the app shows where nothing has run yet: `record_demo.py HOME STUDY_ID winner`.

The study must be a finished run of `assets/studies/recorded_STORY.yaml` by this code. Logs and events stay behind:
they name folders of the machine. Then `readme_figures.py` writes the figures of the first story into the README.
"""

import json
import shutil
import sys
import tempfile
from pathlib import Path

from qcompare.present.caveats import RECORDED
from qcompare.store import Store
from qcompare.store.packing import pack, unpack
from qcompare.store.seal import seal
from qcompare.ui.recording import RECORDINGS, STORIES


def main(home: Path, study_id: str, story: str) -> None:
    """Pack a study of a home into `assets/recording/`."""
    source = Store(home)
    study = source.study(study_id)
    with tempfile.TemporaryDirectory() as folder:
        packed = pack(source, study.id, Path(folder))
        copy = Store(Path(folder) / "home")
        unpack(copy, packed)
        copy.note(study.id, name=f"Recorded: {STORIES[story]}", tags=json.dumps([RECORDED, story]))
        for job in copy.jobs(study.id):
            for file in (copy.folder(job.id).log, copy.folder(job.id).events):
                file.unlink(missing_ok=True)
            seal(copy.folder(job.id).published)  # studies of older versions bear none
        file = RECORDINGS[story]
        shutil.move(pack(copy, study.id, Path(folder), solid=True), file)
    print(f"{file}: {file.stat().st_size / 1000:.0f} kB")


if __name__ == "__main__":
    main(Path(sys.argv[1]), sys.argv[2], sys.argv[3])
