#!/usr/bin/env bash
# Installs qcompare and opens the app; `start.sh --demo` runs the demo study in the terminal instead,
# and any other words are handed to the command line (`start.sh plan study.yaml`).
APT_PACKAGES=()
. "$(dirname "$0")/install.sh" requirements.txt
exec python3 scripts/start.py "$@"
