"""The screen: a thin view over the other rooms. One module a tab; only this room and `app.py` import gradio."""
