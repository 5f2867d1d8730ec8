"""A Ray cluster of several nodes on this machine, for tests and benchmarks."""

import json
import os
import socket
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from qcompare.settings import Settings
from tests.jobs.conftest import until
from tests.jobs.executors.nodes import ROOT

OBJECT_STORE = 80 * 2**20
WAITS = {"RAY_raylet_start_wait_time_s": "300", "RAY_gcs_server_port_wait_time_s": "300",
         "RAY_agent_register_timeout_ms": "300000", "RAY_USAGE_STATS_ENABLED": "0"}  # fmt: skip
"""Ray's own waits for its processes are for machines that have nothing else to do."""
PORTS = ("metrics_agent_port", "metrics_export_port", "dashboard_agent_listen_port", "runtime_env_agent_port")


class RayCluster:
    """A head that takes no jobs, and nodes of one CPU each, which can be killed."""

    def __init__(self, folder: Path) -> None:
        from ray.cluster_utils import Cluster

        self.folder = folder
        port = _free_ports(1)[0]
        self.address = f"http://127.0.0.1:{port}"
        head = {"num_cpus": 0, "include_dashboard": True, "dashboard_port": port, **_node()}
        self._cluster = Cluster(initialize_head=True, head_node_args=head)
        self.nodes: list[Any] = []
        until(self._takes_jobs, 300)

    def _takes_jobs(self) -> bool:
        from ray.job_submission import JobSubmissionClient

        try:
            return bool(JobSubmissionClient(self.address).submit_job(entrypoint="true"))
        except (ConnectionError, RuntimeError):  # the head's agent is still starting
            return False

    def add_node(self, **resources: float) -> Any:
        """One more."""
        self.nodes.append(self._cluster.add_node(**{"num_cpus": 1, **resources}, **_node()))
        return self.nodes[-1]

    def kill(self, node: Any) -> None:
        """End a node and all its processes, as a power failure would."""
        self.nodes.remove(node)
        self._cluster.remove_node(node, allow_graceful=False)

    def shutdown(self) -> None:
        """End the cluster."""
        self._cluster.shutdown()

    def settings(self, home: Path, **values: str) -> Settings:
        """Of a home whose jobs run here, on this code and with this Python."""
        nodes = {"PYTHONPATH": str(ROOT), "QCOMPARE_NODE_HOME": str(self.folder / "node"), **values}
        options = {"python": sys.executable, "runtime_env": {"env_vars": nodes}}
        return Settings(
            home=home,
            offline=True,
            executor="ray",
            executor_address=self.address,
            executor_options=json.dumps(options),
        )


@contextmanager
def ray_cluster(folder: Path, nodes: int = 2) -> Iterator[RayCluster]:
    """A cluster for the time of a block."""
    before = {name: os.environ.get(name) for name in WAITS}
    os.environ.update(WAITS)
    start = _wait_for_no_agent()
    cluster = RayCluster(folder)
    try:
        for _ in range(nodes):
            cluster.add_node()
        yield cluster
    finally:
        cluster.shutdown()
        start()
        for name, value in before.items():
            os.environ.pop(name) if value is None else os.environ.update({name: value})


def _wait_for_no_agent() -> Any:
    """Note the ports of a node's agents for its raylet beforehand: it gives them 15 seconds to do so, which a busy
    machine does not (ray 2.60, `NodeManager::WaitForDashboardAgentPorts`). Returns what takes this back."""
    from ray import _raylet
    from ray._private import ray_constants
    from ray._private.node import Node

    ray_constants.RAY_DASHBOARD_STARTUP_TIMEOUT_S = 300  # read from the environment when ray is imported
    original = Node.start_raylet

    def start_raylet(self: Any, *values: Any, **named: Any) -> Any:
        for port in PORTS:
            number = getattr(self._ray_params, port)
            _raylet.persist_port(self._session_dir, self._node_id, getattr(_raylet, f"{port.upper()}_NAME"), number)
        return original(self, *values, **named)

    Node.start_raylet = start_raylet
    return lambda: setattr(Node, "start_raylet", original)


def _node() -> dict[str, int]:
    return {"object_store_memory": OBJECT_STORE, **dict(zip(PORTS, _free_ports(len(PORTS)), strict=True))}


def _free_ports(number: int) -> list[int]:
    sockets = [socket.socket() for _ in range(number)]
    for each in sockets:
        each.bind(("127.0.0.1", 0))
    found = [each.getsockname()[1] for each in sockets]
    for each in sockets:
        each.close()
    return found
