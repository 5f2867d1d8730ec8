"""Words of the screen that more than one place shows. Sentence case, verbs on buttons, no jargon without a hint."""

from qcompare.words import gettext_noop

PRODUCT = "qcompare"
PITCH = gettext_noop("Compress a model several ways, ask the same questions, see which one to ship.")

FORMAT_TEXTS: dict[str, str] = {
    "auto_round": gettext_noop("auto-round's own; transformers loads it. MXFP, W2 to W8."),
    "llm_compressor": gettext_noop("compressed-tensors, for vLLM. MXFP, NVFP4, FP8, INT8 and mixes of them."),
    "gguf": gettext_noop("One .gguf file, for llama.cpp. Q2_K to Q8_0 and mixes of them."),
}


NO_STUDY = gettext_noop("No study yet.")

STATUS_WORDS: dict[str, str] = {
    "queued": gettext_noop("waiting"), "running": gettext_noop("running"), "success": gettext_noop("done"),
    "failed": gettext_noop("failed"),
    "cancelled": gettext_noop("cancelled"),
}  # fmt: skip
"""A study's or job's status in plain words."""
