"""The settings in which studies differ, as HTML and as lines for a terminal."""

from qcompare.compare.settings_diff import SettingsDiff
from qcompare.present.html import fragment
from qcompare.present.numbers import MISSING
from qcompare.words import gettext


def settings_diff_html(found: SettingsDiff) -> str:
    """A table: a row for each setting, a column for each study."""
    return fragment("settings_diff", found=found, missing=MISSING)


def settings_diff_lines(found: SettingsDiff) -> list[str]:
    """A paragraph for each setting, with a line for each study."""
    if not found.differences:
        return [gettext("Settings that differ: none.")]
    lines = [gettext("Settings that differ:")]
    for each in found.differences:
        lines.append(f"  {each.name}")
        lines += [
            f"    {study.id}  {MISSING if value is None else value}"
            for study, value in zip(found.studies, each.values, strict=True)
        ]
    return lines
