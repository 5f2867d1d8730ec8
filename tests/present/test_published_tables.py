"""The published tables on screen."""

import re

from qcompare.compare.published import PUBLISHED, contradictions
from qcompare.present.published_tables import published_tables_html


def test_every_printed_figure_is_shown_with_its_source_and_what_contradicts_it() -> None:
    html = published_tables_html()
    for table in PUBLISHED:
        assert table.title in html and table.document in html and f"assets/studies/{table.study}" in html
    shown = re.findall(r"<td>(0\.\d{4})", html)
    assert sorted(shown) == sorted(f"{cell.value:.4f}" for table in PUBLISHED for cell in table.cells)
    assert contradictions() and html.count("the values give") == len(contradictions())
    assert "the values give 95.8%" in html
