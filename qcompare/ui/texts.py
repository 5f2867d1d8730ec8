"""Words of the screen that more than one place shows. Sentence case, verbs on buttons, no jargon without a hint."""

PRODUCT = "qcompare"
PITCH = "Compress a model in every way, ask the same questions, see which one to ship."

HINTS: dict[str, str] = {
    "bits": "Average bits of a quantized weight, scales not counted; with scales in small print.",
    "size": "All weights as they would be stored, embeddings and output layer at 16 bits.",
    "average": "Mean accuracy over the tasks; in brackets the share of BF16's average.",
    "versus": "Difference of the averages on the same questions, in percentage points, with its 95 % interval. Real: "
    "chance alone would hardly do it, also when several recipes are compared.",
    "kl": "How far the predictions are from the original's on held-out text (Kullback–Leibler divergence per token, "
    "0 is the same), and how often both find the same next word most likely. It shows damage before scores do.",
    "flips": "Below it: questions lost and gained against BF16 (grey: may be chance). Click for the questions.",
    "stderr": "Share of right answers ± standard error.",
}
"""What a column means, shown on hover."""

SCHEME_TITLES: dict[tuple[str, ...], str] = {
    ("MXFP4", "MXFP8"): "MXFP4 + MXFP8\nThe open microscaling formats, 4 and 8 bits.",
    ("MXFP4_RCEIL", "MXFP8_RCEIL"): "MXFP4 + MXFP8, scales rounded up\nAs in the published Llama tables.",
    ("W2A16", "W4A16"): "W2 + W4, groups of 128\nInteger weights only, as in published table 4.",
    ("W2A16G64", "W4A16G64"): "W2 + W4, groups of 64\nFor models that 128 does not fit, as the demo.",
    ("MXFP4", "MXFP6", "MXFP8"): "MXFP4 + MXFP6 + MXFP8\nThree widths to choose from.",
}


def schemes_title(schemes: tuple[str, ...]) -> str:
    """Schemes as a choice: their names, and below a plain sentence."""
    return SCHEME_TITLES.get(schemes, " + ".join(schemes))


NO_STUDY = "No study yet."

STATUS_WORDS: dict[str, str] = {
    "queued": "waiting", "running": "running", "success": "done", "failed": "failed", "cancelled": "cancelled",
}  # fmt: skip
"""A study's or job's status in plain words."""
