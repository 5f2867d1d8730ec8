#!/usr/bin/env bash
# Fetch the part of Plotly's script that figures are drawn with (bars, scatters, heatmaps), in the version of our plotly.
set -euo pipefail
cd "$(dirname "$0")/.."
version=$("${PYTHON:-python}" -c "from plotly.offline import get_plotlyjs_version; print(get_plotlyjs_version())")
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
(cd "$folder" && npm pack --silent "plotly.js-cartesian-dist-min@$version" && tar xzf ./*.tgz)
gzip -9 -n -c "$folder"/package/plotly-cartesian.min.js > qcompare/present/templates/plotly.js.gz
