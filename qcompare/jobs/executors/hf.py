"""Jobs as Hugging Face Jobs: https://huggingface.co/docs/huggingface_hub/guides/jobs (a paid service)

The job's folder travels through a bucket of yours, `executor_folder = hf://buckets/USER/NAME`: this machine writes
and reads it through the hub, and in the job it is mounted as a folder, so no token leaves this machine unless `token`
is set (for gated models). Any other fsspec URL works too, where the image has its library and its credentials.
"""

import re
import shlex
import sys
from collections.abc import Sequence
from typing import Any

from qcompare import __version__
from qcompare.errors import InvalidStudy, JobError
from qcompare.jobs.executors.remote import RemoteExecutor, Unreachable, slots
from qcompare.jobs.executors.transfer import Transfer
from qcompare.settings import Settings
from qcompare.store import Store
from qcompare.study.frozen import Frozen
from qcompare.study.records import Job
from qcompare.words import Message, gettext_noop, verbatim

BUCKET = "hf://buckets/"
MOUNT = "/qcompare"
DELETED = gettext_noop("the Hugging Face job {id} was deleted")
STAGES = {
    "CANCELED": gettext_noop("the Hugging Face job {id} was cancelled"),
    "DELETED": DELETED,
    "COMPLETED": gettext_noop("the Hugging Face job {id} ended before the result was complete"),
}
FAILED = gettext_noop(
    "the Hugging Face job {id} failed ({reason}): its time of {timeout} was over, memory ran out, or the image or "
    "the installation does not work; its log says which"
)


class HubOptions(Frozen):
    """The setting `executor_options` of Hugging Face Jobs."""

    flavor: str = "cpu-basic"
    """Hardware: `hf jobs hardware` lists them."""
    timeout: str = "1d"
    """The hub's own default is 30 minutes."""
    image: str = f"python:{sys.version_info.major}.{sys.version_info.minor}"
    """Docker image; one with qcompare in it starts faster."""
    install: str = f"qcompare=={__version__}"
    """What pip installs in the job: a requirement or the URL of a wheel; empty where the image has it."""
    jobs: int = 4
    """At once."""
    namespace: str | None = None
    """User or organization that pays; default: yours."""
    token: bool = False
    """Hand this machine's token to the job, as a secret."""


class HubExecutor(RemoteExecutor):
    """Each job is a container on hardware of one flavor."""

    ask_seconds = 10.0
    grace_seconds = 60.0

    def __init__(self, store: Store, settings: Settings) -> None:
        """
        Raises:
            InvalidStudy: the options are not those of Hugging Face Jobs, or there is no URL for the transfer.
        """
        super().__init__(store, settings)
        self.chosen = self.options(HubOptions)
        if "://" not in self.root:
            raise InvalidStudy("executor_folder: Hugging Face Jobs need a bucket, such as hf://buckets/USER/NAME")

    def devices(self) -> tuple[str, ...]:
        """As many as may run at once."""
        return slots("hf", self.chosen.jobs)

    def gpus(self, job: Job) -> int:
        """All of the flavor, by its name: `l4x4` has four, `t4-small` one."""
        if self.chosen.flavor.startswith("cpu"):
            return 0
        count = re.search(r"x(\d)$", self.chosen.flavor)
        return int(count[1]) if count else 1

    def node_url(self, place: Transfer) -> str:
        """Below the mounted bucket."""
        if not place.url.startswith(BUCKET):
            return place.url
        return "/".join([MOUNT, *place.url.removeprefix(BUCKET).split("/")[2:]])

    def start(self, command: Sequence[str], name: str, gpus: int) -> str:
        """Start a container."""
        from huggingface_hub import Volume, get_token

        volumes = None
        if self.root.startswith(BUCKET):
            bucket = "/".join(self.root.removeprefix(BUCKET).split("/")[:2])
            volumes = [Volume(type="bucket", source=bucket, mount_path=MOUNT)]
        install = f"python -m pip install -q {shlex.quote(self.chosen.install)} && " if self.chosen.install else ""
        info = self._ask(
            "run_job",
            image=self.chosen.image,
            command=["bash", "-c", f"{install}exec python {shlex.join(command)}"],
            secrets={"HF_TOKEN": get_token()} if self.chosen.token else None,
            flavor=self.chosen.flavor,
            timeout=self.chosen.timeout,
            labels={"name": name.replace(".", "-")},
            volumes=volumes,
            namespace=self.chosen.namespace,
        )
        return f"{info.owner.name}/{info.id}"

    def ended(self, id: str) -> Message | None:
        """From the stage: a job that failed raises nothing."""
        try:
            status = self._ask("inspect_job", **_named(id)).status
        except JobError as error:
            if isinstance(error, Unreachable):
                raise
            return Message(DELETED, {"id": id})
        stage = str(getattr(status.stage, "value", status.stage))
        if stage in STAGES:
            return Message(STAGES[stage], {"id": id})
        if stage == "ERROR":
            reason = verbatim(status.message or "no reason given")
            return Message(FAILED, {"id": id, "reason": reason, "timeout": self.chosen.timeout})
        return None

    def end(self, id: str) -> None:
        """Cancel it."""
        self._ask("cancel_job", **_named(id))

    def output(self, id: str) -> str:
        """The last lines of the container's log."""
        try:
            return "\n".join(map(str, self._ask("fetch_job_logs", **_named(id), tail=100)))
        except JobError as error:
            return str(error)

    def reach(self) -> str:
        """Who pays."""
        who = self.chosen.namespace or self._ask("whoami")["name"]
        return f"Hugging Face Jobs of {who}: {self.chosen.flavor}, {self.chosen.image}, at most {self.chosen.timeout}"

    def _ask(self, method: str, **named: object) -> Any:
        """Call a method of `HfApi`.

        Raises:
            Unreachable: the hub does not answer.
            JobError: it refuses.
        """
        import httpx
        from huggingface_hub import HfApi
        from huggingface_hub.errors import HfHubHTTPError, LocalTokenNotFoundError

        try:
            found = getattr(HfApi(), method)(**named)
            return list(found) if method == "fetch_job_logs" else found
        except LocalTokenNotFoundError:
            raise JobError("Hugging Face Jobs need a login: hf auth login") from None
        except HfHubHTTPError as error:
            status = error.response.status_code if error.response is not None else 500
            reason = verbatim(" ".join(str(error).split())[:300])
            kind = Unreachable if status >= 500 or status == 429 else JobError
            raise kind("the hub refuses ({reason})", reason=reason) from None
        except httpx.HTTPError as error:
            raise Unreachable("the hub does not answer ({reason})", reason=repr(error)) from None


def _named(id: str) -> dict[str, str]:
    namespace, _, job_id = id.partition("/")
    return {"job_id": job_id, "namespace": namespace}
