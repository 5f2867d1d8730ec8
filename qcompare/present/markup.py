"""Text as cells of Markdown and LaTeX tables: nothing in it ends the cell or is taken for markup."""

from collections.abc import Sequence

from qcompare.words import Message

LATEX_SPECIAL = {
    "\\": r"\textbackslash{}", "{": r"\{", "}": r"\}", "%": r"\%", "&": r"\&", "$": r"\$", "#": r"\#", "_": r"\_",
    "~": r"\textasciitilde{}", "^": r"\textasciicircum{}", "−": "$-$", "±": r"$\pm$", "–": "--", "·": r"$\cdot$",
}  # fmt: skip

SIGNS = str.maketrans({"\n": "⏎", "\t": "⇥"})
"""Of white space that cannot be told apart on screen."""
FORMULA = ("=", "+", "-", "@", "\t", "\r")
"""Begin what spreadsheets compute (OWASP, "CSV injection")."""


def one_line(text: str) -> str:
    """Without line breaks."""
    return " ".join(text.split())


def visible(text: str) -> str:
    """With signs in place of white space that decides what a model reads: at the ends, and line breaks anywhere.

    >>> visible(" Paris\\n")
    '␣Paris⏎'
    """
    inside = text.strip(" \t")
    begin = len(text) - len(text.lstrip(" \t")) if inside else len(text)
    ends = text[:begin], inside, text[begin + len(inside) :]
    return "".join(part if part is inside else part.replace(" ", "␣") for part in ends).translate(SIGNS)


def plain_cell(value: object) -> object:
    """A cell of a CSV file: a text that a spreadsheet would take for a formula begins with an apostrophe."""
    text = str(value) if isinstance(value, str | Message) else ""
    return f"'{text}" if text.startswith(FORMULA) else value


def markdown(text: str) -> str:
    """A cell of a Markdown table: one line, and nothing in it is a column border or HTML."""
    return one_line(text).replace("&", "&amp;").replace("<", "&lt;").replace("|", "\\|")


def latex(text: str) -> str:
    """A cell of a LaTeX table."""
    return "".join(LATEX_SPECIAL.get(letter, letter) for letter in one_line(text))


def markdown_table(header: Sequence[str], lines: Sequence[Sequence[str]]) -> str:
    """A table whose first column is text and whose others are figures. Cells are escaped."""
    rule = ["---", *("---:" for _ in header[1:])]
    shown = [[markdown(cell) for cell in line] for line in (header, *lines)]
    return "\n".join(f"| {' | '.join(line)} |" for line in (shown[0], rule, *shown[1:]))


def latex_table(header: Sequence[str], lines: Sequence[Sequence[str]]) -> str:
    """The same as a `tabular` with rules of the booktabs package. Cells are escaped."""
    shown = [" & ".join(map(latex, line)) + r" \\" for line in (header, *lines)]
    begin = rf"\begin{{tabular}}{{l{'r' * (len(header) - 1)}}}"
    return "\n".join([begin, r"\toprule", shown[0], r"\midrule", *shown[1:], r"\bottomrule", r"\end{tabular}"])
