"""JSON lines (jsonlines.org): one JSON value a line."""


def json_lines(text: str) -> list[str]:
    r"""The lines of a text that hold something, whether they end as on Unix or on Windows.

    Not `str.splitlines`, which also cuts at characters that JSON strings may hold as they are, such as U+2028.

    >>> json_lines('{"text": "a\u2028b"}\r\n\n{"text": "c"}\n')
    ['{"text": "a\u2028b"}', '{"text": "c"}']
    """
    return [line.rstrip("\r") for line in text.split("\n") if line.strip()]
