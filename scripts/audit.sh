#!/usr/bin/env bash
# Looks all installed versions up in the database of known vulnerabilities (of PyPI; AUDIT_SERVICE=osv: of OSV).
# pip-audit lives in an environment of its own: it is no part of qcompare, and needs the network.
cd "$(dirname "$0")/.."
set -euo pipefail
environment="${AUDIT_DIR:-${XDG_CACHE_HOME:-$HOME/.cache}/qcompare-audit}"
[ -x "$environment/bin/pip-audit" ] || {
  "${PYTHON:-python3}" -m venv "$environment"
  "$environment/bin/python" -m pip install --quiet --disable-pip-version-check "pip-audit==2.10.1"
}
# what is installed, with what our requirements bring along; qcompare itself is on no index
.venv/bin/python -m pip freeze --exclude qcompare --disable-pip-version-check | grep '==' \
  | sed 's/+.*//' > "$environment/installed.txt" # 2.13.0+cpu is looked up as 2.13.0
exec "$environment/bin/pip-audit" --requirement "$environment/installed.txt" --no-deps --disable-pip --strict \
  --vulnerability-service "${AUDIT_SERVICE:-pypi}" "$@"
