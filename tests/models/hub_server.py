"""A hub on this machine that serves one model folder, as far as huggingface_hub asks."""

import hashlib
import json
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs

COMMIT = "0123456789abcdef0123456789abcdef01234567"


def listed(name: str, downloads: int, *tags: str, params: int | None = None) -> dict[str, Any]:
    """A model as the hub lists it when `downloads`, `safetensors` and `tags` are asked for."""
    sizes = {"safetensors": {"parameters": {"BF16": params}, "total": params}} if params else {}
    return {"_id": "621ffdc036468d709f17434d", "id": name, "downloads": downloads, "tags": list(tags), **sizes}


LISTED = (
    listed("org/tiny", 1_200_000, "transformers", "safetensors", "text-generation", params=134_515_008),
    listed("org/tiny-AWQ", 900_000, "safetensors", "text-generation", "awq", "4-bit", params=30_000_000),
    listed("other/large", 800_000, "safetensors", "text-generation"),
    listed("old/pickled", 700_000, "pytorch", "text-generation"),
    listed("quant/tiny-GPTQ", 60_000, "safetensors", "gptq", "base_model:quantized:org/tiny", params=30_000_000),
    listed("quant/tiny-GGUF", 50_000, "gguf", "base_model:quantized:org/tiny"),
    listed("quant/tiny-MLX", 40_000, "mlx", "base_model:quantized:org/tiny"),
    listed("quant/large-GGUF", 30_000, "gguf", "base_model:quantized:other/large"),
)
"""What the search knows, most downloaded first."""


@contextmanager
def serve_hub(repo: str, folder: Path, gated: bool = False) -> Iterator[str]:
    """Serve `folder` as the only model, `repo`, at one commit; yields the endpoint."""

    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def log_message(self, *args: Any) -> None:
            pass

        def do_HEAD(self) -> None:
            self._respond(with_body=False)

        def do_GET(self) -> None:
            self._respond(with_body=True)

        def _respond(self, with_body: bool) -> None:
            path = self.path.partition("?")[0].strip("/")
            if not path:
                return self._send(200, b"hub", {}, with_body)
            if path == "api/models":
                return self._search(with_body)
            if repo not in path:
                return self._send(404, b"{}", {"X-Error-Code": "RepoNotFound"}, with_body)
            if gated:
                return self._send(403, b"{}", {"X-Error-Code": "GatedRepo"}, with_body)
            if path.startswith(f"api/models/{repo}"):
                return self._api(path, with_body)
            revision, _, name = path.partition("/resolve/")[2].partition("/")
            file = folder / name
            if revision not in ("main", COMMIT):
                return self._send(404, b"{}", {"X-Error-Code": "RevisionNotFound"}, with_body)
            if not file.is_file():
                return self._send(404, b"{}", {"X-Error-Code": "EntryNotFound"}, with_body)
            self._file(file.read_bytes(), with_body)

        def _api(self, path: str, with_body: bool) -> None:
            files = [p for p in sorted(folder.iterdir()) if p.is_file()]
            if "/revision/" in path and path.rpartition("/")[2] not in ("main", COMMIT):
                return self._send(404, b"{}", {"X-Error-Code": "RevisionNotFound"}, with_body)
            answer: Any = {
                "id": repo,
                "modelId": repo,
                "sha": COMMIT,
                "private": False,
                "gated": False,
                "tags": [],
                "cardData": {"license": "mit"},
                "siblings": [{"rfilename": p.name, "size": p.stat().st_size} for p in files],
            }
            if "/tree/" in path:
                answer = [
                    {"type": "file", "path": p.name, "size": p.stat().st_size, "oid": _etag(p.read_bytes())}
                    for p in files
                ]
            self._send(200, json.dumps(answer).encode(), {"Content-Type": "application/json"}, with_body)

        def _search(self, with_body: bool) -> None:
            """As the hub: names that hold the text, with all the tags, up to a limit."""
            asked = parse_qs(self.path.partition("?")[2])
            found = [
                model
                for model in LISTED
                if asked.get("search", [""])[0].lower() in model["id"].lower()
                and set(asked.get("filter", [])) <= set(model["tags"])
            ]
            body = json.dumps(found[: int(asked["limit"][0])]).encode()
            self._send(200, body, {"Content-Type": "application/json"}, with_body)

        def _file(self, body: bytes, with_body: bool) -> None:
            headers = {"X-Repo-Commit": COMMIT, "ETag": f'"{_etag(body)}"', "Accept-Ranges": "bytes"}
            status, asked = 200, self.headers.get("Range", "")
            if asked.startswith("bytes="):
                start, _, end = asked.removeprefix("bytes=").partition("-")
                headers["Content-Range"] = f"bytes {start}-{end or len(body) - 1}/{len(body)}"
                status, body = 206, body[int(start) : int(end) + 1 if end else None]
            self._send(status, body, headers, with_body)

        def _send(self, status: int, body: bytes, headers: dict[str, str], with_body: bool) -> None:
            self.send_response(status)
            for name, value in (headers | {"Content-Length": str(len(body))}).items():
                self.send_header(name, value)
            self.end_headers()
            if with_body:
                self.wfile.write(body)

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    server.daemon_threads = True
    thread = threading.Thread(target=server.serve_forever, daemon=True)
    thread.start()
    try:
        yield f"http://127.0.0.1:{server.server_port}"
    finally:
        server.shutdown()
        server.server_close()
        thread.join()


def _etag(body: bytes) -> str:
    return hashlib.sha1(body).hexdigest()
