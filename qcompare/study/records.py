"""What is kept of a study besides its results: its jobs, what they should take, and where each stands."""

from collections.abc import Mapping
from enum import StrEnum
from typing import Any

from pydantic import model_validator

from qcompare.study.frozen import Frozen
from qcompare.study.messages import StoredMessage
from qcompare.study.recipe import RecipeSpec, recipe_of
from qcompare.study.result import ExportReport
from qcompare.study.spec import Study
from qcompare.study.stage import Stage


class Status(StrEnum):
    """Where a job or a study stands."""

    QUEUED = "queued"
    RUNNING = "running"
    SUCCESS = "success"
    FAILED = "failed"
    CANCELLED = "cancelled"

    @property
    def ended(self) -> bool:
        """Nothing more will happen."""
        return self in (Status.SUCCESS, Status.FAILED, Status.CANCELLED)


class FailureKind(StrEnum):
    """Why a job failed, as far as it is understood; the values are stored."""

    MEMORY = "memory"
    KILLED = "killed"
    ACCESS = "access"
    DISK = "disk"
    NAN = "nan"
    COMPILER = "compiler"
    NETWORK = "network"


def _without_process(values: Any) -> Any:
    """Records of version 0.1 name a process."""
    if isinstance(values, Mapping):
        return {name: value for name, value in values.items() if name not in ("pid", "pid_started")}
    return values


class ExportRequest(Frozen):
    """A measured recipe that is to be written as a checkpoint."""

    job_id: str
    """Of the job that measured it."""
    format: str
    """A name in `CHECKPOINT_FORMATS`."""
    folder: str
    """Where the checkpoint is to be; absolute."""
    fused: bool = False
    """Layers that vLLM fuses get one scheme each."""
    push: str = ""
    """`org/name` on the hub, where it is uploaded once it is written; empty: nowhere."""

    @property
    def id(self) -> str:
        """Of the job that writes it."""
        return self.id_of(self.job_id, self.format)

    @staticmethod
    def id_of(job_id: str, format: str) -> str:
        """The id of the job that writes a measured job in a format: one at a time, and one folder for all tries."""
        return f"{job_id}.{format}"


class Job(Frozen):
    """One recipe at one budget of one study, as it stands in the index."""

    id: str
    study_id: str
    position: int
    """Order within the study."""
    recipe: str
    avg_bits: float | None
    """Budget; None for recipes that take none."""
    params: dict[str, Any] = {}  # noqa: RUF012  pydantic copies defaults
    """Parameters of its recipe that replace those of the study."""
    status: Status
    device: str | None = None
    """Device that the supervisor gave it."""
    executor: str | None = None
    """What runs it, a name in `jobs.executors.EXECUTORS`."""
    handle: str | None = None
    """By which its executor finds it again, while it runs."""
    created: float
    started: float | None = None
    finished: float | None = None
    spent: float = 0.0
    """Seconds that earlier attempts took, which were paused, cancelled or interrupted: work goes on from theirs."""
    error: StoredMessage | None = None
    """One line: why it failed."""
    failure: FailureKind | None = None
    """None when it is of no known kind."""
    attempts: int = 0
    """Times that it was started since a person queued it."""
    interrupted: StoredMessage | None = None
    """How its last process died, when it was continued by itself after that."""
    stopping: Status | None = None
    """What it will be when its processes are gone: cancelled, or queued again (paused)."""
    changes: dict[str, Any] = {}  # noqa: RUF012  pydantic copies defaults
    """Settings of this job that differ from the study's: "calibration.num_samples" → 8."""
    estimate: "Cost | None" = None
    """What it was expected to take when it was queued."""
    size_bytes: int | None = None
    """Of its files, when it ended."""
    export: ExportRequest | None = None
    """Write a checkpoint of what another job measured, with that job's recipe, instead of measuring."""

    @model_validator(mode="before")
    @classmethod
    def _without_process(cls, values: Any) -> Any:
        return _without_process(values)

    @property
    def recipe_spec(self) -> RecipeSpec:
        """Its recipe with its parameters."""
        return recipe_of({"recipe": self.recipe, **self.params})


class StudyRecord(Frozen):
    """A study as it stands in the index."""

    id: str
    name: str
    created: float
    spec: Study
    status: Status
    tags: tuple[str, ...] = ()
    notes: str = ""
    """What people wrote about it."""
    priority: int = 0
    """Higher runs first."""
    paused: bool = False
    """Its waiting jobs are not handed out."""
    imported: bool = False
    """Came from another home as one file: to be read only."""
    size_bytes: int = 0
    """Of the files of its ended jobs."""
    asked_of: str | None = None
    """The study that it asks a further prompt of: its answers are shown there, and it goes with that one."""
    owner: str | None = None
    """The visitor of an exhibition who alone sees it; None: everybody does."""


class Range(Frozen):
    """A figure that is not known exactly: low and high enclose it in most cases."""

    low: float
    likely: float
    high: float

    @classmethod
    def around(cls, likely: float, share: float) -> "Range":
        """From likely ÷ (1 + share) to likely × (1 + share)."""
        return cls(low=likely / (1 + share), likely=likely, high=likely * (1 + share))


class Cost(Frozen):
    """What a job is expected to take."""

    seconds: Range
    memory_bytes: Range
    """Peak on the device that computes: GPU memory, or RAM on a CPU."""
    ram_bytes: Range
    """Peak of RAM; the same on a CPU."""
    disk_bytes: int
    basis: StoredMessage
    """Where the figures come from."""
    stages: dict[str, float]
    """Seconds by stage, or by the name of a task."""
    gpus: int = 1
    """GPUs that it must hold at a time."""


class Progress(Frozen):
    """One line of a job's events file: where it stands."""

    time: float
    stage_began: float | None = None
    stage: Stage
    task: str | None = None
    """Of the stage `EVALUATING`."""
    done: int = 0
    total: int = 0
    """Steps of this stage; 0 when not countable."""
    fraction: float = 0.0
    """Of the whole job, 0 to 1."""

    @model_validator(mode="before")
    @classmethod
    def _with_task(cls, values: Any) -> Any:
        """Events of version 0.1 name a task as a stage."""
        if isinstance(values, Mapping) and values.get("stage") not in list(Stage):
            return {**values, "stage": Stage.EVALUATING, "task": values.get("stage")}
        return values

    @property
    def key(self) -> str:
        """As in `Cost.stages` and `Result.seconds`: the stage, or the name of the task."""
        return self.task or self.stage


class Pulse(Frozen):
    """A sign of life, written every few seconds by a job's process."""

    time: float
    cpu_percent: float
    """Of one core, children included."""
    ram_bytes: int
    """Children included."""
    gpu_percent: float | None = None
    gpu_bytes: int | None = None
    """None on a CPU."""


class ExportState(Frozen):
    """Where an export stands."""

    status: Status
    stage: Stage
    error: StoredMessage | None = None
    """One line: why it failed."""
    report: ExportReport | None = None

    @model_validator(mode="before")
    @classmethod
    def _as_in_version_01(cls, values: Any) -> Any:
        """It named a process, and stages of its own."""
        if isinstance(values, Mapping) and values.get("stage") not in list(Stage):
            values = {**values, "stage": Stage.WRITING}
        return _without_process(values)
