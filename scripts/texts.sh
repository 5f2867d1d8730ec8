#!/usr/bin/env bash
# Brings the catalogues of qcompare/words up to date with the texts of the sources, and compiles them for gettext.
cd "$(dirname "$0")/.."
set -euo pipefail
pybabel=("${PYTHON:-.venv/bin/python}" -m babel.messages.frontend)
keywords=(--no-default-keywords -k _ -k gettext -k ngettext:1,2 -k gettext_noop -k Message -k QCompareError -k InvalidStudy -k ModelUnavailable -k NotFound -k JobError -k InvalidValue -k DoesNotFit -k DamagedWheel -k Refused -k Lost -k Unanswerable -k NotAllowed -k TooMany -k _wrong:3)
template=$(mktemp)
trap 'rm "$template"' EXIT
"${pybabel[@]}" -q extract -F pyproject.toml "${keywords[@]}" --add-location=file --sort-output -o "$template" qcompare
"${pybabel[@]}" -q update -i "$template" -d qcompare/words -D qcompare --no-fuzzy-matching --ignore-obsolete --ignore-pot-creation-date -w 118
"${pybabel[@]}" compile -d qcompare/words -D qcompare --statistics
