"""Devices on made-up machines: what is listed is what torch sees, and a job sees its own."""

import os
import subprocess
import sys

import pytest

from qcompare.errors import InvalidStudy
from qcompare.jobs.executors.heartbeat import gpu_use
from qcompare.models.devices import (
    Device,
    accelerators,
    describe_device,
    environment_of,
    job_devices,
    join_ids,
    split_ids,
)
from qcompare.models.probe import runs_on
from qcompare.plan.capacity import of_device
from qcompare.plan.doctor import _gpus
from tests.fake_cuda import EIGHT, Gpu, Machine

COUNT = "import torch; n = torch.cuda.device_count(); print(n, torch.cuda.get_device_properties(0).uuid if n else '')"


def seen(device: str) -> str:
    """What torch sees in the process of a job."""
    env = {**os.environ, **environment_of(device)}
    done = subprocess.run([sys.executable, "-c", COUNT], env=env, capture_output=True, text=True, check=True)
    return done.stdout.strip()


def test_every_gpu_that_torch_sees_takes_jobs(monkeypatch: pytest.MonkeyPatch) -> None:
    Machine(EIGHT).use(monkeypatch)
    assert job_devices("auto") == tuple(f"cuda:{gpu.uuid}" for gpu in EIGHT)
    assert describe_device(job_devices("cuda:3")[0]) == Device(
        f"cuda:{EIGHT[3].uuid}", "cuda:3", "Fake H100", 80 * 10**9, (9, 0)
    )


def test_gpus_that_the_environment_hides_are_not_given_out(monkeypatch: pytest.MonkeyPatch) -> None:
    Machine(EIGHT).use(monkeypatch)
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", "2")
    (device,) = job_devices("auto")
    assert device == f"cuda:{EIGHT[2].uuid}" == job_devices("cuda")[0] == job_devices("cuda:0")[0]
    with pytest.raises(InvalidStudy, match="device cuda:2 does not exist: torch sees 1 such devices"):
        job_devices("cuda:2")
    assert seen(device) == f"1 {EIGHT[2].uuid.removeprefix('GPU-')}"
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", "")
    assert job_devices("auto") == ("cpu",) and accelerators().problem is None


def test_a_job_on_the_cpu_sees_no_gpu(monkeypatch: pytest.MonkeyPatch) -> None:
    Machine(EIGHT).use(monkeypatch)
    assert seen("cpu") == "0"
    assert seen(join_ids(job_devices("auto")[2:4])).startswith("2 2aaaaaaa")


@pytest.mark.parametrize("order", ["", "PCI_BUS_ID"])
def test_the_order_in_which_gpus_are_counted_does_not_matter(order: str, monkeypatch: pytest.MonkeyPatch) -> None:
    small, large = Gpu("GPU-1", "Old", 24), Gpu("GPU-2", "New", 80)
    Machine((small, large), fastest_first=(1, 0)).use(monkeypatch)
    monkeypatch.setenv("CUDA_DEVICE_ORDER", order)
    for device, gpu in zip(job_devices("auto"), (small, large) if order else (large, small), strict=True):
        assert seen(device) == f"1 {gpu.uuid.removeprefix('GPU-')}"
        assert of_device(device).total_bytes == gpu.gb * 10**9 == describe_device(device).total_bytes
        assert gpu_use(device) == (10.0 * int(gpu.uuid[4]), 10**9 * (1 + int(gpu.uuid[4])))


def test_every_mig_slice_takes_jobs(monkeypatch: pytest.MonkeyPatch) -> None:
    cut = Gpu("GPU-5", slices=("MIG-1", "MIG-2", "MIG-3"))
    Machine((cut, Gpu("GPU-6"))).use(monkeypatch)
    assert job_devices("auto") == ("cuda:MIG-1", "cuda:MIG-2", "cuda:MIG-3", "cuda:GPU-6")
    assert seen("cuda:MIG-2") == "1 MIG-2"
    assert of_device("cuda:MIG-2").total_bytes == pytest.approx(80e9 / 7)
    assert gpu_use("cuda:MIG-2") == (None, 3 * 10**9)
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", "MIG-3")
    assert job_devices("auto") == ("cuda:MIG-3",)


