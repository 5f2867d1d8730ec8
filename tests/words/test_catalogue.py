"""The catalogue holds every text of the sources, and every translation says the same with the same placeholders."""

import ast
import re
from collections.abc import Sequence
from pathlib import Path

import pytest

from qcompare.words import (
    DOMAIN,
    FOLDER,
    LANGUAGES,
    Message,
    gettext,
    language,
    ngettext,
    preferred,
    thousands,
    translate,
    use_language,
)

messages = pytest.importorskip("babel.messages")

ROOT = Path(__file__).parents[2]
TRANSLATED = [name for name in LANGUAGES if name != "en"]
ERRORS = (
    "QCompareError",
    "InvalidStudy",
    "ModelUnavailable",
    "NotFound",
    "InvalidValue",
    "JobError",
    "DoesNotFit",
    "DamagedWheel",
    "Refused",
    "Lost",
    "Unanswerable",
    "NotAllowed",
    "TooMany",
)
NAMES = ("_", "gettext", "gettext_noop", "Message", *ERRORS)
KEYWORDS = {"ngettext": (1, 2), "_wrong": (3,), **dict.fromkeys(NAMES)}
METHODS = [("**.py", "python"), ("**/templates/**.html", "jinja2")]
PLACEHOLDER = re.compile(r"%\(\w+\)s|(?<!\{)\{\w+\}")
"""As templates write them, and as `gettext` takes them."""


def read(name: str, ending: str) -> "messages.Catalog":
    from babel.messages.mofile import read_mo
    from babel.messages.pofile import read_po

    reader = {"po": read_po, "mo": read_mo}[ending]
    with (FOLDER / name / "LC_MESSAGES" / f"{DOMAIN}.{ending}").open("rb") as file:
        return reader(file)


def texts(catalogue: "messages.Catalog") -> dict[str | tuple[str, ...], tuple[str, ...]]:
    """By English text: its translation, in all plural forms."""

    def tied(found: str | Sequence[str]) -> str | tuple[str, ...]:
        return found if isinstance(found, str) else tuple(found)

    found = {tied(each.id): tied(each.string) for each in catalogue if each.id}
    return {key: (forms,) if isinstance(forms, str) else forms for key, forms in found.items()}


def in_sources() -> set[str | tuple[str, ...]]:
    from babel.messages.extract import extract_from_dir

    options = {"**/templates/**.html": {"trimmed": "true"}}
    found = extract_from_dir(ROOT / "qcompare", METHODS, options, keywords=KEYWORDS)
    return {message for _, _, message, _, _ in found if message}


@pytest.mark.parametrize("name", TRANSLATED)
def test_every_text_of_the_sources_is_in_the_catalogue_and_no_other(name: str) -> None:
    assert set(texts(read(name, "po"))) == in_sources(), "run scripts/texts.sh and translate what it added"


def test_no_text_stands_where_the_extractor_does_not_look() -> None:
    inside = [
        f"{path.name}:{call.lineno}"
        for path in (ROOT / "qcompare").rglob("*.py")
        for text in ast.walk(ast.parse(path.read_text()))
        if isinstance(text, ast.JoinedStr)
        for call in ast.walk(text)
        if isinstance(call, ast.Call) and isinstance(call.func, ast.Name) and call.func.id in KEYWORDS
        if any(isinstance(argument, ast.Constant) for argument in call.args)
    ]
    assert inside == [], "take it out of the f-string"


def test_the_message_of_an_error_is_a_template_and_its_values() -> None:
    filled = [
        f"{path.name}:{call.lineno}"
        for path in (ROOT / "qcompare").rglob("*.py")
        for call in ast.walk(ast.parse(path.read_text()))
        if isinstance(call, ast.Call) and isinstance(call.func, ast.Name) and call.func.id in (*ERRORS, "Message")
        if call.args and isinstance(call.args[0], ast.JoinedStr)
    ]
    assert filled == [], "give the template and its values apart"


@pytest.mark.parametrize("name", TRANSLATED)
def test_every_text_is_translated(name: str) -> None:
    assert [key for key, forms in texts(read(name, "po")).items() if not all(forms)] == []


@pytest.mark.parametrize("name", TRANSLATED)
def test_a_translation_has_the_placeholders_of_its_text(name: str) -> None:
    def of(text: str) -> set[str]:
        return set(PLACEHOLDER.findall(text))

    for key, forms in texts(read(name, "po")).items():
        asked = of(key) if isinstance(key, str) else of(key[-1])
        assert all(of(form) == asked for form in forms), key


@pytest.mark.parametrize("name", TRANSLATED)
def test_what_is_compiled_is_what_is_written(name: str) -> None:
    written = {key: forms for key, forms in texts(read(name, "po")).items() if all(forms)}
    assert texts(read(name, "mo")) == written, "run scripts/texts.sh"


def test_a_text_is_said_in_the_language_spoken_and_in_english_otherwise() -> None:
    assert gettext("Progress") == "Progress"
    with use_language("zh"):
        assert (gettext("Progress"), language()) == ("进度", "zh")
    assert language() == "en"


def test_a_message_is_translated_where_it_is_shown_with_the_messages_in_it() -> None:
    inner = Message("no study '{study}': this home has none yet", {"study": "7"})
    outer = Message("{problem}; or run it anyway", {"problem": inner})
    assert str(outer) == translate(outer) == "no study '7': this home has none yet; or run it anyway"
    with use_language("zh"):
        assert str(outer) == "no study '7': this home has none yet; or run it anyway"
        assert translate(outer) == gettext("{problem}; or run it anyway", problem=translate(inner)) != str(outer)


def test_a_number_takes_its_plural_and_keeps_its_digits_apart() -> None:
    forms = [ngettext("{n} question", "{n} questions", n) for n in (1, 2, 32342)]
    assert forms == ["1 question", "2 questions", "32\u202f342 questions"]
    assert ngettext("{n} question", "{n} questions", 2000) == "2\u202f000 questions"
    with use_language("zh"):
        assert [thousands(n) for n in (2000, 9999, 32342)] == ["2000", "9999", "32\u202f342"]


@pytest.mark.parametrize(
    ("asked", "accepted", "expected"),
    [
        (None, "zh-CN,zh;q=0.9,en;q=0.8", "zh"),
        (None, "en-GB,en;q=0.9,zh;q=0.5", "en"),
        (None, "zh;q=0.1, en;q=0.9", "en"),
        ("zh", "en-GB", "zh"),
        ("ZH-hans", "", "zh"),
        ("klingon", "zh-TW", "zh"),
        (None, "fr, *;q=0.1", "en"),
        (None, ";;;q=none,zh", "zh"),
    ],
)
def test_the_address_decides_then_the_browser_then_english(asked: str | None, accepted: str, expected: str) -> None:
    assert preferred(asked, accepted) == expected
