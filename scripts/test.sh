#!/usr/bin/env bash
# Installs what the tests need (Chromium too, when root) and runs all checks. Words are handed to pytest.
APT_PACKAGES=(chromium)
. "$(dirname "$0")/install.sh" requirements.txt requirements-dev.txt
.venv/bin/ruff check .
.venv/bin/ruff format --check .
.venv/bin/mypy
# two processes with one compute thread each: most tests wait for a browser, a process or a single core
export OMP_NUM_THREADS="${OMP_NUM_THREADS:-1}"
exec .venv/bin/python -m pytest -n 2 --dist loadfile "$@"
