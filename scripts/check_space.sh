#!/usr/bin/env bash
# Resolves requirements.txt together with what a Hugging Face Space installs beside it; installs nothing.
cd "$(dirname "$0")/.."
set -euo pipefail
gradio=$(sed -n 's/^gradio==//p' requirements.txt)
exec "${PYTHON:-.venv/bin/python}" -m pip install --quiet --dry-run --ignore-installed --disable-pip-version-check \
  -r requirements.txt "gradio[oauth,mcp]==$gradio" uvicorn websockets spaces
