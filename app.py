"""Open the app: `python app.py`. Also the app file of a Hugging Face Space."""

from qcompare.settings import Settings
from qcompare.ui.launch import launch

if __name__ == "__main__":
    launch(Settings.read())
