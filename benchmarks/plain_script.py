"""What a user would write without qcompare: auto-round and lm-eval, one recipe after another. The peer of `study`.

    python -m benchmarks.plain_script [--limit 25] [--dtype bfloat16]

The recipes, calibration text, questions and prompts of the demo study; one line of JSON a recipe.
"""

import argparse
import json
import re
import time
from typing import Any

from benchmarks import demo
from qcompare.study.spec import Study

STUDY = Study()
BATCH_SIZE = 8
PLAIN = {"iters": 0, "disable_opt_rtn": True, "disable_model_free": True, "device_map": "cpu", "seed": STUDY.seed}


def quantized(recipe: str, dtype: str) -> tuple[Any, Any]:
    """The model of a recipe, by auto-round's own orchestration."""
    from auto_round import AutoRound, AutoScheme

    model, tokenizer = demo.load(dtype)
    if recipe == "bf16":
        return model, tokenizer
    low, high = STUDY.schemes
    if recipe == "mixed":
        text = {"nsamples": STUDY.calibration.num_samples, "seqlen": STUDY.calibration.max_seq_length}
        scheme = AutoScheme(avg_bits=STUDY.avg_bits[0], options=[low, high], ignore_scale_zp_bits=True, **text)
        rounder = AutoRound(model, tokenizer, scheme=scheme, dataset=str(demo.bundle().calibration), **text, **PLAIN)
    else:
        layer_config = {name: high for name in raised(recipe, model)}
        rounder = AutoRound(model, tokenizer, scheme=low, layer_config=layer_config, **PLAIN)
    return rounder.quantize()[0], tokenizer


def raised(recipe: str, model: Any) -> list[str]:
    """A quarter of the blocks, from one end: 5 bits of 4 and 8."""
    import torch

    blocks = model.config.num_hidden_layers
    quarter = {"uniform": range(0), "tail": range(blocks // 4), "head": range(blocks - blocks // 4, blocks)}[recipe]
    linear = [name for name, module in model.named_modules() if isinstance(module, torch.nn.Linear)]
    return [name for name in linear if (at := re.search(r"layers\.(\d+)\.", name)) and int(at[1]) in quarter]


def answers(model: Any, tokenizer: Any) -> list[str]:
    """Greedy answers to the prompts, one by one."""
    texts = []
    for prompt in STUDY.prompts:
        turn = [{"role": "user", "content": prompt}]
        inputs = tokenizer.apply_chat_template(
            turn, add_generation_prompt=True, return_tensors="pt", return_dict=True
        )
        output = model.generate(**inputs, do_sample=False, max_new_tokens=STUDY.max_new_tokens)
        texts.append(tokenizer.decode(output[0, inputs["input_ids"].shape[1] :], skip_special_tokens=True))
    return texts


def main() -> None:
    from lm_eval import simple_evaluate
    from lm_eval.models.huggingface import HFLM

    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--limit", type=int, default=STUDY.limit, help="questions per task")
    parser.add_argument("--dtype", default="float32", choices=("float32", "bfloat16"))
    args = parser.parse_args()
    demo.quiet()
    tasks = demo.tasks()
    for recipe in [recipe.name for recipe in STUDY.recipes]:
        started = time.perf_counter()
        model, tokenizer = quantized(recipe, args.dtype)
        ready = time.perf_counter()
        found = simple_evaluate(
            model=HFLM(pretrained=model, tokenizer=tokenizer, batch_size=BATCH_SIZE),
            tasks=list(STUDY.tasks),
            limit=args.limit,
            task_manager=tasks.manager,
        )
        answers(model, tokenizer)
        scores = {task: found["results"][task]["acc,none"] for task in STUDY.tasks}
        seconds = {"quantize": ready - started, "all": time.perf_counter() - started}
        print(json.dumps({"recipe": recipe, "seconds": seconds, "acc": scores}), flush=True)


if __name__ == "__main__":
    main()
