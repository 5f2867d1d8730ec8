"""The text on which layers are scored."""

import json
from pathlib import Path

from qcompare.errors import InvalidStudy
from qcompare.study.spec import Calibration

LOCAL_ENDINGS = (".jsonl", ".json")


def calibration_text(calibration: Calibration, bundled: Path | None) -> tuple[str | None, str]:
    """What to hand auto-round as `dataset` (None is its own default), and its name in words.

    Args:
        calibration: the study's wish; `auto` takes the bundled text where one is given.
        bundled: the demo bundle's text, for models or machines that should use it.

    Raises:
        InvalidStudy: a local file is missing or holds no `text`.
    """
    amount = f"{calibration.num_samples} × {calibration.max_seq_length} tokens"
    if calibration.dataset == "auto":
        if bundled is None:
            return None, f"auto-round's default text (pile-10k), {amount}"
        return str(bundled), f"CoQA stories of the demo bundle, {amount}"
    if calibration.dataset.endswith(LOCAL_ENDINGS):
        return str(_checked(Path(calibration.dataset).expanduser())), f"{calibration.dataset}, {amount}"
    return calibration.dataset, f"{calibration.dataset}, {amount}"


def _checked(path: Path) -> Path:
    try:
        with path.open(encoding="utf-8") as file:
            first = file.readline() if path.suffix == ".jsonl" else file.read()
        values = json.loads(first)
    except OSError as error:
        raise InvalidStudy(f"calibration text {path} cannot be read ({error.strerror}): give a .jsonl file") from None
    except ValueError:
        raise InvalidStudy(f'calibration text {path} is not JSON: give lines such as {{"text": "…"}}') from None
    row = values[0] if isinstance(values, list) and values else values
    if not isinstance(row, dict) or not isinstance(row.get("text"), str):
        raise InvalidStudy(f"calibration text {path} has no field 'text' in its first row")
    return path.resolve()
