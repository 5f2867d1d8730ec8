"""Results in lm-eval's own files: `results_*.json` and `samples_*.jsonl`, a folder for each recipe, in a zip.

They are made of what is stored, so older studies have them too. The original document of a question is not
stored: `doc` holds the question as it was put, its options and its target.
"""

import hashlib
import io
import json
import math
import re
import zipfile
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

from qcompare.store import Store
from qcompare.study.ids import StudyIds
from qcompare.study.result import Result, TaskScore
from qcompare.study.samples import Sample, read_samples
from qcompare.study.spec import Study
from qcompare.study.task import short_name
from qcompare.words import translate


def lm_eval_zip(store: Store, study_ids: StudyIds) -> bytes:
    """All finished recipes of some studies.

    Raises:
        NotFound: there is no such study.
    """
    out = io.BytesIO()
    with zipfile.ZipFile(out, "w", zipfile.ZIP_DEFLATED) as archive:
        for study_id in study_ids:
            study = store.study(study_id)
            for result in store.results(study.id):
                if result.tasks:
                    for name, text in _files(store, study.spec, study.created, result):
                        archive.writestr(name, text)
    return out.getvalue()


def write_lm_eval(store: Store, study_ids: StudyIds, folder: Path) -> list[Path]:
    """The same files in a folder; their paths.

    Raises:
        NotFound: there is no such study.
    """
    with zipfile.ZipFile(io.BytesIO(lm_eval_zip(store, study_ids))) as archive:
        return [Path(archive.extract(name, folder)) for name in archive.namelist()]


def _files(store: Store, study: Study, created: float, result: Result) -> Iterator[tuple[str, str]]:
    """Name and text of each file of one recipe."""
    folder = re.sub(r"[^\w.-]+", "_", f"{result.model.name}__{result.job_id}")
    moment = _moment(created)
    samples = _by_leaf(store, result)
    yield f"{folder}/results_{moment}.json", json.dumps(_results(study, created, result, samples), indent=2)
    for leaf, lines in samples.items():
        score = next(score for score in result.tasks if score.task == lines[0].study_task)
        text = "".join(json.dumps(_sample(one, score), ensure_ascii=False) + "\n" for one in lines)
        yield f"{folder}/samples_{leaf}_{moment}.jsonl", text


def _moment(created: float) -> str:
    from datetime import datetime

    return datetime.fromtimestamp(created).isoformat(timespec="seconds").replace(":", "-")


def _by_leaf(store: Store, result: Result) -> dict[str, list[Sample]]:
    file = store.folder(result.job_id).samples_file
    found: dict[str, list[Sample]] = {}
    for score in result.tasks:
        samples = read_samples(file, score.task)
        for key in samples.index:
            if one := samples.get(key):
                found.setdefault(one.task, []).append(one)
    return found


def _cache(result: Result) -> dict[str, str]:
    """As vLLM names it."""
    return {"kv_cache_dtype": result.kv_cache} if result.kv_cache else {}


