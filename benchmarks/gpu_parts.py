"""The sections of `benchmarks.gpu` that run a model."""

import json
import logging
import os
import random
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any

from benchmarks.gpu import Bench, Figures, make_tokenizer

Request = tuple[None, list[int], list[int]]
SHAPES = {
    "lambada_openai": (1, 80, (1, 3), 0),
    "hellaswag": (4, 60, (15, 40), 0),
    "piqa": (2, 15, (10, 35), 0),
    "winogrande": (2, 18, (4, 10), 0),
    "mmlu, 5 shots": (4, 90, (1, 1), 550),
}
"""Task → options of a question, tokens of its context, least and most tokens of an option, shared beginning."""
SCHEMES = ("MXFP4", "MXFP8", "NVFP4", "FP8_DYNAMIC", "INT8_W8A8")


def requests_of(bench: Bench, task: str, questions: int) -> list[Request]:
    """Random tokens in the shape of a task."""
    options, context, (least, most), beginning = SHAPES[task]
    rng, size = random.Random(task), int(bench.model.config.vocab_size)

    def words(count: int) -> list[int]:
        return [rng.randrange(3, size) for _ in range(count)]

    shared, found = words(beginning), []
    for _ in range(questions):
        begin = shared + words(max(2, int(rng.gauss(context, context / 4))))
        found += [(None, begin, words(rng.randint(least, most))) for _ in range(options)]
    return found


def language_models(bench: Bench) -> tuple[Callable[[int], Any], Callable[[], Any]]:
    """lm-eval's `hf` for a batch size, and ours."""
    from lm_eval.models.huggingface import HFLM

    from qcompare.evaluate.scoring.lm import PackedLM

    tokenizer = make_tokenizer()
    logging.getLogger("lm_eval").setLevel(logging.ERROR)  # it warns of models that are loaded already

    def theirs(size: int) -> Any:
        return HFLM(
            pretrained=bench.model, tokenizer=tokenizer, batch_size=size, max_length=4096, softmax_dtype="float32"
        )

    return theirs, lambda: PackedLM(bench.model, tokenizer, max_length=4096)


