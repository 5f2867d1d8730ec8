# Sourced by start.sh and test.sh: makes .venv beside the repo's files and installs into it, once per requirements.
# Usage: . scripts/install.sh FILE...
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."

if command -v apt-get >/dev/null && [ "$(id -u)" = 0 ]; then
  missing=()
  python3 -c 'import ensurepip' 2>/dev/null || missing+=(python3-venv)
  command -v g++ >/dev/null || missing+=(g++)   # speeds simulated formats up; without it they run uncompiled
  for package in "${APT_PACKAGES[@]}"; do dpkg -s "$package" >/dev/null 2>&1 || missing+=("$package"); done
  if [ "${#missing[@]}" -gt 0 ]; then
    apt-get update -qq && apt-get install -y -qq --no-install-recommends "${missing[@]}" >/dev/null
  fi
fi

python3 -c 'import sys; sys.exit(sys.version_info < (3, 11))' || { echo "qcompare needs Python 3.11 or newer" >&2; exit 2; }
[ -x .venv/bin/python ] || python3 -m venv .venv
stamp=$(cat "$@" | sha256sum)
if [ "$(cat .venv/installed 2>/dev/null)" != "$stamp" ]; then
  echo "Installing packages into .venv (a few minutes, once) …"
  # all files in one step, torch pinned among them, so that no other package draws another torch
  .venv/bin/python -m pip install --quiet --disable-pip-version-check $(printf -- '-r %s ' "$@")
  echo "$stamp" > .venv/installed
fi
