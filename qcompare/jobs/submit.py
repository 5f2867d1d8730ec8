"""Queue a study and make sure that somebody runs it."""

from qcompare.settings import Settings
from qcompare.study.records import StudyRecord
from qcompare.study.spec import Study


def submit(study: Study, settings: Settings, name: str | None = None) -> StudyRecord:
    """Check a study, store it, queue its jobs, and start a supervisor where none runs. Returns at once.

    Raises:
        QCompareError: the study cannot be done; nothing was stored.
    """
    raise NotImplementedError
