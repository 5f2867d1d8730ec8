"""A job that measures, from its study to its published result: the work of a worker here, and of a node elsewhere."""

import logging
import os

from qcompare.jobs.failures import changed
from qcompare.jobs.run import Run, Shared
from qcompare.jobs.stages import Stages
from qcompare.settings import Settings
from qcompare.store import JobFolder
from qcompare.study.next_tokens import NextTokens
from qcompare.study.records import Job
from qcompare.study.samples import write_samples
from qcompare.study.spec import Study

UNUSED_ALLOCATION = ("AutoScheme final avg_bits", "AutoScheme quantized-layer avg_bits")
"""Beginnings of lines on the allocation that auto-round makes while it scores layers. Only the scores are used: the
bits it names are none of the study's."""


def about_this_study(record: logging.LogRecord) -> bool:
    """A filter of auto-round's log lines."""
    return not str(record.msg).startswith(UNUSED_ALLOCATION)


def measure(study: Study, job: Job, folder: JobFolder, settings: Settings, shared: Shared | None = None) -> None:
    """Build the job's recipe, measure it, and publish the result in the job's folder.

    Args:
        shared: what it shares with other jobs; default: through the home.

    Raises:
        QCompareError: it cannot be done, and why.
    """
    study, settings, environment = changed(study, settings, job.changes)
    os.environ.update(environment)
    stages = Stages(folder, job.estimate.stages if job.estimate else {})
    run = Run(study, job, settings, stages, folder, shared)
    result, samples = run.result()
    with folder.publish() as draft:
        write_samples(draft / folder.samples_file.name, samples)
        (draft / "result.json").write_text(result.model_dump_json(indent=2), encoding="utf-8")
        if run.lab.layer_scores:
            (draft / "layers.json").write_text(run.lab.layer_scores.model_dump_json(), encoding="utf-8")
        if run.next_tokens:
            likely = NextTokens(answers=tuple(run.next_tokens))
            (draft / folder.next_tokens_file.name).write_text(likely.model_dump_json(), encoding="utf-8")
    stages.finished()
