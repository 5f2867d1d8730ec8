"""Words of the screen that more than one place shows. Sentence case, verbs on buttons, no jargon without a hint."""

from qcompare.words import gettext, gettext_noop

PRODUCT = "qcompare"
PITCH = gettext_noop("Compress a model in every way, ask the same questions, see which one to ship.")

SCHEME_TITLES: dict[tuple[str, ...], str] = {
    ("MXFP4", "MXFP8"): gettext_noop("MXFP4 + MXFP8\nThe open microscaling formats, 4 and 8 bits."),
    ("MXFP4_RCEIL", "MXFP8_RCEIL"): gettext_noop(
        "MXFP4 + MXFP8, scales rounded up\nAs in the published Llama tables."
    ),
    ("W2A16", "W4A16"): gettext_noop("W2 + W4, groups of 128\nInteger weights only, as in published table 4."),
    ("W2A16G64", "W4A16G64"): gettext_noop("W2 + W4, groups of 64\nFor models that 128 does not fit, as the demo."),
    ("MXFP4", "MXFP6", "MXFP8"): gettext_noop("MXFP4 + MXFP6 + MXFP8\nThree widths to choose from."),
}


FORMAT_TEXTS: dict[str, str] = {
    "auto_round": gettext_noop("auto-round's own; transformers loads it. MXFP, W2 to W8."),
    "llm_compressor": gettext_noop("compressed-tensors, for vLLM. MXFP, FP8."),
}


def schemes_title(schemes: tuple[str, ...]) -> str:
    """Schemes as a choice: their names, and below a plain sentence."""
    return gettext(SCHEME_TITLES[schemes]) if schemes in SCHEME_TITLES else " + ".join(schemes)


NO_STUDY = gettext_noop("No study yet.")

STATUS_WORDS: dict[str, str] = {
    "queued": gettext_noop("waiting"), "running": gettext_noop("running"), "success": gettext_noop("done"),
    "failed": gettext_noop("failed"),
    "cancelled": gettext_noop("cancelled"),
}  # fmt: skip
"""A study's or job's status in plain words."""
