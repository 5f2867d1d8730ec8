"""Words of the screen that more than one place shows. Sentence case, verbs on buttons, no jargon without a hint."""

from qcompare.words import later

PRODUCT = "qcompare"
PITCH = "Compress a model in every way, ask the same questions, see which one to ship."

SCHEME_TITLES: dict[tuple[str, ...], str] = {
    ("MXFP4", "MXFP8"): "MXFP4 + MXFP8\nThe open microscaling formats, 4 and 8 bits.",
    ("MXFP4_RCEIL", "MXFP8_RCEIL"): "MXFP4 + MXFP8, scales rounded up\nAs in the published Llama tables.",
    ("W2A16", "W4A16"): "W2 + W4, groups of 128\nInteger weights only, as in published table 4.",
    ("W2A16G64", "W4A16G64"): "W2 + W4, groups of 64\nFor models that 128 does not fit, as the demo.",
    ("MXFP4", "MXFP6", "MXFP8"): "MXFP4 + MXFP6 + MXFP8\nThree widths to choose from.",
}


FORMAT_CHOICES: list[tuple[str, str]] = [
    ("auto_round\nauto-round's own; transformers loads it. MXFP, W2 to W8.", "auto_round"),
    ("llm_compressor\ncompressed-tensors, for vLLM. MXFP, FP8.", "llm_compressor"),
]


def schemes_title(schemes: tuple[str, ...]) -> str:
    """Schemes as a choice: their names, and below a plain sentence."""
    return SCHEME_TITLES.get(schemes, " + ".join(schemes))


NO_STUDY = later("No study yet.")

STATUS_WORDS: dict[str, str] = {
    "queued": "waiting", "running": "running", "success": "done", "failed": "failed", "cancelled": "cancelled",
}  # fmt: skip
"""A study's or job's status in plain words."""
