"""Rows of the cache as plain files below a folder or an fsspec URL: where disks are shared, SQLite must not be.

Each `put` writes one new file, which never changes, so that any number of machines can write at once and a killed one
costs what it had not put yet. A row has a checksum; one that was cut short is computed again.
"""

import secrets
import struct
import zlib
from collections.abc import Iterable, Iterator, Mapping

HEAD = struct.Struct("<III")
"""Bytes of the key, bytes of the value, checksum of both."""
ENDING = ".rows"


class RowFiles:
    """Small values by key, as `cache.Rows`. What others put after the first `get` is not seen."""

    def __init__(self, url: str) -> None:
        from fsspec.core import url_to_fs  # which the app does without

        self._fs, self._path = url_to_fs(url)
        self._values: dict[bytes, bytes] | None = None

    def get(self, keys: Iterable[bytes]) -> dict[bytes, bytes]:
        """Those that are kept and whole."""
        if self._values is None:
            self._values = dict(row for data in self._files() for row in _rows(data))
        return {key: self._values[key] for key in keys if key in self._values}

    def put(self, values: Mapping[bytes, bytes]) -> None:
        """Keep values, all or none."""
        self._fs.makedirs(self._path, exist_ok=True)
        data = b"".join(
            HEAD.pack(len(key), len(value), zlib.crc32(key + value)) + key + value for key, value in values.items()
        )
        self._fs.pipe_file(f"{self._path}/{secrets.token_hex(8)}{ENDING}", data)
        if self._values is not None:
            self._values.update(values)

    def _files(self) -> Iterator[bytes]:
        try:
            names = sorted(self._fs.ls(self._path, detail=False))
        except FileNotFoundError:
            return
        for name in names:
            if str(name).endswith(ENDING):
                yield self._fs.cat_file(name)


def _rows(data: bytes) -> Iterator[tuple[bytes, bytes]]:
    place = 0
    while place + HEAD.size <= len(data):
        key_size, value_size, checksum = HEAD.unpack_from(data, place)
        middle = place + HEAD.size + key_size
        key, value = data[place + HEAD.size : middle], data[middle : middle + value_size]
        place = middle + value_size
        if len(value) == value_size and zlib.crc32(key + value) == checksum:
            yield key, value
