"""Does a planned study fit this machine? If not: the numbers, and what would fit."""

from collections.abc import Callable, Iterator
from enum import StrEnum

from qcompare.demo.bundle import ready
from qcompare.errors import QCompareError
from qcompare.models.devices import accelerators
from qcompare.models.hub import in_cache
from qcompare.plan.capacity import Capacity, free_disk, of_device, ram
from qcompare.plan.plan import Plan, PlannedJob
from qcompare.settings import Settings
from qcompare.study.records import Range
from qcompare.words import Message, gettext_noop, verbatim

BUNDLE_BYTES = 1_000_000_000
"""What fetching the demo bundle takes at most, its wheels and drafts included."""
END = 0.005
"""Bits: a budget this near to the end of its range leaves no layer to choose."""
SPARE_BYTES = 300_000_000
"""Disk that must stay free."""


class DoesNotFit(QCompareError):
    """The study needs more than the machine has."""


def check(plan: Plan, settings: Settings) -> None:
    """Refuse a study that cannot fit.

    Raises:
        DoesNotFit: one line: what it needs, what there is, what would fit.
    """
    for problem in problems(plan, settings):
        raise DoesNotFit("{problem}; or run it anyway", problem=problem)


def problems(plan: Plan, settings: Settings) -> Iterator[Message]:
    """Why a study cannot fit, one line each; nothing when it can, or runs on machines of which nothing is known."""
    if settings.runs_elsewhere:
        return
    device = of_device(plan.device)
    kind = Message("GPU memory") if plan.device.startswith("cuda") else Message("memory")
    on_gpu = plan.device.startswith("cuda")
    yield from _memory(plan, kind, device, lambda job: job.cost.memory_bytes, on_gpu)
    if on_gpu:
        yield from _memory(plan, verbatim("RAM"), ram(), lambda job: job.cost.ram_bytes)
    needed, free = disk_needed(plan, settings), free_disk(settings.home)
    if needed + SPARE_BYTES > free:
        sizes = {"needed": _size(needed), "free": _size(free), "more": _size(needed + SPARE_BYTES - free)}
        yield Message(
            "it needs about {needed} of disk under {home} and {free} are free: free {more} "
            "('gc' removes what nothing needs), or choose another home",
            {"home": settings.home, **sizes},
        )


class Fit(StrEnum):
    """Does the largest job of a study fit into the memory that this machine has?"""

    YES = "yes"
    PERHAPS = "perhaps"
    NO = "no"


def memory_fit(plan: Plan) -> tuple[Fit, Capacity]:
    """Whether the memory suffices, by the estimate, and what there is on the device that computes."""
    device = of_device(plan.device)
    if any(job.cost.memory_bytes.low > device.total_bytes * job.cost.gpus for job in plan.jobs):
        return Fit.NO, device
    ample = all(job.cost.memory_bytes.high <= device.total_bytes * job.cost.gpus for job in plan.jobs)
    return (Fit.YES if ample else Fit.PERHAPS), device


def coinciding(plan: Plan) -> Iterator[Message]:
    """Rows that will be the same model, so that comparing them tells nothing."""
    low, high = plan.bit_range
    alike: dict[frozenset[tuple[str, str]], list[PlannedJob]] = {}
    for job in plan.jobs:
        if job.layer_config:
            alike.setdefault(frozenset(job.layer_config.items()), []).append(job)
    for jobs in alike.values():
        bits = next((job.avg_bits for job in jobs if job.avg_bits is not None), None)
        chosen = [job for job in plan.jobs if job.layer_config is None and job.avg_bits is not None]
        at_end = bits is not None and (bits - low < END or high - bits < END)
        same = [*jobs, *(job for job in chosen if at_end and job.avg_bits == bits)]
        if bits is None or len(same) < 2:
            continue
        text = gettext_noop(
            "at {bits} bits {recipes} are the same model: choose a budget further from {low} and {high}"
        )
        recipes = tuple(Message(job.recipe.label) for job in same)
        yield Message(text, {"bits": f"{bits:g}", "recipes": recipes, "low": f"{low:g}", "high": f"{high:g}"})


def notes(plan: Plan, settings: Settings) -> Iterator[Message]:
    """What a user should know: rows that will be the same, where jobs run if not here; else memory that others hold,
    and GPUs that cannot be used."""
    yield from coinciding(plan)
    if settings.runs_elsewhere:
        where = f"{settings.executor} {settings.executor_address}".strip()
        yield Message("jobs run on {where}; time and memory are estimates for this machine", {"where": where})
        return
    if plan.device == "cpu" and (problem := accelerators().problem):
        yield Message("it runs on the CPU: {problem}", {"problem": problem})
    device = of_device(plan.device)
    if plan.memory_bytes.low > device.free_bytes and plan.memory_bytes.low <= device.total_bytes:
        held = tuple(
            Message("{name} (pid {pid}) {size}", {"name": h.name, "pid": h.pid, "size": _size(h.num_bytes)})
            for h in device.holders[:3]
        )
        sizes = {"free": _size(device.free_bytes), "total": _size(device.total_bytes)}
        if held:
            yield Message("only {free} of {total} memory are free now: {holders}", {"holders": held, **sizes})
        else:
            yield Message("only {free} of {total} memory are free now", sizes)


def disk_needed(plan: Plan, settings: Settings) -> int:
    """Bytes of the study's files and of what must be fetched first."""
    if plan.facts.source == "demo bundle" and not ready(settings):
        return plan.disk_bytes + BUNDLE_BYTES
    if plan.facts.source == "hub" and not in_cache(plan.facts.model.partition("@")[0]):
        return plan.disk_bytes + plan.facts.size_bytes
    return plan.disk_bytes


def _memory(
    plan: Plan, kind: Message, has: Capacity, needs: Callable[[PlannedJob], Range], on_gpu: bool = False
) -> Iterator[Message]:
    too_large = [job for job in plan.jobs if needs(job).low > has.total_bytes * (job.cost.gpus if on_gpu else 1)]
    if not too_large:
        return
    job = max(too_large, key=lambda job: needs(job).likely)
    need = needs(job)
    total = has.total_bytes * (job.cost.gpus if on_gpu else 1)
    yield Message(
        "{recipe} needs {low} to {high} of {kind} ({basis}) and this machine has {total}: {suggestion}",
        {
            "recipe": job.recipe.name,
            "low": _size(need.low),
            "high": _size(need.high),
            "kind": kind,
            "basis": job.cost.basis,
            "total": _size(total),
            "suggestion": _suggestion(plan, too_large, total, need),
        },
    )


def _suggestion(plan: Plan, too_large: list[PlannedJob], total: int, need: Range) -> Message:
    others = sorted({job.recipe.name for job in plan.jobs} - {job.recipe.name for job in too_large})
    if others and all(job.recipe.reads_weights for job in too_large):
        return Message("leave it out ({others} would fit)", {"others": ", ".join(others)})
    params = plan.facts.num_params * total / need.likely
    return Message("a model of up to about {n} billion parameters would fit", {"n": f"{params / 1e9:.2g}"})


def _size(num_bytes: float) -> str:
    return f"{num_bytes / 1e9:.3g} GB"
