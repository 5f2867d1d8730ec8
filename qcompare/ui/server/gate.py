"""Middleware in front of everything that the app serves, gradio's addresses too: who asks, and may it pass?

What gradio serves beyond what its page needs (proxying, streams, run history, code generation) is not reachable.
"""

import re
import sys
from collections.abc import MutableMapping
from typing import Any
from urllib.parse import unquote, urlsplit

from starlette.datastructures import Headers, MutableHeaders
from starlette.responses import JSONResponse, PlainTextResponse, RedirectResponse, Response
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from qcompare.settings import Settings
from qcompare.ui.server.identity import Identity, Sender
from qcompare.ui.server.roles import Right, Visitor, is_loopback, on_space, use_visitor
from qcompare.ui.server.uploads import SizeLimit, checked_upload
from qcompare.words import gettext

VISITOR = "qcompare.visitor"
"""Key of the scope: who sends this request."""
BODY_BYTES = 5_000_000
"""Of a request that is no upload."""
SLACK_BYTES = 1_000_000
"""Of an upload besides its file."""
OPEN_TO_ALL = re.compile(
    r"/(login(/.*)?|logout|favicon\.ico|robots\.txt|manifest\.json|pwa_icon(/\w+)?|service-worker\.js"
    r"|gradio_api/startup-events)"  # gradio asks itself for it when it starts
)
GRADIO_PATHS = re.compile(
    r"/gradio_api/(info|startup-events|heartbeat/\w+|queue/(join|data)|run/predict|upload|upload_progress|cancel|reset"
    r"|theme\.css|app_id|login_check|user|file=.+|custom_component/.+)/?"
)
GRADIO_NAMES = re.compile(r"/(gradio_api|monitoring|dev|svelte|custom_component|queue|run|proxy=|file|call|stream)\b")
"""Begin what only `GRADIO_PATHS` may open."""
WEB_PATH = re.compile(r"[a-z][a-z0-9+.-]+:|//|\\\\", re.IGNORECASE)
"""A URL or a share. One letter before the colon is a drive of Windows."""
DRIVE = re.compile(r"[a-z]:[/\\]", re.IGNORECASE)
FILES = "/gradio_api/file="
HEADERS = {
    "X-Content-Type-Options": "nosniff",
    "Referrer-Policy": "same-origin",
    "Permissions-Policy": "camera=(), microphone=(), geolocation=(), payment=()",
    "Cross-Origin-Opener-Policy": "same-origin",
}
POLICY = (
    # gradio's page needs inline scripts, and functions made of the texts of its events
    "default-src 'self'; script-src 'self' 'unsafe-inline' 'unsafe-eval' blob:; style-src 'self' 'unsafe-inline'; "
    "img-src 'self' data: blob:; font-src 'self' data:; media-src 'self' data: blob:; "
    "connect-src 'self' data: blob:; worker-src 'self' blob:; object-src 'none'; base-uri 'self'; "
    "form-action 'self'{forms}; frame-ancestors {frames}"
)


