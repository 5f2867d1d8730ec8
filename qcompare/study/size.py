"""Sizes as people write them: `5 GB`, `130 MB`."""

import re
from typing import Annotated, Any

from pydantic import BeforeValidator, Field

from qcompare.errors import InvalidValue

UNITS = {"": 1, "KB": 10**3, "MB": 10**6, "GB": 10**9, "TB": 10**12, "KIB": 2**10, "MIB": 2**20, "GIB": 2**30}


def _bytes(value: Any) -> int:
    match = re.fullmatch(r"\s*(\d+(?:\.\d+)?)\s*([A-Za-z]*)\s*", str(value))
    unit = UNITS.get(match[2].upper().removesuffix("B") + "B" if match[2] else "") if match else None
    if match is None or unit is None:
        raise InvalidValue("must be a size such as '5 GB' or '130 MB', got '{value}'", value=str(value)[:40])
    return int(float(match[1]) * unit)


def size_text(num_bytes: int) -> str:
    """Decimal units, as disks are sold: `1.35 GB`."""
    unit, name = next(((UNITS[name], name) for name in ("TB", "GB", "MB") if num_bytes >= UNITS[name]), (1, "bytes"))
    return f"{num_bytes / unit:.4g} {name}"


Size = Annotated[int, BeforeValidator(_bytes), Field(ge=1)]
"""Bytes, from text or a number."""
Sizes = Annotated[tuple[Size, ...], Field(min_length=1)]
