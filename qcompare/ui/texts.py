"""Words of the screen that more than one place shows. Sentence case, verbs on buttons, no jargon without a hint."""

from qcompare.words import later, say

PRODUCT = "qcompare"
PITCH = later("Compress a model in every way, ask the same questions, see which one to ship.")

SCHEME_TITLES: dict[tuple[str, ...], str] = {
    ("MXFP4", "MXFP8"): later("MXFP4 + MXFP8\nThe open microscaling formats, 4 and 8 bits."),
    ("MXFP4_RCEIL", "MXFP8_RCEIL"): later("MXFP4 + MXFP8, scales rounded up\nAs in the published Llama tables."),
    ("W2A16", "W4A16"): later("W2 + W4, groups of 128\nInteger weights only, as in published table 4."),
    ("W2A16G64", "W4A16G64"): later("W2 + W4, groups of 64\nFor models that 128 does not fit, as the demo."),
    ("MXFP4", "MXFP6", "MXFP8"): later("MXFP4 + MXFP6 + MXFP8\nThree widths to choose from."),
}


FORMAT_TEXTS: dict[str, str] = {
    "auto_round": later("auto-round's own; transformers loads it. MXFP, W2 to W8."),
    "llm_compressor": later("compressed-tensors, for vLLM. MXFP, FP8."),
}


def schemes_title(schemes: tuple[str, ...]) -> str:
    """Schemes as a choice: their names, and below a plain sentence."""
    return say(SCHEME_TITLES[schemes]) if schemes in SCHEME_TITLES else " + ".join(schemes)


NO_STUDY = later("No study yet.")

STATUS_WORDS: dict[str, str] = {
    "queued": later("waiting"), "running": later("running"), "success": later("done"), "failed": later("failed"),
    "cancelled": later("cancelled"),
}  # fmt: skip
"""A study's or job's status in plain words."""
