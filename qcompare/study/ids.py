"""Ids of the studies that are looked at together. An address and a command line write them with commas between."""

StudyIds = tuple[str, ...]

_BETWEEN = ","


def parse_ids(text: str) -> StudyIds:
    """The ids in a text, in order.

    >>> parse_ids("a, b"), parse_ids("")
    (('a', 'b'), ())
    """
    return tuple(name.strip() for name in text.split(_BETWEEN) if name.strip())


def format_ids(ids: StudyIds) -> str:
    """The ids as one text."""
    return _BETWEEN.join(ids)
