"""What people read, in their language. English texts are written in place and are the keys of gettext's catalogue,
`zh/LC_MESSAGES/qcompare.po`; `scripts/texts.sh` brings it up to date with the sources.

Which language is spoken belongs to the running request (a context variable): a handler of the screen speaks its
visitor's, everything else (terminal, worker, logs) English. Mark a text where it stands:

- `say("{n} of {total} done", n=1, total=2)` gives it in the language spoken now;
- `say_n("{n} question", "{n} questions", n)` with the right plural;
- `later("done")` gives it back as it is, for tables that are built once; `say(table["done"])` where it is shown.

Templates use jinja's i18n extension. Files for programs, a study's records and its name are never translated.
"""

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from contextvars import ContextVar
from functools import cache
from gettext import NullTranslations, translation
from pathlib import Path
from re import compile as pattern

ENGLISH = "en"
LANGUAGES: dict[str, str] = {ENGLISH: "en", "zh": "zh-CN"}
"""Languages, and what a page in them declares."""
FOLDER = Path(__file__).parent
DOMAIN = "qcompare"
SENTENCE_END = pattern(r"(?<=\.) (?=[A-Z(])")

_spoken: ContextVar[str] = ContextVar("language", default=ENGLISH)


def language() -> str:
    """The language spoken now: a key of `LANGUAGES`."""
    return _spoken.get()


@contextmanager
def speaking(name: str) -> Iterator[None]:
    """Speak a language inside a `with` block."""
    before = _spoken.set(name)
    try:
        yield
    finally:
        _spoken.reset(before)


def say(text: str, **values: object) -> str:
    """A text in the language spoken now, its `{placeholders}` filled with values."""
    said = gettext(text)
    return said.format(**values) if values else said


def say_n(one: str, several: str, n: int, **values: object) -> str:
    """The form of a text that fits the number `n`, which fills `{n}`: thousands are set apart."""
    return ngettext(one, several, n).format(n=thousands(n), **values)


def later(text: str) -> str:
    """Mark a text for the catalogue; it is translated where it is shown."""
    return text


def retell(text: str) -> str:
    """A stored English text in the language spoken now, sentence by sentence; what the catalogue lacks stays.

    What a worker wrote down is English: its visitor may come later, and speak another language.
    """
    return " ".join(gettext(sentence) for sentence in SENTENCE_END.split(text))


def thousands(number: int) -> str:
    """A whole number with thin spaces: `32 342`."""
    return f"{number:,}".replace(",", "\u202f")


def gettext(text: str) -> str:
    """As gettext's own, in the language spoken now: for templates."""
    return _catalogue(language()).gettext(text) if text else ""


def ngettext(one: str, several: str, n: int) -> str:
    """As gettext's own, in the language spoken now: for templates."""
    return _catalogue(language()).ngettext(one, several, n)


@cache
def _catalogue(name: str) -> NullTranslations:
    return translation(DOMAIN, FOLDER, [name], fallback=name == ENGLISH)


def preferred(asked: str | None, accepted: str) -> str:
    """The language to speak with a visitor.

    Args:
        asked: what the address names (`?lang=zh`); something unknown counts for nothing.
        accepted: the browser's `Accept-Language`, e.g. `zh-CN,zh;q=0.9,en;q=0.8`.

    >>> preferred(None, "fr, zh-TW;q=0.9, en;q=0.8"), preferred("en", "zh-CN"), preferred("xx", "")
    ('zh', 'en', 'en')
    """
    wanted = [asked or "", *sorted(_weighed(accepted), key=_weighed(accepted).__getitem__, reverse=True)]
    known = (name.partition("-")[0].lower() for name in wanted)
    return next((name for name in known if name in LANGUAGES), ENGLISH)


def _weighed(accepted: str) -> Mapping[str, float]:
    weights = {}
    for part in accepted.split(","):
        name, _, quality = part.strip().partition(";q=")
        try:
            weights[name.strip()] = float(quality or 1)
        except ValueError:
            continue
    return weights
