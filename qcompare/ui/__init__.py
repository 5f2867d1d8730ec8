"""The screen: a thin view over the other rooms, one folder per tab. Only this room and `app.py` import gradio."""
