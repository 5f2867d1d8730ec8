#!/usr/bin/env bash
# Installs what the tests need (Chromium too, when root) and runs all checks. Words are handed to pytest.
APT_PACKAGES=(chromium)
. "$(dirname "$0")/install.sh" requirements.txt requirements-dev.txt
.venv/bin/ruff check .
.venv/bin/ruff format --check .
.venv/bin/mypy
exec .venv/bin/python -m pytest "$@"
