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

python3 scripts/install.py "$@"
