"""The last stage of a job: a sample of what it answered, computed again in another dtype."""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import replace
from typing import TYPE_CHECKING, Any

from qcompare.study.noise import NoiseFloor, sample_limit
from qcompare.study.result import Divergence, Faithful
from qcompare.study.samples import Sample
from qcompare.study.stage import Stage

if TYPE_CHECKING:
    from qcompare.jobs.run import Run


def noise_floor(
    run: "Run",
    model: Any,
    tokenizer: Any,
    config: dict[str, str],
    samples: Sequence[Sample],
    divergence: Divergence | None,
) -> NoiseFloor | None:
    """How much of a row another compute dtype changes; the model is consumed.

    Scores of questions are kept as those of the row are, so that an interrupted job goes on after them.

    Args:
        samples: the row's answers.
        divergence: the row's, on the passages of `run.reference`.

    Returns:
        None where there is nothing to compare, or the row cannot be computed in another dtype: a server, a kernel of
        its own, too little memory (printed).
    """
    tasks = _rated(run.study.tasks, samples)
    if model is None or not (tasks or divergence):
        return None
    from qcompare.evaluate.noise import PassageNoise, can_convert, convert, count_changes, other_dtype
    from qcompare.evaluate.scoring.memory import is_out_of_memory

    dtype = other_dtype(run.dtype)
    loaded = run.lab.loaded
    if loaded and loaded.faithful is Faithful.KERNEL:
        print("no numerical noise: the checkpoint's kernel computes in one dtype")
        return None
    if not can_convert(model, dtype):
        print(f"no numerical noise: no memory for the weights in {dtype}")
        return None
    with run.stages.stage(Stage.NOISE) as report:
        try:
            passages = None
            if divergence:
                text, states = run.reference
                passages = PassageNoise(model, text, states, divergence)
            convert(model, dtype)
            found = passages.compare(model) if passages else {}
            again = _ask_again(run, model, tokenizer, config, tasks, dtype, report)
            return NoiseFloor(dtype=run.dtype, other_dtype=dtype, **count_changes(samples, again), **found)
        except (RuntimeError, MemoryError) as error:
            if not is_out_of_memory(error):
                raise
            print(f"no numerical noise: out of memory in {dtype}")
            return None


def _rated(tasks: Sequence[str], samples: Sequence[Sample]) -> list[str]:
    """Tasks of which log-likelihoods are right or wrong answers."""
    rated = {sample.study_task for sample in samples if sample.loglikelihoods and sample.acc in (0, 1)}
    return [task for task in tasks if task in rated]


def _ask_again(
    run: "Run",
    model: Any,
    tokenizer: Any,
    config: dict[str, str],
    tasks: Sequence[str],
    dtype: str,
    report: Callable[[int, int], None],
) -> Iterator[Sample]:
    """The sample's answers in another dtype: the first questions of each task."""
    from qcompare.evaluate.benchmarks import run_task
    from qcompare.evaluate.scoring.memory import Budget

    if not tasks:
        return
    # the study's own budget stays as it is, whatever happens here; float32 takes twice the memory of bfloat16
    budget = Budget(max(1, run.row_tokens // 2)) if run.row_tokens else None
    lm = run.language_model(model, tokenizer, budget, config, dtype)
    options = run.options(run.add_bos_token)
    for done, task in enumerate(tasks):
        report(done, len(tasks))
        limit = sample_limit(task, tasks)
        limit = limit if options.limit is None else min(limit, options.limit)
        request = run.request(task, run.tasks.data[task])
        yield from run_task(lm, request, run.tasks.manager, replace(options, limit=limit))[1]
