"""Make the recording that the app opens where nothing has run yet: `record_demo.py HOME STUDY_ID`.

The study must be a finished run of the demo by this code. Logs and events stay behind: they name folders of the
machine. Then `readme_figures.py` writes its figures into the README.
"""

import json
import shutil
import sys
import tempfile
from datetime import datetime
from pathlib import Path

from qcompare.present.caveats import RECORDED
from qcompare.store import Store
from qcompare.store.packing import pack, unpack
from qcompare.store.seal import seal
from qcompare.ui.recording import RECORDING


def main(home: Path, study_id: str) -> None:
    """Pack a study of a home into `assets/recording/`."""
    source = Store(home)
    study = source.study(study_id)
    with tempfile.TemporaryDirectory() as folder:
        packed = pack(source, study.id, Path(folder))
        copy = Store(Path(folder) / "home")
        unpack(copy, packed)
        when = datetime.fromtimestamp(study.created)
        copy.note(study.id, name=f"Recording of {when.day} {when:%B %Y}: {study.name}", tags=json.dumps([RECORDED]))
        for job in copy.jobs(study.id):
            for file in (copy.folder(job.id).log, copy.folder(job.id).events):
                file.unlink(missing_ok=True)
            seal(copy.folder(job.id).published)  # studies of older versions bear none
        RECORDING.parent.mkdir(parents=True, exist_ok=True)
        shutil.move(pack(copy, study.id, Path(folder)), RECORDING)
    print(f"{RECORDING}: {RECORDING.stat().st_size / 1000:.0f} kB")


if __name__ == "__main__":
    main(Path(sys.argv[1]), sys.argv[2])
