"""Colours, type and spacing. System fonts only: nothing is fetched from elsewhere."""

import gradio as gr

FONT = ("system-ui", "-apple-system", "Segoe UI", "Roboto", "Noto Sans", "sans-serif")
MONO = ("ui-monospace", "SFMono-Regular", "Menlo", "Consolas", "DejaVu Sans Mono", "monospace")

ACCENT = gr.themes.Color(
    name="accent", c50="#eef3fd", c100="#dbe6fb", c200="#b9cef7", c300="#8cadf0", c400="#6490ea", c500="#3f70dd",
    c600="#2b57c4", c700="#23469d", c800="#1d3a80", c900="#182f66", c950="#0f1e42",
)  # fmt: skip
NEUTRAL = gr.themes.Color(
    name="neutral", c50="#f8f9fb", c100="#f1f3f6", c200="#e3e6eb", c300="#cdd2da", c400="#9aa2ae", c500="#6b7380",
    c600="#4d5561", c700="#363d48", c800="#222831", c900="#161b22", c950="#0e1218",
)  # fmt: skip


def make_theme() -> gr.themes.Base:
    """The theme of the app."""
    theme = gr.themes.Base(
        primary_hue=ACCENT,
        secondary_hue=ACCENT,
        neutral_hue=NEUTRAL,
        text_size=gr.themes.sizes.text_lg,
        spacing_size=gr.themes.sizes.spacing_md,
        radius_size=gr.themes.sizes.radius_lg,
        font=FONT,
        font_mono=MONO,
    )
    return theme.set(
        body_background_fill="*neutral_50",
        body_background_fill_dark="*neutral_950",
        block_background_fill="white",
        block_background_fill_dark="*neutral_900",
        block_border_width="0px",
        block_shadow="none",
        block_label_text_weight="600",
        block_title_text_weight="600",
        block_title_text_color="*neutral_800",
        block_title_text_color_dark="*neutral_100",
        body_text_color_subdued="#5b6370",
        body_text_color_subdued_dark="*neutral_400",
        input_background_fill="white",
        input_background_fill_dark="*neutral_800",
        input_border_width="1px",
        button_primary_background_fill="*primary_600",
        button_primary_background_fill_hover="*primary_700",
        button_primary_background_fill_dark="*primary_600",
        button_primary_background_fill_hover_dark="*primary_500",
        button_primary_text_color="white",
        slider_color="*primary_600",
        slider_color_dark="*primary_400",
    )
