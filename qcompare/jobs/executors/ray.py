"""Jobs on a Ray cluster, through its Jobs API over HTTP:
https://docs.ray.io/en/latest/cluster/running-applications/job-submission

Each job is a Ray job whose entrypoint holds the CPUs or GPUs that it needs, so Ray chooses the node, and shows the
job its own GPUs only (`CUDA_VISIBLE_DEVICES`). A job whose node dies is submitted again; Ray places it on another.
"""

import shlex
import time
from collections.abc import Sequence
from importlib.util import find_spec
from typing import Any

from qcompare.errors import JobError
from qcompare.jobs.executors.remote import RemoteExecutor, Unreachable, missing, slots
from qcompare.settings import Settings
from qcompare.store import Store
from qcompare.study.frozen import Frozen
from qcompare.study.records import Job
from qcompare.words import Message, verbatim

ADDRESS = "http://127.0.0.1:8265"
"""Ray's own default."""


class RayOptions(Frozen):
    """The setting `executor_options` of Ray."""

    cpus: float = 1
    """That a job holds; Ray lets it compute with as many threads."""
    python: str = "python"
    """Of the nodes."""
    runtime_env: dict[str, Any] = {}  # noqa: RUF012  pydantic copies defaults
    """Ray's own: `env_vars`, `py_modules`, `container` …"""


class RayExecutor(RemoteExecutor):
    """As many jobs at once as the cluster has GPUs or, without any, as its CPUs allow."""

    def __init__(self, store: Store, settings: Settings) -> None:
        """
        Raises:
            QCompareError: ray is not installed, or the options are not those of Ray.
        """
        if find_spec("ray") is None or find_spec("aiohttp_cors") is None:
            raise missing("ray", "ray[default]")
        super().__init__(store, settings)
        self.chosen = self.options(RayOptions)
        self.address = settings.executor_address or ADDRESS
        self._nodes: list[dict[str, float]] = []
        self._client: Any = None

    def devices(self) -> tuple[str, ...]:
        """One per GPU of the nodes that are alive or, without any, per `cpus`.

        A cluster that does not answer has one: the job that it is given fails with the reason.
        """
        try:
            self._nodes = self._resources()
        except JobError:
            return slots("ray", 1)
        gpus = self._gpus
        return slots("ray", gpus or sum(int(node.get("CPU", 0) // self.chosen.cpus) for node in self._nodes))

    @property
    def _gpus(self) -> int:
        if self.settings.device == "cpu":
            return 0
        return int(sum(node.get("GPU", 0) for node in self._nodes))

    def gpus(self, job: Job) -> int:
        """None where the cluster has none."""
        return super().gpus(job) if self._gpus else 0

    def start(self, command: Sequence[str], name: str, gpus: int) -> str:
        """Submit it as a Ray job."""
        return str(
            self._ask(
                "submit_job",
                entrypoint=f"exec {shlex.join([self.chosen.python, *command])}",
                submission_id=f"{name}-{time.time_ns():x}",
                runtime_env=self.chosen.runtime_env or None,
                entrypoint_num_cpus=self.chosen.cpus,
                entrypoint_num_gpus=gpus or None,
            )
        )

    def ended(self, id: str) -> Message | None:
        """From Ray's status."""
        try:
            info = self._ask("get_job_info", id)
        except JobError as error:
            if isinstance(error, Unreachable):
                raise
            return Message("Ray at {address} no longer knows it", {"address": self.address})
        if not info.status.is_terminal():
            return None
        said = " ".join((info.message or "").split())[:300]
        return Message("Ray says {status}: {message}", {"status": str(info.status.value), "message": verbatim(said)})

    def end(self, id: str) -> None:
        """Ask for TERM, and KILL three seconds later."""
        self._ask("stop_job", id)

    def output(self, id: str) -> str:
        """The job's log, as Ray keeps it."""
        try:
            return str(self._ask("get_job_logs", id))
        except JobError as error:
            return str(error)

    def reach(self) -> str:
        """Nodes, CPUs and GPUs."""
        nodes = self._resources()
        total = {kind: f"{sum(node.get(kind, 0) for node in nodes):g}" for kind in ("CPU", "GPU")}
        return f"Ray at {self.address}: {len(nodes)} nodes, {total['CPU']} CPUs, {total['GPU']} GPUs"

    def _resources(self) -> list[dict[str, float]]:
        """What each node has that is alive."""
        from ray.util.state import list_nodes

        try:
            # a filter on the state would count dead nodes as missing, and raise (ray 2.60)
            found = list_nodes(address=self.address, limit=10_000, raise_on_missing_output=False)
        except Exception as error:  # of several libraries
            raise self._unreachable(error) from None
        return [dict(node.resources_total or {}) for node in found if node.state == "ALIVE"]

    def _ask(self, method: str, *values: object, **named: object) -> Any:
        """Call a method of Ray's client, which is made when it is first needed: it asks the cluster for its version.

        Raises:
            Unreachable: the cluster does not answer.
            JobError: it refuses.
        """
        from ray.job_submission import JobSubmissionClient

        try:
            self._client = self._client or JobSubmissionClient(self.address)
            return getattr(self._client, method)(*values, **named)
        except RuntimeError as error:  # its answer has another status than 200
            first = str(error).splitlines()[0][:300]
            raise JobError("Ray at {address}: {reason}", address=self.address, reason=verbatim(first)) from None
        except Exception as error:  # `ConnectionError`, and those of requests
            raise self._unreachable(error) from None

    def _unreachable(self, error: Exception) -> Unreachable:
        reason = verbatim(" ".join(str(error).split())[:200])
        return Unreachable("Ray at {address} does not answer ({reason})", address=self.address, reason=reason)
