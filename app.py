"""Open the app: `python app.py`. Also the app file of a Hugging Face Space."""

import sys

from qcompare.errors import QCompareError
from qcompare.settings import Settings
from qcompare.ui.launch import launch

if __name__ == "__main__":
    try:
        launch(Settings())
    except QCompareError as error:
        sys.exit(f"qcompare: {error}")
