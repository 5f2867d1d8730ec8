"""The stages of a job, in the order in which they run."""

from enum import StrEnum

from qcompare.words import gettext_noop


class Stage(StrEnum):
    """A stage of a job. The values are stored (events, times of results), so they stay as they are.

    The times of a task's questions are stored under the task's name.
    """

    STARTING = gettext_noop("starting")
    """What passes before the first stage: Python and its libraries."""
    FETCHING = gettext_noop("fetching the model")
    CHOOSING = gettext_noop("choosing layers")
    LOADING = gettext_noop("loading the model")
    CONNECTING = gettext_noop("checking what the server supports")
    SPEED = gettext_noop("measuring the server's speed")
    REFERENCE = gettext_noop("reading held-out text")
    QUANTIZING = gettext_noop("quantizing layers")
    EVALUATING = gettext_noop("evaluating")
    """One task; `Progress.task` names it."""
    DIVERGENCE = gettext_noop("comparing predictions")
    GENERATING = gettext_noop("answering prompts")
    NOISE = gettext_noop("computing a sample in another dtype")
    FUSING = gettext_noop("giving layers that are fused one scheme")
    """This and those below: of an export."""
    MEASURED = gettext_noop("computing the measured model's answer")
    WRITING = gettext_noop("writing the checkpoint")
    RELOADING = gettext_noop("loading it in a fresh process")
    CARD = gettext_noop("writing the model card")
    PUSHING = gettext_noop("uploading to the hub")
    WAITING = gettext_noop("waiting for a device")
    DONE = gettext_noop("done")
    FAILED = gettext_noop("failed")
    CANCELLED = gettext_noop("cancelled")
