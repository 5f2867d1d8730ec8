"""Plotly's script, and texts compressed for pages that open without a server (gzip, base64; `plots.js` unpacks them).

Plotly's script is the part of it that our figures need (bars, scatters, heatmaps), brought by `scripts/plotly.sh`.
"""

import base64
import gzip
import hashlib
from functools import cache
from pathlib import Path

PLOTLY = Path(__file__).parent / "templates" / "plotly.js.gz"
TRACES = frozenset({"bar", "scatter", "heatmap"})
"""What our figures consist of; another kind needs another part of Plotly."""


def packed(text: str) -> str:
    """A text, compressed, as base 64."""
    return base64.b64encode(gzip.compress(text.encode(), 9, mtime=0)).decode()


@cache
def packed_plotly() -> str:
    """Plotly's script, as `packed`."""
    return base64.b64encode(PLOTLY.read_bytes()).decode()


@cache
def plotly_version() -> str:
    """Another one for another script: browsers may keep what they have loaded for a version."""
    return hashlib.sha256(PLOTLY.read_bytes()).hexdigest()[:12]
