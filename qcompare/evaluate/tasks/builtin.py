"""The built-in tasks: lm-eval's own definitions, with the demo bundle's files for machines without a hub."""

from qcompare.study.task import Task
from qcompare.words import gettext_noop

LAMBADA = Task(
    name="lambada_openai",
    title="LAMBADA",
    text=gettext_noop("Guess the last word of a passage."),
    questions=5153,
    tokens_per_question=90,
    yaml="lambada/lambada_openai.yaml",
    builder="json",
    bundle_files={"test": "lambada_openai/test.jsonl"},
)
HELLASWAG = Task(
    name="hellaswag",
    title="HellaSwag",
    text=gettext_noop("Pick the sensible continuation of a story."),
    questions=10042,
    tokens_per_question=190,
    yaml="hellaswag/hellaswag.yaml",
    bundle_files={"validation": "hellaswag/validation.arrow"},
)
PIQA = Task(
    name="piqa",
    title="PIQA",
    text=gettext_noop("Pick the way that works in the physical world."),
    questions=1838,
    tokens_per_question=60,
    yaml="piqa/piqa.yaml",
    bundle_files={"validation": "piqa/validation.arrow"},
)
WINOGRANDE = Task(
    name="winogrande",
    title="WinoGrande",
    text=gettext_noop("Work out whom a pronoun means."),
    questions=1267,
    tokens_per_question=45,
    yaml="winogrande/default.yaml",
    bundle_files={"validation": "winogrande/validation.arrow"},
)
MMLU = Task(
    name="mmlu",
    title="MMLU",
    text=gettext_noop("Exam questions from 57 subjects."),
    questions=14042,
    tokens_per_question=120,
    yaml="mmlu/default/*mmlu*.yaml",
    subjects=57,
    bundle_files={"dev": "mmlu/{subject}/dev.arrow", "test": "mmlu/{subject}/test.arrow"},
)
# Its own training data is not in the bundle: the examples before each question are eight others.
GSM8K = Task(
    name="gsm8k",
    title="GSM8K",
    text=gettext_noop("Work out a school maths problem in writing."),
    questions=1319,
    tokens_per_question=400,
    yaml="gsm8k/gsm8k.yaml",
    num_fewshot=5,
    generates=True,
    builder="json",
    bundle_files={"train": "gsm8k/worked_examples.jsonl", "test": "gsm8k/test.jsonl"},
)
