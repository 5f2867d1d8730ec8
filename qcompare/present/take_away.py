"""What can be taken away of a study: the report, its table in several formats, the verdict as a sentence."""

import io
from collections.abc import Callable
from dataclasses import dataclass

from qcompare.compare.table import read_comparison
from qcompare.errors import QCompareError, unknown
from qcompare.present.lm_eval import lm_eval_zip
from qcompare.present.published_layout import LAYOUTS, read_columns
from qcompare.present.render import FORMATS, render
from qcompare.present.report import report
from qcompare.store import Store
from qcompare.study.ids import StudyIds
from qcompare.words import ENGLISH, gettext_noop, language, use_language


@dataclass(frozen=True)
class Kind:
    """A form of file."""

    title: str
    ending: str
    media_type: str
    make: Callable[[Store, StudyIds], bytes]


FOR_PEOPLE = ("md",)
"""Forms in the language of the screen; those for programs and papers are always English."""


def _rendered(format: str) -> Callable[[Store, StudyIds], bytes]:
    def make(store: Store, study_ids: StudyIds) -> bytes:
        with use_language(language() if format in FOR_PEOPLE else ENGLISH):
            return render(read_comparison(store, study_ids), format).encode()

    return make


def _published(format: str) -> Callable[[Store, StudyIds], bytes]:
    def make(store: Store, study_ids: StudyIds) -> bytes:
        with use_language(ENGLISH):
            return LAYOUTS[format](read_columns(store, study_ids)).encode()

    return make


def _report(store: Store, study_ids: StudyIds) -> bytes:
    return report(store, study_ids).encode()


def _parquet(store: Store, study_ids: StudyIds) -> bytes:
    """The lines of the CSV form, with their types."""
    import pandas as pd

    out = io.BytesIO()
    pd.read_csv(io.BytesIO(_rendered("csv")(store, study_ids))).to_parquet(out)
    return out.getvalue()


FILES: dict[str, Kind] = {
    "html": Kind(gettext_noop("Report"), "html", "text/html", _report),
    "md": Kind("Markdown", "md", "text/markdown", _rendered("md")),
    "latex": Kind("LaTeX", "tex", "application/x-tex", _rendered("latex")),
    "published_md": Kind(
        gettext_noop("Markdown, as published"), "published.md", "text/markdown", _published("published_md")
    ),
    "published_latex": Kind(
        gettext_noop("LaTeX, as published"), "published.tex", "application/x-tex", _published("published_latex")
    ),
    "csv": Kind("CSV", "csv", "text/csv", _rendered("csv")),
    "json": Kind("JSON", "json", "application/json", _rendered("json")),
    "lm_eval": Kind(gettext_noop("lm-eval's files"), "lm_eval.zip", "application/zip", lm_eval_zip),
    "parquet": Kind("Parquet", "parquet", "application/vnd.apache.parquet", _parquet),
}


def as_text(store: Store, study_ids: StudyIds, format: str) -> str:
    """A study, or several, in one of the formats that a terminal can print.

    Raises:
        QCompareError: there is no such format, or the studies cannot stand in one table.
        NotFound: there is no such study.
    """
    known = [*FORMATS, *LAYOUTS, "html"]
    if format not in known:
        raise QCompareError(unknown(gettext_noop("format"), format, known))
    if format in LAYOUTS:
        return LAYOUTS[format](read_columns(store, study_ids))
    return report(store, study_ids) if format == "html" else render(read_comparison(store, study_ids), format)
