"""One job in one process on the machine of the home: `python -m qcompare.jobs.worker JOB_ID`; `node` elsewhere.

It writes to its job's folder and ends with exit code 0 (result published) or 1 (the last line on stderr says why).
"""

import logging
import os
import sys
import traceback
from pathlib import Path

from qcompare.export.push import pushed
from qcompare.export.write import Export
from qcompare.jobs.executors.background import ensure_running
from qcompare.jobs.executors.heartbeat import start_heartbeat
from qcompare.jobs.executors.locks import exclusive
from qcompare.jobs.failures import changed, explain
from qcompare.jobs.measure import about_this_study, measure
from qcompare.jobs.stages import Stages
from qcompare.models.devices import environment_of
from qcompare.settings import Settings
from qcompare.store import Store
from qcompare.study.records import Job, Status
from qcompare.study.stage import Stage


def main(job_id: str) -> int:
    """Run a job to its end and note the outcome in the index."""
    logging.getLogger("autoround").addFilter(about_this_study)
    settings = Settings()
    store = Store(settings.home)
    with exclusive(store.folder(job_id).path / "lock"):  # never two processes for one job
        job = store.job(job_id)
        if job.status is not Status.RUNNING or job.stopping:
            return 0
        # before CUDA begins: libraries find this job's device as the first GPU, and none where it runs on the CPU
        device = job.changes.get("device") or settings.device
        os.environ.update(environment_of("cpu" if device == "cpu" else job.device or ""))
        start_heartbeat(store.folder(job_id), job.device)
        code = _run_and_note(store, job, settings)
    ensure_running(settings)  # the queue goes on, also when the supervisor has died meanwhile
    return code


def _run_and_note(store: Store, job: Job, settings: Settings) -> int:
    folder = store.folder(job.id)
    try:
        run_job(store, job, settings)
    except Exception as error:
        traceback.print_exc()
        failure = explain(error)
        print(failure.message, file=sys.stderr, flush=True)
        store.finish(job.id, Status.FAILED, failure.message, failure.kind, folder.size_bytes())
        return 1
    store.finish(job.id, Status.SUCCESS, size=folder.size_bytes())
    return 0


def run_job(store: Store, job: Job, settings: Settings) -> None:
    """Build the job's recipe, then measure it or write it as a checkpoint, and publish the result.

    Raises:
        QCompareError: it cannot be done, and why.
    """
    study, folder = store.study(job.study_id).spec, store.folder(job.id)
    if not job.export:
        measure(study, job, folder, settings)
        return
    study, settings, environment = changed(study, settings, job.changes)
    os.environ.update(environment)
    stages = Stages(folder, job.estimate.stages if job.estimate else {})
    report = Export(store, study, job, job.export, settings, stages.stage).run()
    if job.export.push:
        with stages.stage(Stage.PUSHING):
            report = pushed(report, job.export.push)
    with folder.publish() as draft:
        (draft / folder.export_file.name).write_text(report.model_dump_json(indent=2), encoding="utf-8")


if __name__ == "__main__":
    Path.cwd()  # the supervisor starts us in the job's folder, where libraries may leave files
    sys.exit(main(sys.argv[1]))