@pytest.mark.parametrize(
    ("machine", "reason"),
    [
        (Machine(EIGHT, cuda=None), "the driver shows 8 GPUs, but torch 2.99.0+fake is a build without CUDA"),
        (Machine(EIGHT, driver_error="The NVIDIA driver is too old."), "torch cannot use them: The"),
        (Machine((Gpu("GPU-1", "Fake K80", capability=(3, 7)),)), "torch 2.99.0+fake has no code for Fake K80"),
    ],
)  # fmt: skip
def test_gpus_that_torch_cannot_use_are_not_given_out_and_the_reason_is_told(
    machine: Machine, reason: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    machine.use(monkeypatch)
    assert job_devices("auto") == ("cpu",)
    assert reason in str(accelerators().problem)
    with pytest.raises(InvalidStudy, match="device cuda does not exist"):
        job_devices("cuda")


def test_rocm_xpu_and_mps_are_called_as_torch_does(monkeypatch: pytest.MonkeyPatch) -> None:
    Machine((Gpu("GPU-1", "Fake MI300", 192), Gpu("GPU-2", "Fake MI300", 192)), hip="7.0", cuda=None).use(monkeypatch)
    monkeypatch.setenv("HIP_VISIBLE_DEVICES", "1")
    (device,) = job_devices("cuda")
    assert (device, seen(device)) == ("cuda:1", "1 2")
    monkeypatch.delenv("HIP_VISIBLE_DEVICES")
    Machine(xpus=2, cuda=None).use(monkeypatch)
    assert job_devices("xpu:1") == ("xpu:1",)
    assert of_device("xpu:1").total_bytes == 16 * 10**9
    Machine(mps=True, cuda=None).use(monkeypatch)
    assert job_devices("mps") == ("mps",)
    assert job_devices("auto") == ("cpu",)


def test_without_any_sign_of_a_gpu_torch_is_not_loaded(monkeypatch: pytest.MonkeyPatch) -> None:
    Machine().use(monkeypatch)
    monkeypatch.setattr("qcompare.models.devices._may_exist", lambda: False)
    monkeypatch.setattr("subprocess.run", lambda *args, **kwargs: pytest.fail("torch was loaded"))
    assert job_devices("auto") == job_devices("cpu") == ("cpu",)
    with pytest.raises(InvalidStudy, match="unknown device 'tpu': choose auto, cpu, cuda"):
        job_devices("tpu")


def test_several_gpus_have_one_id() -> None:
    ids = ("cuda:GPU-1", "cuda:GPU-2")
    assert split_ids(join_ids(ids)) == ids and split_ids("cpu") == ("cpu",) == split_ids(join_ids(("cpu",)))
    assert environment_of(join_ids(ids))["CUDA_VISIBLE_DEVICES"] == "GPU-1,GPU-2"
    assert environment_of("cluster:0") == {}


def test_a_build_of_torch_serves_its_generations_and_later_ones_by_ptx() -> None:
    archs = ["sm_75", "sm_80", "sm_90", "sm_100a", "compute_120"]
    assert [runs_on(list(each), archs) for each in ((7, 0), (7, 5), (8, 9), (9, 0), (12, 1))] == [
        False, True, True, True, True,
    ]  # fmt: skip


def test_doctor_lists_the_gpus_or_says_why_they_are_not_used(monkeypatch: pytest.MonkeyPatch) -> None:
    Machine(EIGHT[:2]).use(monkeypatch)
    (found,) = _gpus()
    assert (found.ok, found.text) == (True, "cuda:0 (Fake H100, 80 GB), cuda:1 (Fake H100, 80 GB)")
    Machine(EIGHT, cuda=None).use(monkeypatch)
    (found,) = _gpus()
    assert not found.ok and "install one with CUDA" in found.text
