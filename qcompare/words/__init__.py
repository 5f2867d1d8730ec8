"""What people read, in their language. English texts are written in place and are the keys of gettext's catalogue,
`zh/LC_MESSAGES/qcompare.po`; `scripts/texts.sh` brings it up to date with the sources.

Which language is spoken belongs to the running request (a context variable): a handler of the screen speaks its
visitor's, everything else (terminal, worker, logs) English. Mark a text where it stands:

- `say("{n} of {total} done", n=1, total=2)` gives it in the language spoken now;
- `say_n("{n} question", "{n} questions", n)` with the right plural;
- `later("done")` gives it back as it is, for tables that are built once; `say(table["done"])` where it is shown.

Templates use jinja's i18n extension. Files for programs, a study's records and its name are never translated.
"""

from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from contextvars import ContextVar
from functools import cache
from gettext import NullTranslations, translation
from pathlib import Path
from re import DOTALL, Pattern, escape
from re import compile as pattern
from string import Formatter

ENGLISH = "en"
LANGUAGES: dict[str, str] = {ENGLISH: "en", "zh": "zh-CN"}
"""Languages, and what a page in them declares."""
FOLDER = Path(__file__).parent
DOMAIN = "qcompare"
SENTENCE_END = pattern(r"(?<=\.) (?=[A-Z(])")
TELLING_LETTERS = 16
"""Of its own that a text with placeholders must have to be recognized when they are filled."""

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
    """A stored English text in the language spoken now, as a whole or sentence by sentence; what is unknown stays.

    What a worker wrote down is English: its visitor may come later, and speak another language. Texts whose
    `{placeholders}` are already filled are recognized by what stands between them.
    """
    return _retold(text) or " ".join(_retold(sentence) or sentence for sentence in SENTENCE_END.split(text))


def _retold(text: str) -> str | None:
    said = gettext(text)
    if said != text:
        return said
    filled = ((template, shape.fullmatch(text)) for template, shape in _shapes(language()))
    return next((say(template, **found.groupdict()) for template, found in filled if found), None)


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
def _shapes(name: str) -> list[tuple[str, Pattern[str]]]:
    """Texts with placeholders, and what they look like when filled; those that say the most of their own first."""
    texts = (text for text in vars(_catalogue(name)).get("_catalog", {}) if isinstance(text, str))
    parts = {text: list(Formatter().parse(text)) for text in texts if "{" in text}
    own = {text: sum(len(literal) for literal, *_ in pieces) for text, pieces in parts.items()}
    telling = sorted((text for text in parts if own[text] >= TELLING_LETTERS), key=lambda text: -own[text])
    return [(text, _shape(parts[text])) for text in telling]


def _shape(pieces: Iterable[tuple[str, str | None, str | None, str | None]]) -> Pattern[str]:
    seen: set[str] = set()
    shape = ""
    for literal, name, *_ in pieces:
        shape += escape(literal)
        if name:
            shape += f"(?P={name})" if name in seen else f"(?P<{name}>.+)"
            seen.add(name)
    return pattern(shape, DOTALL)


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
