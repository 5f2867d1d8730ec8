"""Visitors of an exhibition take turns; everybody else's studies run in the order in which they came."""

from pathlib import Path

from qcompare.store import Store
from qcompare.study.records import Status
from qcompare.study.spec import Study

ROWS = (("bf16", None), ("uniform", None))


def ask(store: Store, owner: str | None, rows: tuple[tuple[str, None], ...] = ROWS) -> str:
    return store.add_study(Study(recipes=tuple(name for name, _ in rows)), f"of {owner}", rows, owner=owner).id


def run_all(store: Store) -> list[str]:
    """The owner of each job, in the order in which they ran."""
    order = []
    while job := store.claim("cpu"):
        store.finish(job.id, Status.SUCCESS)
        order.append(store.study(job.study_id).owner or "host")
    return order


def test_one_visitor_s_many_prompts_do_not_keep_the_others_waiting(home: Path) -> None:
    store = Store(home)
    for owner in ("ann", "ann", "ann", "ben", "cem"):
        ask(store, owner)
    expected = [owner for owner in ("ann", "ben", "cem", "ann", "ann") for _ in ROWS]  # a prompt's rows stay together
    waiting = [store.study(job.study_id).owner for job in store.jobs(status=Status.QUEUED)]
    assert waiting == expected
    assert run_all(store) == expected


def test_whoever_has_had_a_turn_goes_behind(home: Path) -> None:
    store = Store(home)
    for owner in ("ann", "ann", "ann"):
        ask(store, owner, ROWS[:1])
    first = store.claim("cpu")
    assert first and store.study(first.study_id).owner == "ann"
    store.finish(first.id, Status.SUCCESS)
    ask(store, "ben", ROWS[:1])
    assert run_all(store) == ["ben", "ann", "ann"]


def test_the_host_s_long_study_shares_with_visitors(home: Path) -> None:
    store = Store(home)
    ask(store, None, (("bf16", None), ("uniform", None), ("head", None)))
    ask(store, "ann", ROWS)
    ask(store, "ben", ROWS[:1])
    assert run_all(store) == ["host", "ann", "ann", "ben", "host", "host"]


def test_without_visitors_studies_run_as_they_came(home: Path) -> None:
    store = Store(home)
    studies = [ask(store, None) for _ in range(3)]
    store.note(studies[2], priority=1)
    order = []
    while job := store.claim("cpu"):
        store.finish(job.id, Status.SUCCESS)
        order.append(job.study_id)
    assert list(dict.fromkeys(order)) == [studies[2], studies[0], studies[1]]