def _results(study: Study, created: float, result: Result, samples: dict[str, list[Sample]]) -> dict[str, Any]:
    results: dict[str, dict[str, Any]] = {}
    parts: dict[str, list[str]] = {}
    for score in result.tasks:
        leaves = [leaf for leaf, lines in samples.items() if lines[0].study_task == score.task]
        name = leaves[0] if len(leaves) == 1 else short_name(score.task)
        parts[name] = [] if len(leaves) == 1 else leaves
        results[name] = {"alias": name, "sample_len": score.n, **_metrics(score)}
        for leaf in leaves if len(leaves) > 1 and score.averaged else []:
            lines = samples[leaf]
            results[leaf] = {"alias": f" - {leaf}", "sample_len": len(lines), **_means(score, lines)}
    by_task = {leaf: score for score in result.tasks for leaf in _names(score, samples)}
    return {
        "results": results,
        "groups": {name: results[name] for name, leaves in parts.items() if leaves},
        "group_subtasks": parts,
        "configs": {
            name: {"task": name, "num_fewshot": score.num_fewshot, "metadata": {"version": score.version}}
            for name, score in by_task.items()
        },
        "versions": {name: score.version for name, score in by_task.items()},
        "n-shot": {name: score.num_fewshot for name, score in by_task.items()},
        "higher_is_better": {
            name: {score.metric.split(",")[0]: score.higher_is_better} for name, score in by_task.items()
        },
        "n-samples": {leaf: {"original": len(lines), "effective": len(lines)} for leaf, lines in samples.items()},
        "config": {
            "model": "hf",
            "model_args": {"pretrained": study.model, "recipe": result.recipe} | _cache(result),
            "model_num_parameters": result.model.num_params,
            "model_dtype": result.environment.dtype,
            "model_sha": result.model.revision,
            "batch_size": study.batch_size,
            "device": result.environment.device,
            "limit": study.limit,
            "gen_kwargs": study.gen_kwargs or None,
            "random_seed": study.seed,
            "numpy_seed": study.seed,
            "torch_seed": study.seed,
            "fewshot_seed": study.seed,
        },
        "date": created,
        "transformers_version": result.environment.libraries.get("transformers"),
        "lm_eval_version": result.environment.libraries.get("lm-eval") or result.environment.libraries.get("lm_eval"),
        "system_instruction": study.system_instruction,
        "fewshot_as_multiturn": study.fewshot_as_multiturn,
        "model_source": "hf",
        "model_name": f"{study.model} ({translate(result.title) if result.title else result.recipe})",
        "model_name_sanitized": re.sub(r"[^\w.-]+", "__", f"{study.model}__{result.recipe}"),
        "task_hashes": {leaf: _hash("".join(map(_hashes, lines))) for leaf, lines in samples.items()},
        "total_evaluation_time_seconds": str(sum(result.seconds.values())),
    }


def _names(score: TaskScore, samples: dict[str, list[Sample]]) -> list[str]:
    leaves = [leaf for leaf, lines in samples.items() if lines[0].study_task == score.task]
    return leaves if len(leaves) == 1 else [short_name(score.task), *leaves]


def _metrics(score: TaskScore) -> dict[str, float | str]:
    """All metrics by lm-eval's names; results of older versions keep only some."""
    if score.others:
        return {**score.others}
    main, _, filter = score.metric.partition(",")
    found: dict[str, float | str | None] = {
        f"{main},{filter or 'none'}": score.value,
        f"{main}_stderr,{filter or 'none'}": score.stderr,
        "acc_norm,none": score.acc_norm,
        "acc_norm_stderr,none": score.acc_norm_stderr,
        f"{main},flexible-extract": score.flexible,
        f"{main}_stderr,flexible-extract": score.flexible_stderr,
    }
    return {name: value for name, value in found.items() if value is not None}


def _means(score: TaskScore, lines: Sequence[Sample]) -> dict[str, float]:
    main, _, filter = score.metric.partition(",")
    found = {f"{main},{filter or 'none'}": [one.acc for one in lines]}
    if all(one.acc_norm is not None for one in lines):
        found["acc_norm,none"] = [one.acc_norm or 0.0 for one in lines]
    return {name: sum(values) / len(values) for name, values in found.items()}


def _sample(one: Sample, score: TaskScore) -> dict[str, Any]:
    """A line of `samples_*.jsonl`."""
    main, _, filter = score.metric.partition(",")
    if one.options:
        resps: list[Any] = [
            [[str(value), str(greedy)]] for value, greedy in zip(one.loglikelihoods, one.is_greedy, strict=True)
        ]
        arguments = [{"arg_0": one.question, "arg_1": option} for option in one.options]
    else:
        resps = [[one.answer if one.answer is not None else str(one.loglikelihoods[0])]]
        arguments = [{"arg_0": one.question}]
    metrics = {main: one.acc, "acc_norm": one.acc_norm}
    known = {name: value for name, value in metrics.items() if value is not None and not math.isnan(value)}
    return {
        "doc_id": one.doc_id,
        "doc": {"question": one.question, "options": list(one.options), "target": one.target},
        "target": one.target,
        "arguments": {f"gen_args_{n}": argument for n, argument in enumerate(arguments)},
        "resps": resps,
        "filtered_resps": [response[0] for response in resps],
        "filter": filter or "none",
        "metrics": list(known),
        "doc_hash": one.doc_hash,
        "prompt_hash": one.prompt_hash,
        "target_hash": _hash(one.target),
        **known,
    }


def _hashes(one: Sample) -> str:
    return one.doc_hash + one.prompt_hash + _hash(one.target)


def _hash(text: str) -> str:
    return hashlib.sha256(text.encode()).hexdigest()
