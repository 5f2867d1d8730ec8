"""How numbers are written, the same on screen and in the terminal. What is missing is a dash, never a zero."""

from datetime import datetime

from qcompare.study.result import TaskScore
from qcompare.words import gettext, gettext_noop, ngettext

MISSING = "–"
MINUS = "−"


def score(value: float | None) -> str:
    """A share of right answers, 0 to 1, with the tables' four digits.

    >>> score(0.66264), score(None)
    ('0.6626', '–')
    """
    return MISSING if value is None else f"{value:.4f}"


def percent(value: float | None) -> str:
    """A percentage with the tables' one digit; exactly 100 is written without it, as they do.

    >>> percent(93.64), percent(100.0)
    ('93.6%', '100%')
    """
    if value is None:
        return MISSING
    return "100%" if value == 100 else f"{value:.1f}%"


def metric(found: TaskScore | None) -> str:
    """A task's value: an accuracy as `score`, others with five digits, and the direction in which they are better."""
    if found is None or found.value is None or found.averaged:
        return score(found.value if found else None)
    return f"{_five_digits(found.value)} {'↑' if found.higher_is_better else '↓'}"


def metric_error(found: TaskScore) -> str:
    """Its standard error."""
    return score(found.stderr) if found.averaged or found.stderr is None else f"{found.stderr:.2g}"


def change(difference: float) -> str:
    """A difference of a metric in its own units, with its sign."""
    text = _five_digits(abs(difference))
    return text if float(text) == 0 else (MINUS if difference < 0 else "+") + text


def _five_digits(value: float) -> str:
    return f"{value:.0f}" if abs(value) >= 10_000 else f"{value:#.5g}".rstrip(".")


def score_with_percent(value: float | None, of_bf16: float | None) -> str:
    """The published tables' cell: `0.6626 (93.6%)`."""
    return score(value) if of_bf16 is None else f"{score(value)} ({percent(of_bf16)})"


def score_with_error(value: float | None, stderr: float | None) -> str:
    """A score and its standard error: `0.6626 ± 0.0121`."""
    return score(value) if value is None or stderr is None else f"{score(value)} ± {score(stderr)}"


def points(share: float) -> str:
    """A difference of two shares in percentage points, with its sign.

    >>> points(-0.0219), points(0.004), points(0.0)
    ('−2.2', '+0.4', '0.0')
    """
    text = f"{abs(share) * 100:.1f}"
    if float(text) == 0:
        return text
    return (MINUS if share < 0 else "+") + text


def probability(p: float | None) -> str:
    """A p-value with two digits, never a zero.

    >>> probability(0.0321), probability(0.00002)
    ('0.032', '< 0.001')
    """
    if p is None:
        return MISSING
    return "< 0.001" if p < 0.001 else f"{p:.2g}"


def equals(p: float) -> str:
    """A p-value after the letter p: `= 0.032`, `< 0.001`."""
    text = probability(p)
    return text if text.startswith("<") else f"= {text}"


def named(name: str, value: str) -> str:
    """A value after its name, with the colon of the language: `BF16: 0.5712 ± 0.0121`."""
    return gettext("{name}: {value}", name=name, value=value)


def questions(number: int) -> str:
    """A number of questions in words: `1 question`, `32 342 questions`."""
    return ngettext("{n} question", "{n} questions", number)


def day(moment: float) -> str:
    """A moment in seconds since 1970, to the minute, the same in every language: `2026-11-21 06:39`."""
    return f"{datetime.fromtimestamp(moment):%Y-%m-%d %H:%M}"


def bits(value: float | None) -> str:
    """Average bits with two digits, whole numbers of 16 and more without."""
    if value is None:
        return MISSING
    return f"{value:.0f}" if value >= 16 else f"{value:.2f}"


def divergence(nats: float | None) -> str:
    """A KL divergence: `0.734`."""
    return MISSING if nats is None else f"{nats:.3f}"


def logprob(nats: float | None) -> str:
    """A log-likelihood in nats.

    >>> logprob(-12.3456), logprob(None)
    ('−12.35', '–')
    """
    return MISSING if nats is None else f"{nats:.2f}".replace("-", MINUS)


def size(num_bytes: float | None) -> str:
    """Bytes in decimal units, three digits: `183 MB`, `1.24 GB`.

    >>> size(183_000_000), size(1_240_000_000), size(950)
    ('183 MB', '1.24 GB', '950 B')
    """
    if num_bytes is None:
        return MISSING
    value = float(num_bytes)
    for unit in ("B", "kB", "MB", "GB"):
        if value < 999.5:
            return f"{value:.3g} {unit}"
        value /= 1000
    return f"{value:.3g} TB" if value < 999.5 else f"{value:.0f} TB"


def count(number: float) -> str:
    """A number of things: `135 M`, `8.03 B`, `742`.

    >>> count(134_515_008), count(742)
    ('135 M', '742')
    """
    for unit in ("", " k", " M", " B"):
        if number < 999.5:
            return f"{number:.3g}{unit}"
        number /= 1000
    return f"{number:.3g} T"


def rate(value: float | None) -> str:
    """Tokens per second, three digits.

    >>> rate(1234.5), rate(8.126), rate(None)
    ('1234', '8.13', '–')
    """
    return MISSING if value is None else f"{value:.0f}" if value >= 100 else f"{value:.3g}"


def latency(seconds: float | None) -> str:
    """A time that is waited for: `0.35 s`, `12 ms`."""
    if seconds is None:
        return MISSING
    return f"{seconds:.2f} s" if seconds >= 0.1 else f"{1000 * seconds:.0f} ms"


def clock(seconds: float | None) -> str:
    """A running time of constant width: `0:07`, `12:30`, `1:02:03`."""
    if seconds is None:
        return MISSING
    hours, rest = divmod(int(max(seconds, 0)), 3600)
    minutes, left = divmod(rest, 60)
    return f"{hours}:{minutes:02}:{left:02}" if hours else f"{minutes}:{left:02}"


def about(seconds: float) -> str:
    """An estimated duration, no more exact than it is: `about 40 s`, `about 6 min`, `about 2.5 h`.

    >>> about(37), about(360), about(9000)
    ('about 40 s', 'about 6 min', 'about 2.5 h')
    """
    return gettext("about {time}", time=duration(seconds))


def duration(seconds: float) -> str:
    """The same without the word: `6 min`."""
    if seconds < 55:
        return gettext("{n} s", n=_in_unit(seconds, "s"))
    if seconds < 5400:
        return gettext("{n} min", n=_in_unit(seconds, "min"))
    return gettext("{n} h", n=f"{seconds / 3600:.2g}")


def span(low: float, high: float) -> str:
    """Two durations in the unit of the longer: `3 to 5 min`.

    >>> span(170, 310), span(12, 31), span(4000, 9000)
    ('3 to 5 min', '10 to 30 s', '1.1 to 2.5 h')
    """
    unit = "s" if high < 55 else "min" if high < 5400 else "h"
    ends = [_in_unit(seconds, unit) for seconds in (low, high)]
    number = ends[0] if ends[0] == ends[1] else gettext("{low} to {high}", low=ends[0], high=ends[1])
    return gettext(IN_UNIT[unit], n=number)


IN_UNIT = {"s": gettext_noop("{n} s"), "min": gettext_noop("{n} min"), "h": gettext_noop("{n} h")}


def _in_unit(seconds: float, unit: str) -> str:
    if unit == "h":
        return f"{seconds / 3600:.1f}"
    return str(max(1, round(seconds / 60)) if unit == "min" else max(10, round(seconds / 10) * 10))