class Gate:
    """ASGI middleware."""

    def __init__(self, app: ASGIApp, settings: Settings, identity: Identity) -> None:
        self.app, self.settings, self.identity = app, settings, identity
        self.hosts = _hosts(settings)
        frames, forms = ("'self' https://huggingface.co", " https://huggingface.co") if on_space() else ("'self'", "")
        self.headers = {**HEADERS, "Content-Security-Policy": POLICY.format(frames=frames, forms=forms)}
        if not on_space():  # a Space is shown inside a frame of the hub
            self.headers["X-Frame-Options"] = "SAMEORIGIN"

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """As ASGI asks."""
        if scope["type"] not in ("http", "websocket"):
            return await self.app(scope, receive, send)
        headers = Headers(scope=scope)
        who = self.identity.of(scope, headers)
        refused = self._refusal(scope, headers, who)
        send = self._with_headers(send, who)
        if refused is not None:
            return await refused(scope, receive, send)
        scope[VISITOR] = who.visitor
        upload = scope["path"].rstrip("/") == "/gradio_api/upload"
        most = self.settings.upload_mb * 1_000_000 + SLACK_BYTES if upload else BODY_BYTES
        limit = SizeLimit(receive, most)
        if limit.announced(headers):
            return await PlainTextResponse(_too_large(most), 413)(scope, receive, send)
        with use_visitor(who.visitor):
            if upload:
                send = checked_upload(send)
            await self.app(scope, limit, send)

    def _refusal(self, scope: Scope, headers: Headers, who: Sender) -> Response | None:
        """What is answered in place of the app; None where the request may pass."""
        if self.hosts and _name(headers.get("host", "")) not in self.hosts:
            return PlainTextResponse(gettext("This server is not reached by that name (Host)."), 421)
        if not self._own_origin(headers, scope):
            return PlainTextResponse(gettext("Requests of other sites are refused (Origin)."), 403)
        path, method = unquote(scope["path"]), scope.get("method", "GET")
        if not _may_open(path, scope["path"]):
            return PlainTextResponse(gettext("Not found."), 404)
        if scope["type"] == "websocket":
            return PlainTextResponse(gettext("Not found."), 404)
        if who.wait:
            return PlainTextResponse(
                gettext("Too many failed logins: try again in {n} seconds.", n=who.wait), 429,
                {"Retry-After": str(who.wait)},
            )  # fmt: skip
        if not who.known and not OPEN_TO_ALL.fullmatch(path):
            return self._login(headers, method, path)
        if path.rstrip("/") == "/gradio_api/upload" and Right.LAUNCH not in who.visitor.rights:
            return PlainTextResponse(gettext("You may not upload files here."), 403)
        return None

    def _own_origin(self, headers: Headers, scope: Scope) -> bool:
        """The page that sends the request is the app's own, or the client is no browser."""
        origin = headers.get("origin")
        if scope.get("method") in ("GET", "HEAD") and headers.get("sec-fetch-mode") == "navigate":
            return True
        if origin is None:
            return headers.get("sec-fetch-site") not in ("cross-site", "same-site")
        name = urlsplit(origin).netloc
        return name in {headers.get("host", ""), headers.get("x-forwarded-host", "") if on_space() else ""} - {""}

    def _login(self, headers: Headers, method: str, path: str) -> Response:
        if method == "GET" and "text/html" in headers.get("accept", "") and not path.startswith(("/api/", "/mcp")):
            return RedirectResponse("login", 303)
        answer = JSONResponse({"error": gettext("log in first")}, 401)
        if path.startswith(("/api/", "/mcp")):
            answer.headers["WWW-Authenticate"] = 'Basic realm="qcompare", charset="UTF-8"'
        return answer

    def _with_headers(self, send: Send, who: Sender) -> Send:
        async def with_headers(message: Message) -> None:
            if message["type"] == "http.response.start":
                headers = MutableHeaders(scope=message)
                for name, value in self.headers.items():
                    headers.setdefault(name, value)
                if who.cookie:
                    headers.append("Set-Cookie", who.cookie)
            await send(message)

        return with_headers


def visitor_of(request: Any) -> Visitor | None:
    """Who sent a request, starlette's or gradio's; None where it never passed the gate."""
    inner = getattr(request, "request", None) or request
    scope: MutableMapping[str, Any] = getattr(inner, "scope", {})
    found = scope.get(VISITOR)
    return found if isinstance(found, Visitor) else None


def _hosts(settings: Settings) -> frozenset[str]:
    """Names by which the server may be reached; empty: any, where it listens to other machines without a list."""
    named = {name.strip().lower() for name in settings.allowed_hosts.split(",") if name.strip()}
    if not named and (on_space() or not is_loopback(settings.host)):
        return frozenset()
    return frozenset({*named, "localhost", "127.0.0.1", "::1", settings.host.strip("[]").lower()})


def _name(host: str) -> str:
    """A Host header without its port."""
    if host.startswith("["):
        return host[1:].partition("]")[0].lower()
    return host.rpartition(":")[0].lower() if host.count(":") == 1 else host.lower()


def _may_open(path: str, raw: str) -> bool:
    if path.startswith(FILES) and sys.platform == "win32" and DRIVE.match(path.removeprefix(FILES)):
        path = path.replace("\\", "/")
    if "\0" in path or "\\" in path or "/../" in f"{path}/" or "/../" in f"{unquote(path)}/":
        return False
    if path.startswith(FILES):
        return not WEB_PATH.match(path.removeprefix(FILES))
    if GRADIO_NAMES.match(path):
        return bool(GRADIO_PATHS.fullmatch(path))
    return True


def _too_large(most: int) -> str:
    return gettext("Too large: at most {n} MB.", n=most // 1_000_000)
