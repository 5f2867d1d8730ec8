"""Tokens in texts that people see: logs, errors, packed files. They are masked with as many stars as they have bytes,
so that offsets into a log stay right."""

import os
import re

MASK = b"*"
MIN_BYTES = 8
"""A shorter value of a variable is no secret, or too short to be told from other text."""
PATTERNS = re.compile(
    rb"""
    (?P<keep> \b(?:hf|ghp|gho|github_pat|glpat|sk|xox[abpr]|AKIA)[-_]? )     # of services, by how theirs begin
    (?P<secret> (?<=hf_)[A-Za-z0-9]{16,} | (?<=sk-)[A-Za-z0-9_-]{16,} | (?<=_)[A-Za-z0-9_]{20,}
              | (?<=glpat-)[A-Za-z0-9_-]{16,} | (?<=AKIA)[A-Z0-9]{16} | (?<=xox.-)[A-Za-z0-9-]{10,} )
    | (?P<keep2> \b(?:Bearer|Basic)\s+ ) (?P<secret2> [A-Za-z0-9._~+/-]{8,}=* )
    | (?P<keep3> \w://[^\s/:@]*: ) (?P<secret3> [^\s/@]+ ) (?=@)             # https://name:password@host
    | (?P<keep4> (?i:api[_-]?key|token|password|secret)["']?\s*[=:]\s*["']? ) (?P<secret4> [A-Za-z0-9._~+/-]{16,} )
    """,
    re.VERBOSE,
)
OF_VARIABLES = re.compile(r"(TOKEN|SECRET|PASSWORD|API_KEY|ACCESS_KEY)$")
"""Names of environment variables whose values are secrets."""


def redact(text: str) -> str:
    """A text without the secrets in it."""
    return redact_bytes(text.encode("utf-8", "surrogatepass")).decode("utf-8", "surrogatepass")


def redact_bytes(data: bytes) -> bytes:
    """The same for bytes; as many as before.

    >>> redact_bytes(b"token hf_abcdefghijklmnopqrstuvwxyz0123 sent")
    b'token hf_****************************** sent'
    """
    for name, value in os.environ.items():
        if OF_VARIABLES.search(name) and len(secret := value.encode()) >= MIN_BYTES:
            data = data.replace(secret, MASK * len(secret))
    return PATTERNS.sub(_masked, data)


def _masked(found: re.Match[bytes]) -> bytes:
    kept = next(value for name, value in found.groupdict().items() if name.startswith("keep") and value is not None)
    return kept + MASK * (len(found[0]) - len(kept))
