"""Signs of life in words, and time that is left."""

import pytest

from qcompare.present.job_progress import job_progress, overview, study_remaining, vital_signs
from qcompare.study.records import Cost, Job, Progress, Pulse, Range, Status

COST = Cost(
    seconds=Range.around(100, 0.25), memory_bytes=Range.around(1e9, 0.1), ram_bytes=Range.around(1e9, 0.1),
    disk_bytes=0, basis="history", stages={"starting": 10.0, "piqa": 40.0, "hellaswag": 50.0},
)  # fmt: skip


def job(status: Status = Status.RUNNING, **values: object) -> Job:
    given = {"id": "s.bf16", "study_id": "s", "position": 0, "recipe": "bf16", "avg_bits": None, "created": 0}
    return Job.model_validate({**given, "status": status, "started": 1000, "estimate": COST, **values})


def progress(now: float, began: float = 1000, fraction: float = 0.3) -> Progress:
    return Progress(time=now, stage_began=began, stage="piqa", done=31, total=120, fraction=fraction)


PULSE = Pulse(time=1050, cpu_percent=187.4, ram_bytes=1_310_000_000)


def test_a_working_job_says_what_it_uses_and_that_this_is_normal() -> None:
    assert vital_signs(job(), progress(1050, began=1020), PULSE, 1051) == (
        "CPU 187 % · 1.31 GB · normal for this stage",
        False,
    )


def test_a_stage_that_drags_on_is_called_slow() -> None:
    pulse = PULSE.model_copy(update={"time": 1200})
    words, silent = vital_signs(job(), progress(1190), pulse, 1201)
    assert words.endswith("longer than usual for this stage")
    assert not silent


def test_no_sign_of_life_is_said() -> None:
    assert vital_signs(job(), progress(1040), PULSE, 1050 + 300) == ("no sign of life for 5 min", True)
    assert vital_signs(job(), None, None, 1010) == ("", False)


def test_a_job_in_a_clusters_queue_is_waiting_and_not_silent() -> None:
    waiting = job(executor="slurm", handle="7")
    assert vital_signs(waiting, progress(990), None, 9000) == ("waiting for a node of the cluster", False)
    assert vital_signs(waiting, progress(1040), PULSE, 9000)[1]


def test_remaining_time_begins_with_the_estimate_and_ends_with_the_pace() -> None:
    early = job_progress(job(), progress(1001, fraction=0.01), 1001).remaining
    late = job_progress(job(), progress(1190, fraction=0.95), 1190).remaining
    assert early == pytest.approx(99, rel=0.02)
    assert late == pytest.approx(190 * 0.05 / 0.95, rel=0.1)


def test_a_study_is_done_when_all_jobs_are() -> None:
    running = job_progress(job(), progress(1050, fraction=0.5), 1050)
    waiting = job_progress(job(Status.QUEUED, started=None), None, 1050)
    done = job_progress(job(Status.SUCCESS, finished=1050), None, 1050)
    assert study_remaining([done, running, waiting]) == pytest.approx(150, rel=0.05)
    assert overview([done, running, waiting]) == "1 of 3 recipes done, 1 running; about 2 min left"
    assert study_remaining([done]) is None
    unknown = job_progress(job(Status.QUEUED, started=None, estimate=None), None, 1050)
    assert study_remaining([running, unknown]) is None
