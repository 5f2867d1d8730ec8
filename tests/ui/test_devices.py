"""Who holds GPU memory, on a machine made up by the tests."""

import pytest

from qcompare.plan.capacity import Capacity, Holder
from qcompare.settings import Settings
from qcompare.store import Store
from qcompare.ui import devices
from qcompare.ui.devices import NAMED, read_gpus
from qcompare.ui.pages import page
from tests.synthetic import add_study, run_job


@pytest.fixture
def store(settings: Settings, monkeypatch: pytest.MonkeyPatch) -> Store:
    holders = (
        Holder(77, "python", 30 * 10**9),
        Holder(5, "<b>game", 2 * 10**9),
        *[Holder(n, "x", 1) for n in range(9)],
    )
    monkeypatch.setattr(devices, "job_devices", lambda wanted: ("cuda:0",))
    monkeypatch.setattr(devices, "of_device", lambda device: Capacity(141 * 10**9, 100 * 10**9, holders))
    return Store(settings.home)


def test_our_jobs_and_others_are_told_apart(
    store: Store, settings: Settings, monkeypatch: pytest.MonkeyPatch
) -> None:
    job_id = store.jobs(add_study(store).id)[0].id
    run_job(store, job_id)
    monkeypatch.setattr(devices, "owner", lambda pid, home: job_id if pid == 77 else None)
    said = page("devices", gpus=read_gpus(store, settings), named=NAMED)
    assert "<b>GPU 0</b>: 41 GB of 141 GB in use · this app’s bf16 30 GB · &lt;b&gt;game (pid 5) 2 GB" in said
    assert "6 more" in said


def test_a_machine_without_a_gpu_says_nothing(settings: Settings) -> None:
    assert read_gpus(Store(settings.home), Settings(device="cpu")) == ()