def scoring(bench: Bench) -> Figures:
    """Log-likelihoods against lm-eval's `hf` at its best batch size, per task: seconds of the same requests."""
    theirs, ours = language_models(bench)
    lm = ours()
    found: Figures = {"mode": str(lm.mode), "refused": {str(k): v for k, v in lm.mode_choice.refused.items()}}
    found["row tokens"] = lm.budget.tokens
    peak = bench.figures.get("matmul peak, TFLOP/s", {}).get(bench.dtype)
    rows, questions = [], 4 if bench.small else 256
    sizes = (4,) if bench.small else (16, 64, 128)
    share = 0.5 * bench.left / len(SHAPES)
    for task in SHAPES:
        begun = time.perf_counter()
        asked = requests_of(bench, task, questions)
        own = bench.seconds(partial(lm._loglikelihood_tokens, asked, disable_tqdm=True), 1)
        before = lm.computed
        scores = lm._loglikelihood_tokens(asked, disable_tqdm=True)
        tokens = lm.computed - before
        few = asked[: max(4, len(asked) // 8)]
        timed = {}
        for size in sizes:
            timed[size] = bench.seconds(partial(theirs(size)._loglikelihood_tokens, few, disable_tqdm=True), 1)
            if time.perf_counter() - begun > share / 2:
                break
        best = min(timed, key=lambda size: timed[size])
        model = theirs(best)
        bench.wait()
        started = time.perf_counter()
        expected = model._loglikelihood_tokens(asked, disable_tqdm=True)
        bench.wait()
        hf = time.perf_counter() - started
        differences = [abs(a[0] - b[0]) for a, b in zip(scores, expected, strict=True)]
        flops = 2.0 * tokens * _body(bench.model) + 2.0 * len(asked) * bench.model.lm_head.weight.numel()
        rows.append({
            "task": task, "requests": len(asked), "ours_s": own, "hf_s": hf, "hf_batch": best, "times": hf / own,
            "tokens_per_s": tokens / own, "mfu": flops / own / 1e12 / peak if peak else None,
            "greedy_alike": sum(a[1] is b[1] for a, b in zip(scores, expected, strict=True)) / len(asked),
            "mean_difference": sum(differences) / len(differences), "largest_difference": max(differences),
        })  # fmt: skip
    found["tasks"] = rows
    found["times, all tasks"] = sum(row["hf_s"] for row in rows) / sum(row["ours_s"] for row in rows)
    return found


def _body(model: Any) -> int:
    """Weights that every token is multiplied with."""
    return sum(p.numel() for n, p in model.named_parameters() if p.ndim == 2 and "embed" not in n and "head" not in n)


def attention(bench: Bench) -> Figures:
    """The same requests with one attention call a row, and in buckets: with cuDNN's kernel and without."""
    import torch

    lm = language_models(bench)[1]()
    choice = lm.mode_choice
    score = partial(lm._loglikelihood_tokens, requests_of(bench, "hellaswag", 4 if bench.small else 128), True)
    found: Figures = {"whole rows": choice.whole_rows}
    for name in ("whole rows, s", "buckets, s", "buckets with cuDNN, s", "buckets again, s", "whole rows again, s"):
        torch.backends.cuda.enable_cudnn_sdp("cuDNN" in name)
        lm.mode_choice = replace(choice, whole_rows=choice.whole_rows and "rows" in name)
        found[name] = bench.seconds(score, 1, False)
    torch.backends.cuda.enable_cudnn_sdp(False)
    return found


def profile(bench: Bench) -> Figures:
    """Kernels of a scoring pass by their time on the device."""
    from torch.profiler import ProfilerActivity
    from torch.profiler import profile as profiled

    lm = language_models(bench)[1]()
    asked = requests_of(bench, "hellaswag", 4 if bench.small else 128)
    lm._loglikelihood_tokens(asked, disable_tqdm=True)
    on_gpu = bench.device.startswith("cuda")
    kinds = [ProfilerActivity.CPU, *([ProfilerActivity.CUDA] if on_gpu else [])]
    started = time.perf_counter()
    with profiled(activities=kinds) as found:
        lm._loglikelihood_tokens(asked, disable_tqdm=True)
        bench.wait()
    whole = time.perf_counter() - started
    name = "self_device_time_total" if on_gpu else "self_cpu_time_total"
    place = "DeviceType.CUDA" if on_gpu else "DeviceType.CPU"  # operators would count their kernels again
    events = [event for event in found.key_averages() if str(event.device_type) == place]
    events.sort(key=lambda event: -getattr(event, name))
    total = sum(getattr(event, name) for event in events) / 1e6
    top = [{"ms": getattr(e, name) / 1e3, "count": e.count, "kernel": e.key[:90]} for e in events[:14]]
    return {"wall, s": whole, "kernels, s": total, "busy": total / whole, "top": top}


def rounding(bench: Bench) -> Figures:
    """Values rounded on the device equal those on the CPU, weights and inputs of each scheme."""
    import torch

    from qcompare.quantize.simulate import activation_rounding, weight_rounding

    found: Figures = {}
    for scheme in SCHEMES:
        x = torch.randn(64, 512, generator=torch.Generator().manual_seed(1), dtype=torch.float32)
        x = (x * torch.exp2(torch.arange(64.0)[:, None] / 4 - 8)).to(getattr(torch, bench.dtype))
        for kind, function in (("weights", weight_rounding(scheme)), ("inputs", activation_rounding(scheme))):
            if function:
                there, here = function(x.to(bench.device)).cpu(), function(x.clone())
                found[f"{scheme} {kind}"] = "equal" if torch.equal(there, here) else (
                    f"{float((there != here).float().mean()):.1e} differ"
                )  # fmt: skip
    return found


def simulation(bench: Bench) -> Figures:
    """A forward pass with rounded inputs over one without, and rounding all weights (one block, times blocks)."""
    import torch

    from qcompare.quantize.simulate import SharedInput, activation_rounding, round_inputs, weight_rounding

    model, blocks = bench.model, bench.model.model.layers
    tokens = torch.randint(3, 1000, (1, 64 if bench.small else 8192), device=bench.device)
    rows: list[Figures] = []

    def forward() -> None:
        with torch.inference_mode():
            model.model(input_ids=tokens, use_cache=False)

    plain = bench.seconds(forward)
    for scheme in SCHEMES:
        linear = [layer for block in blocks for layer in block.modules() if isinstance(layer, torch.nn.Linear)]
        shared, handles = SharedInput(), [set(layer._forward_pre_hooks) for layer in linear]
        try:
            own = [module.weight.data for module in blocks[0].modules() if isinstance(module, torch.nn.Linear)]
            weights = bench.seconds(partial(_each, weight_rounding(scheme), own), 1) * len(blocks)
            if inputs := activation_rounding(scheme):
                for layer in linear:
                    round_inputs(layer, shared, inputs)
            its = bench.seconds(forward)
            rows.append({"scheme": scheme, "forward": its / plain, "all weights, s": weights})
        except ImportError as error:
            rows.append({"scheme": scheme, "left out": f"needs {error.name}"})
        finally:
            for layer, before in zip(linear, handles, strict=True):
                for key in set(layer._forward_pre_hooks) - before:
                    del layer._forward_pre_hooks[key]
    return {"BF16 tokens per second": tokens.shape[1] / plain, "schemes": rows}


def _each(act: Callable[[Any], object], values: Sequence[Any]) -> None:
    for value in values:
        act(value)


def kl(bench: Bench) -> Figures:
    """KL divergence: reading the original, comparing, and BF16 against itself in one batch."""
    import torch

    from qcompare.evaluate.divergence import Passages, divergence, reference_states
    from qcompare.evaluate.scoring.head import hidden_states

    rng, count, length = random.Random(0), 2 if bench.small else 16, 64 if bench.small else 512
    text = Passages(tuple(tuple(rng.randrange(3, 1000) for _ in range(length)) for _ in range(count)), "random")
    states: list[Any] = []
    reading = bench.seconds(lambda: states.append(reference_states(bench.model, text)), 1)
    comparing = bench.seconds(lambda: divergence(bench.model, states[-1], text), 1)
    with torch.inference_mode():
        batch = list(hidden_states(bench.model, torch.tensor(text.tokens, device=bench.device)))
    tokens = count * length
    return {
        "reading, tokens per second": tokens / reading,
        "comparing, tokens per second": tokens / comparing,
        "KL to itself": divergence(bench.model, states[-1], text).kl,
        "KL to itself in one batch": divergence(bench.model, states[-1], text, own=batch).kl,
    }


def generation(bench: Bench) -> Figures:
    """Answers side by side, against transformers' own `generate` in one padded batch."""
    import torch

    from qcompare.evaluate.scoring.greedy import Prompt, answer_greedily
    from qcompare.evaluate.scoring.memory import Budget, default_row_tokens
    from qcompare.evaluate.scoring.threads import Workers

    rng, count, new = random.Random(0), 2 if bench.small else 32, 8 if bench.small else 64
    texts = [tuple(rng.randrange(3, 1000) for _ in range(60)) for _ in range(count)]
    prompts = [Prompt(text, new, lambda tokens: False) for text in texts]
    model, budget = bench.model, Budget(default_row_tokens(bench.model))

    def ours() -> None:
        list(answer_greedily(model, prompts, count, budget, Workers.for_model(model)))

    def theirs() -> None:
        ids = torch.tensor(texts, device=bench.device)
        with torch.inference_mode():
            model.generate(input_ids=ids, do_sample=False, min_new_tokens=new, max_new_tokens=new)

    seconds = {name: bench.seconds(work, 1) for name, work in (("ours", ours), ("generate", theirs))}
    found: Figures = {f"{name}, tokens per second": count * new / its for name, its in seconds.items()}
    return found | {"ours, seconds per step": seconds["ours"] / new}


def sensitivity(bench: Bench) -> Figures:
    """Scores of layers by `kl_fisher` and a comparison as `best` makes it, on layers of a few blocks."""
    import torch

    from qcompare.evaluate.divergence import Passages, divergence, reference_states
    from qcompare.quantize.switchable import SwitchableModel
    from qcompare.recipes.scores.responses import responses

    model, blocks = bench.model, min(4, bench.layers)
    names = [
        name for name, layer in model.named_modules()
        if isinstance(layer, torch.nn.Linear) and any(f"layers.{n}." in name for n in range(blocks))
    ]  # fmt: skip
    switchable = SwitchableModel(model, names, ("MXFP4", "MXFP8"))
    rng, length = random.Random(0), 32 if bench.small else 512
    passages = [tuple(rng.randrange(3, 1000) for _ in range(length)) for _ in range(2)]

    def probe(number: int, logits: Any) -> Iterator[Any]:
        p = logits.float().softmax(-1)
        root = p.sqrt() * (torch.randint(0, 2, p.shape, device=p.device) * 2 - 1)
        yield root - p * root.sum(-1, keepdim=True)

    scored = bench.seconds(lambda: list(responses(switchable, passages, probe)), 1)
    text = Passages((passages[0],), "random")
    states = reference_states(model, text)
    configs = [dict.fromkeys(names, scheme) for scheme in ("MXFP4", "MXFP8")]

    def compare() -> None:
        for config in configs:
            switchable.switch(config)
            divergence(model, states, text)

    compared = bench.seconds(compare, 1) / len(configs)
    switchable.switch({})
    for layer in switchable.layers.values():
        layer._forward_pre_hooks.clear()
    return {"blocks": blocks, "scoring, s per passage": scored / 2, "comparing a config, s per passage": compared}


def demo(bench: Bench) -> Figures:
    """The demo model's log-likelihoods on the device against the CPU's, in float32 and in the device's dtype."""
    import torch
    from transformers import AutoModelForCausalLM, AutoTokenizer

    from qcompare.evaluate.scoring.lm import PackedLM

    root = Path(os.environ.get("QCOMPARE_BUNDLE_DIR") or "~/.cache/qcompare-demo").expanduser()
    folder = next((each for each in sorted(root.glob("bundle-*")) if (each / "model").exists()), None)
    if folder is None:
        return {"left out": f"no demo bundle under {root}"}
    tokenizer = AutoTokenizer.from_pretrained(folder / "model", local_files_only=True)
    lines = (folder / "held_out.jsonl").read_text(encoding="utf-8").splitlines()[: 2 if bench.small else 64]
    texts = [tokenizer(json.loads(line)["text"])["input_ids"][: 32 if bench.small else 128] for line in lines]
    asked: list[tuple[tuple[str, str] | None, list[int], list[int]]]
    asked = [(None, ids[: len(ids) // 2], ids[len(ids) // 2 :]) for ids in texts if len(ids) > 8]

    def scores(device: str, dtype: Any) -> Sequence[tuple[float, bool]]:
        model = AutoModelForCausalLM.from_pretrained(folder / "model", dtype=dtype, local_files_only=True)
        found: Sequence[tuple[float, bool]] = PackedLM(model.eval().to(device), tokenizer)._loglikelihood_tokens(
            asked, disable_tqdm=True
        )
        return found

    here = scores("cpu", torch.float32)
    found: Figures = {"texts": len(asked)}
    for dtype in ("float32", *([] if bench.device == "cpu" else [bench.dtype])):
        there = scores(bench.device, getattr(torch, dtype))
        worst = max(abs(a[0] - b[0]) / len(r[2]) for a, b, r in zip(here, there, asked, strict=True))
        found[f"{dtype}: largest difference per token, nats"] = worst
    return found


SECTIONS: dict[str, Callable[[Bench], Figures]] = {
    "rounding": rounding,
    "scoring": scoring,
    "attention": attention,
    "profile": profile,
    "simulation": simulation,
    "kl": kl,
    "generation": generation,
    "sensitivity": sensitivity,
    "demo": demo,
}
