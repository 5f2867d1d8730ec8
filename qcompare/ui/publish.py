"""Studies as a site of plain files: the Results, Generations and Explorer pages as they are, without a server.

    index.html               the frame: languages, studies, tabs
    data/STUDY.LANGUAGE.js   what is on the pages of one study in one language; loaded when it is looked at
    plotly.js                Plotly, compressed; loaded after the first view

Scripts, not JSON: a page that is opened as a file may load scripts, but fetch nothing. What they bring is compressed
(gzip, base64): a browser unpacks it, whatever server it comes from.
"""

import json
import shutil
from collections.abc import Sequence
from html import escape
from pathlib import Path
from typing import Any

from qcompare.compare.answers import read_all_answers
from qcompare.compare.asked import with_asked
from qcompare.compare.choice import job_to_ship
from qcompare.compare.next_tokens import read_next_tokens
from qcompare.compare.selection import read_selection
from qcompare.compare.table import compare
from qcompare.errors import InvalidStudy, QCompareError
from qcompare.present import numbers
from qcompare.present.figures import figures, figures_html
from qcompare.present.html import fragment, headline_html, script_json, table_html
from qcompare.present.packed import packed, packed_plotly
from qcompare.present.report import SCRIPTS, STYLE, lost_questions
from qcompare.present.side_by_side import side_by_side
from qcompare.store import Store
from qcompare.study.records import StudyRecord
from qcompare.ui.assets import read_asset
from qcompare.ui.explorer import explorer_html
from qcompare.ui.pages import page
from qcompare.words import ENGLISH, LANGUAGES, gettext, gettext_noop, use_language

OWN_SCRIPTS = ("page.js", "blind.js", "explorer.js", "site.js")
TABS = {
    "results": gettext_noop("Results"),
    "generations": gettext_noop("Generations"),
    "explorer": gettext_noop("Explorer"),
}
LANGUAGE_NAMES = {"en": "English", "zh": "中文"}
CARD = """---
title: {title}
emoji: ⚖️
colorFrom: blue
colorTo: indigo
sdk: static
---
"""
MARK = "data-qcompare-site"
"""In the page of a site that this module wrote."""


def publish(store: Store, study_ids: Sequence[str], out: Path) -> Path:
    """Write the site of some studies; gives its page.

    Args:
        out: a folder that is new, empty, or holds an earlier site, which is replaced.

    Raises:
        NotFound: there is no such study.
        InvalidStudy: one has no result yet, or the folder holds something else.
    """
    studies = list({study.id: study for study in map(store.study, study_ids)}.values())
    if empty := next((study for study in studies if not store.results(study.id)), None):
        raise InvalidStudy("study {study} has no result yet: publish it when a recipe is done", study=empty.id)
    _make_room(out)
    (out / "data").mkdir(parents=True)
    for name in LANGUAGES:
        with use_language(name):
            for study in studies:
                pages = json.dumps({"lang": name, **_pages(store, study)}, ensure_ascii=False)
                _write(out / "data" / f"{study.id}.{name}.js", f'qcompareSite.add("{packed(pages)}");\n')
    _write(out / "plotly.js", f'qcompareSite.plotly("{packed_plotly()}");\n')
    _write(out / "README.md", CARD.format(title=json.dumps(studies[0].name[:100])))
    index = out / "index.html"
    _write(index, _frame(studies))
    return index


def _make_room(out: Path) -> None:
    index = out / "index.html"
    if index.is_file() and MARK in index.read_text(encoding="utf-8", errors="replace")[:500]:
        shutil.rmtree(out / "data", ignore_errors=True)
    elif out.exists() and (not out.is_dir() or any(out.iterdir())):
        raise InvalidStudy("{folder} holds something else: give a new or an empty folder", folder=out)


def _frame(studies: Sequence[StudyRecord]) -> str:
    texts = {}
    for name in LANGUAGES:
        with use_language(name):
            texts[name] = {
                "lang": LANGUAGES[name],
                "tabs": {tab: gettext(title) for tab, title in TABS.items()},
                "study": gettext("Study"),
            }
    site = {
        "studies": [[study.id, f"{study.name} · {numbers.day(study.created)}"] for study in studies],
        "languages": {name: LANGUAGE_NAMES.get(name, name) for name in LANGUAGES},
        "fallback": ENGLISH,
        "texts": texts,
    }
    return page(
        "site",
        title=studies[0].name,
        site=script_json(site),
        style=STYLE.read_text(encoding="utf-8") + read_asset("style.css"),
        script="".join([*map(read_asset, OWN_SCRIPTS), *(path.read_text(encoding="utf-8") for path in SCRIPTS)]),
    )


def _pages(store: Store, study: StudyRecord) -> dict[str, Any]:
    """All that is on the pages of a study, in the current language."""
    selection = read_selection(store, (study.id,))
    comparison = compare(selection, *read_all_answers(store, selection.results))
    try:
        explorer, _ = explorer_html(store, (study.id,))
    except QCompareError as error:
        explorer = f"<p>{escape(str(error))}</p>"
    lost = [(each.title, each.html) for each in lost_questions(store, comparison)]
    answered = with_asked(store, selection, public=True)
    prompts = side_by_side(answered, read_next_tokens(store, answered), job_to_ship(comparison))
    return {
        "id": study.id,
        "results": headline_html(comparison)
        + f'<div class="qc-scores">{table_html(comparison)}</div>'
        + figures_html(figures(store, comparison, selection))
        + page("site_lost", lost=lost, study_file=study.spec.to_yaml()),
        "generations": fragment("generations", prompts=prompts, waiting=()),
        "explorer": explorer,
    }


def _write(path: Path, text: str) -> None:
    path.write_text(text, encoding="utf-8")
