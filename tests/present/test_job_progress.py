"""Jobs in words and times; answers word by word."""

import pytest

from qcompare.compare.agreement import agreement
from qcompare.present.job_progress import job_progress, overview
from qcompare.present.side_by_side import in_words
from qcompare.study.records import Job, Progress, Status


def job(status: Status, **changes: object) -> Job:
    values = {"id": "s.mixed-5", "study_id": "s", "position": 0, "recipe": "mixed", "avg_bits": 5.0, "created": 0.0}
    return Job.model_validate(values | {"status": status} | changes)


def test_a_running_job_says_its_stage_and_the_time_left() -> None:
    progress = Progress(time=1.0, stage="hellaswag", done=10, total=25, fraction=0.25)
    found = job_progress(job(Status.RUNNING, started=100.0), progress, now=130.0)
    assert (found.words, found.elapsed, found.remaining) == ("hellaswag 10/25", 30.0, pytest.approx(90.0))


def test_the_time_left_is_not_guessed_from_the_first_steps() -> None:
    progress = Progress(time=1.0, stage="loading", fraction=0.01)
    assert job_progress(job(Status.RUNNING, started=100.0), progress, now=130.0).remaining is None


@pytest.mark.parametrize(
    ("status", "words"),
    [
        (Status.QUEUED, "waiting its turn"),
        (Status.SUCCESS, "done"),
        (Status.FAILED, "failed"),
        (Status.RUNNING, "starting"),
    ],
)
def test_every_status_has_words(status: Status, words: str) -> None:
    assert job_progress(job(status), None, now=0.0).words == words


def test_a_paused_job_says_so_and_keeps_its_time() -> None:
    assert job_progress(job(Status.QUEUED), None, now=0.0, paused=True).words == "paused"
    stopped = job_progress(job(Status.QUEUED, started=10.0, finished=40.0), None, now=99.0, paused=True)
    assert (stopped.words, stopped.elapsed) == ("paused, resume goes on where it stopped", 30.0)
    again = job_progress(job(Status.RUNNING, started=100.0, spent=30.0), None, now=105.0)
    assert again.elapsed == 35.0


def test_a_finished_job_stops_its_clock() -> None:
    assert job_progress(job(Status.SUCCESS, started=10.0, finished=15.0), None, now=99.0).elapsed == 5.0


def test_overview_counts_what_matters() -> None:
    jobs = [
        job_progress(job(status), None, 0.0)
        for status in (Status.SUCCESS, Status.RUNNING, Status.FAILED, Status.QUEUED)
    ]
    assert overview(jobs) == "1 of 4 recipes done, 1 running, 1 failed"


@pytest.mark.parametrize(
    ("baseline", "text", "said", "word"),
    [
        ("a b c", "a b c", "word for word the same", ""),
        ("a b c", "a\n b  c", "word for word the same", ""),
        ("a b c", "a b d", "same for 2 words", "d"),
        ("a b c", "a b", "same for 2 words, then ends", ""),
        ("a", "a b", "same for 1 word", "b"),
        ("a b", "c b", "differs from the first word", "c"),
        ("a", "", "differs from the first word", ""),
    ],
)
def test_agreement_in_words(baseline: str, text: str, said: str, word: str) -> None:
    found = agreement(baseline, text)
    assert (in_words(found), found.word) == (said, word)
    assert found.before + found.word + found.after == text
