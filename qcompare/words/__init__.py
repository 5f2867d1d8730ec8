"""Texts for people, in their language. English texts stand in the sources and are the keys of gettext's catalogue,
`zh/LC_MESSAGES/qcompare.po`; `scripts/texts.sh` brings it up to date with the sources.

The rooms below the screen know no language: they raise errors and return `Message`s, an English template and its
values. `present`, `ui` and `cli` translate where they show something. Which language that is belongs to the running
request (a context variable): handlers of the screen use their visitor's, everything else English.

- `gettext("{n} of {total} done", n=1, total=2)` translates now;
- `ngettext("{n} question", "{n} questions", n)` likewise, with the right plural;
- `Message("{n} of {total} done", {"n": 1, "total": 2})` is translated later, by `translate`;
- `gettext_noop("done")` marks a text in a table; `gettext(table["done"])` translates it.

Templates use jinja's i18n extension. Files for programs, a study's records and its name are never translated.
"""

from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from contextvars import ContextVar
from dataclasses import dataclass, field
from functools import cache
from gettext import NullTranslations, translation
from importlib.metadata import entry_points
from pathlib import Path

ENGLISH = "en"
FOLDER = Path(__file__).parent
DOMAIN = "qcompare"
ADDED = {entry.name: entry for entry in entry_points(group="qcompare.languages")}
"""Languages of other packages: name → entry point of a folder that holds `NAME/LC_MESSAGES/qcompare.mo`."""
LANGUAGES: dict[str, str] = {name: name for name in ADDED} | {ENGLISH: "en", "zh": "zh-CN"}
"""Languages, and what a page in them declares. One more of ours is a folder here and its name in this table."""

_current: ContextVar[str] = ContextVar("language", default=ENGLISH)


@dataclass(frozen=True)
class Message:
    """A text to be translated where it is shown; `str` gives it in English."""

    template: str
    values: Mapping[str, object] = field(default_factory=dict)
    """Of the template's `{placeholders}`; a value may be a message too, or a tuple of them, to be listed."""

    def __str__(self) -> str:
        with use_language(ENGLISH):
            return translate(self)

    def __bool__(self) -> bool:
        """Whether it says anything."""
        return bool(self.template)


def language() -> str:
    """The current language: a key of `LANGUAGES`."""
    return _current.get()


@contextmanager
def use_language(name: str) -> Iterator[None]:
    """Translate into a language inside a `with` block."""
    before = _current.set(name)
    try:
        yield
    finally:
        _current.reset(before)


def gettext(text: str, /, **values: object) -> str:
    """A text in the current language, its `{placeholders}` filled with values."""
    found = lookup(text)
    return found.format(**{name: _shown(value) for name, value in values.items()}) if values else found


def ngettext(one: str, several: str, n: int, /, **values: object) -> str:
    """The form of a text that fits the number `n`, which fills `{n}` with its thousands set apart."""
    return lookup_plural(one, several, n).format(n=thousands(n), **values)


def gettext_noop(text: str) -> str:
    """Mark a text for the catalogue; it is translated where it is shown."""
    return text


def translate(message: Message | str) -> str:
    """A message in the current language, the messages among its values too; a plain text is looked up as it is."""
    if isinstance(message, str):
        return lookup(message)
    return gettext(message.template, **message.values)


def joined(parts: Iterable[Message | str]) -> Message:
    """One message of several, with commas between; empty when there are none."""
    found = tuple(parts)
    return Message(_ALL, {"parts": found}) if found else NOTHING


_ALL = "{parts}"
_EMPTY = ""
NOTHING = Message(_EMPTY)
"""A message that says nothing; it is false."""


def _shown(value: object) -> object:
    if isinstance(value, tuple):
        return gettext(", ").join(str(_shown(part)) for part in value)
    return translate(value) if isinstance(value, Message) else value


def verbatim(text: str) -> Message:
    """A message that is the same in every language: what another program said, a path, a number."""
    return Message(_VERBATIM, {"text": text})


_VERBATIM = "{text}"


FOUR_DIGITS_TOGETHER = ("zh",)
"""Languages that set thousands apart only in numbers of five digits and more."""


def thousands(number: int) -> str:
    """A whole number with thin spaces, as the current language has them: `32 342`, `2 000` (Chinese: `2000`)."""
    together = language() in FOUR_DIGITS_TOGETHER and abs(number) < 10_000
    return str(number) if together else f"{number:,}".replace(",", "\u202f")


def lookup(text: str) -> str:
    """The catalogue's text, its placeholders not filled; for templates."""
    return _catalogue(language()).gettext(text) if text else ""


def lookup_plural(one: str, several: str, n: int) -> str:
    """The catalogue's text for a number, its placeholders not filled; for templates."""
    return _catalogue(language()).ngettext(one, several, n)


@cache
def _catalogue(name: str) -> NullTranslations:
    folder = ADDED[name].load() if name in ADDED else FOLDER
    return translation(DOMAIN, folder, [name], fallback=name == ENGLISH)


def preferred(asked: str | None, accepted: str) -> str:
    """The language to use for a visitor.

    Args:
        asked: what the address names (`?lang=zh`); something unknown is ignored.
        accepted: the browser's `Accept-Language`, e.g. `zh-CN,zh;q=0.9,en;q=0.8`.

    >>> preferred(None, "fr, zh-TW;q=0.9, en;q=0.8"), preferred("en", "zh-CN"), preferred("xx", "")
    ('zh', 'en', 'en')
    """
    weights = _weighted(accepted)
    wanted = [asked or "", *sorted(weights, key=weights.__getitem__, reverse=True)]
    known = (name.partition("-")[0].lower() for name in wanted)
    return next((name for name in known if name in LANGUAGES), ENGLISH)


def _weighted(accepted: str) -> Mapping[str, float]:
    weights = {}
    for part in accepted.split(","):
        name, _, quality = part.strip().partition(";q=")
        try:
            weights[name.strip()] = float(quality or 1)
        except ValueError:
            continue
    return weights
