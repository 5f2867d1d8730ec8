"""Is a node fit? A process is started there that sees the shared folder, and says what it is."""

import json
import secrets
import time
from collections.abc import Iterator
from typing import TYPE_CHECKING

from qcompare.errors import QCompareError
from qcompare.jobs.executors import transfer
from qcompare.jobs.executors.transfer import PROBE, Transfer
from qcompare.jobs.node import describe_node
from qcompare.plan.doctor import Finding

if TYPE_CHECKING:
    from qcompare.jobs.executors.remote import RemoteExecutor

PROBE_SECONDS = 300.0
"""A node may have to be started first."""


def check_nodes(executor: "RemoteExecutor") -> Iterator[Finding]:
    """Findings on the shared folder and on a node, one line each."""
    own = describe_node()
    try:
        place = Transfer(f"{executor.root.rstrip('/')}/probe-{secrets.token_hex(4)}")
        place.write(PROBE, b"{}")
        yield Finding("folder", True, f"{executor.root}: written from here")
        id = executor.start([*transfer.NODE, executor.node_url(place)], "qcompare-probe", 0)
    except (QCompareError, OSError) as error:
        yield Finding("folder", False, str(error))
        return
    try:
        said = _answer(executor, place, id)
    except QCompareError as error:
        yield Finding("node", False, str(error))
        return
    finally:
        place.remove()
    yield Finding("node", True, f"{said['host']} sees the folder")
    python = said["python"].rpartition(".")[0] == own["python"].rpartition(".")[0]
    for name, key, same in (("python", "python", python), ("qcompare", "code", said["code"] == own["code"])):
        text = said[key] if same else f"{said[key]} there, {own[key]} here: install the same on both"
        yield Finding(name, same, text)


def _answer(executor: "RemoteExecutor", place: Transfer, id: str) -> dict[str, str]:
    limit = time.monotonic() + PROBE_SECONDS + executor.grace_seconds
    ended = None
    while time.monotonic() < limit:
        said = json.loads(place.read(PROBE) or b"{}")
        if said:
            return dict(said)
        if ended and time.monotonic() - ended[0] > executor.grace_seconds:
            tail = executor.output(id).strip().splitlines()[-1:] or ["it printed nothing"]
            raise QCompareError(
                "a process on a node wrote nothing into {folder} ({cause}): {tail}",
                folder=executor.root,
                cause=ended[1],
                tail=tail[0],
            )
        if ended is None and (cause := executor.ended(id)):
            ended = (time.monotonic(), cause)
            continue  # what it wrote between the two looks
        time.sleep(0.5)
    executor.end(id)
    raise QCompareError("no node answered within {n} s: is the cluster full?", n=f"{PROBE_SECONDS:g}")
