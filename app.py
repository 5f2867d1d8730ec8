"""Open the app: `python app.py`. Also the app file of a Hugging Face Space."""

import sys

from qcompare.errors import QCompareError
from qcompare.settings import Settings
from qcompare.ui.start import start

if __name__ == "__main__":
    try:
        start(Settings.read())
    except QCompareError as error:
        sys.exit(f"qcompare: {error}")
