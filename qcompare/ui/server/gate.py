"""Middleware in front of everything that the app serves, gradio's addresses too: who asks, and may it pass?

What gradio serves beyond what its page needs (proxying, streams, run history, code generation) is not reachable.
"""

import re
import sys
from collections.abc import MutableMapping
from typing import Any
from urllib.parse import unquote, urlsplit

from anyio.to_thread import run_sync
from starlette.datastructures import Headers, MutableHeaders
from starlette.responses import JSONResponse, PlainTextResponse, RedirectResponse, Response
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from qcompare.settings import Settings
from qcompare.ui.server.bodies import LimitedBody
from qcompare.ui.server.calls import CALLS, JOIN, MalformedCall, check_call, forget_lost_pages
from qcompare.ui.server.identity import Identity, Sender, has_password
from qcompare.ui.server.roles import Right, Visitor, is_loopback, on_space, use_visitor
from qcompare.ui.server.uploads import Uploads
from qcompare.words import gettext, translate

VISITOR = "qcompare.visitor"
"""Key of the scope: who sends this request."""
REFUSED = "qcompare.refused"
"""Key of the scope: the status in place of the 500 with which gradio answers whatever a handler raises."""
UPLOAD, FILE = "/gradio_api/upload", "/gradio_api/file="
MALFORMED_UPLOAD = (TypeError, ValueError, LookupError, AssertionError)
"""What gradio's reader of uploads lets through where a body is no form."""
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
FORWARDED = ("x-forwarded-host", "x-forwarded-proto", "x-forwarded-prefix", "x-gradio-server")
"""Headers of which gradio makes addresses."""
ADDRESS = re.compile(r"(https?://)?[\w.:\[\],/ -]*", re.ASCII)
LONGEST_NAME = 255
"""Bytes of a file's name that systems take."""
RANGE = re.compile(r"(bytes=[0-9]{1,15}-[0-9]{0,15})?")
WEB_PATH = re.compile(r"[a-z][a-z0-9+.-]+:|//|\\\\", re.IGNORECASE)
"""A URL or a share. One letter before the colon is a drive of Windows."""
DRIVE = re.compile(r"[a-z]:[/\\]", re.IGNORECASE)
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
        self.hosts, self.uploads = _hosts(settings), Uploads()
        frames, forms = ("'self' https://huggingface.co", " https://huggingface.co") if on_space() else ("'self'", "")
        self.headers = {**HEADERS, "Content-Security-Policy": POLICY.format(frames=frames, forms=forms)}
        if not on_space():  # a Space is shown inside a frame of the hub
            self.headers["X-Frame-Options"] = "SAMEORIGIN"

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """As ASGI asks."""
        if scope["type"] not in ("http", "websocket"):
            return await self.app(scope, receive, send)
        headers = Headers(scope=scope)
        if has_password(headers):  # takes its time to check, in which the others are served
            who = await run_sync(self.identity.of, scope, headers)
        else:
            who = self.identity.of(scope, headers)
        send = self._with_headers(send, who)
        if refused := self._refusal(scope, headers, who):
            return await refused(scope, receive, send)
        scope[VISITOR] = who.visitor
        with use_visitor(who.visitor):
            await self._pass(scope, headers, receive, send)

    async def _pass(self, scope: Scope, headers: Headers, receive: Receive, send: Send) -> None:
        """Let the app answer, if the body is what its address takes."""
        path = scope["path"].rstrip("/")
        upload = path == UPLOAD
        most = self.settings.upload_mb * 1_000_000 + SLACK_BYTES if upload else BODY_BYTES
        body = LimitedBody(receive, most, headers)
        if body.announced_too_large(headers):
            return await _cut_off(413, most, body, scope, send)
        if path in CALLS and scope["method"] == "POST":
            try:
                blocks = scope["app"].get_blocks()
                check_call(path, await body.read(), blocks.fns, self.uploads.may_name)
                if path == JOIN:
                    forget_lost_pages(blocks._queue)
            except MalformedCall as error:
                if not body.refused:
                    return await JSONResponse({"error": translate(error.message)}, 422)(scope, receive, send)
        answer = ResponseSender(send, scope, body)
        try:
            await self.app(scope, body, self.uploads.checked(answer) if upload else answer)
        except Exception as error:
            if answer.begun or not (body.refused or (upload and isinstance(error, MALFORMED_UPLOAD))):
                raise
        if not answer.begun:
            if body.refused:
                return await _cut_off(body.refused, most, body, scope, send)
            if upload:
                text = gettext("This is not how files are uploaded: one form field 'files' for each.")
                await PlainTextResponse(text, 400)(scope, receive, send)

    def _refusal(self, scope: Scope, headers: Headers, who: Sender) -> Response | None:
        """What is answered in place of the app; None where the request may pass."""
        if any(not ADDRESS.fullmatch(headers.get(name, "")) for name in FORWARDED):
            return PlainTextResponse(gettext("A header of a proxy makes no sense (X-Forwarded)."), 400)
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
        if path.startswith(FILE) and not RANGE.fullmatch(headers.get("range", "")):
            return PlainTextResponse(gettext("Not a range of bytes."), 416)
        if path.startswith(FILE) and not self.uploads.may_read(path.removeprefix(FILE), who.visitor):
            return PlainTextResponse(gettext("Not found."), 404)
        if path.rstrip("/") == UPLOAD and Right.LAUNCH not in who.visitor.rights:
            return PlainTextResponse(gettext("You may not upload files here."), 403)
        return None

    def _own_origin(self, headers: Headers, scope: Scope) -> bool:
        """The page that sends the request is the app's own, or the client is no browser."""
        origin = headers.get("origin")
        if scope.get("method") in ("GET", "HEAD") and headers.get("sec-fetch-mode") == "navigate":
            return True
        if origin is None:
            return headers.get("sec-fetch-site") not in ("cross-site", "same-site")
        try:
            name = urlsplit(origin).netloc
        except ValueError:
            return False
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


class ResponseSender:
    """ASGI's `send` with the right status: gradio answers 500 whatever a handler raises."""

    def __init__(self, send: Send, scope: Scope, body: LimitedBody) -> None:
        self._send, self._scope, self._body = send, scope, body
        self.begun = False
        """The client has got something."""

    async def __call__(self, message: Message) -> None:
        """As ASGI asks. What the app says about a body that was cut off is left out."""
        if self._body.refused and not self.begun:
            return
        if message["type"] == "http.response.start":
            self.begun = True
            if message["status"] == 500:
                message["status"] = self._scope.get(REFUSED, 500)
        await self._send(message)


async def _cut_off(status: int, most: int, body: LimitedBody, scope: Scope, send: Send) -> None:
    """Answer before the body has come in, and close: nothing more of it is read, but for a little."""
    text = _too_large(most) if status == 413 else gettext("The request took too long to come in.")
    content = text.encode()
    headers = [(b"content-type", b"text/plain; charset=utf-8"), (b"connection", b"close"),
               (b"content-length", str(len(content)).encode())]  # fmt: skip
    await send({"type": "http.response.start", "status": status, "headers": headers})
    await send({"type": "http.response.body", "body": content, "more_body": True})
    await body.drain()
    await send({"type": "http.response.body", "body": b"", "more_body": False})


def note_refusal(request: Any, status: int) -> None:
    """The status with which a request is answered whose handler raises."""
    inner = getattr(request, "request", None) or request
    if hasattr(inner, "scope"):
        inner.scope[REFUSED] = status


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
    if path.startswith(FILE) and sys.platform == "win32" and DRIVE.match(path.removeprefix(FILE)):
        path = path.replace("\\", "/")
    if "\0" in path or "\\" in path or "/../" in f"{path}/" or "/../" in f"{unquote(path)}/":
        return False
    if any(len(part.encode(errors="replace")) > LONGEST_NAME for part in path.split("/")):
        return False
    if path.startswith(FILE):
        return not WEB_PATH.match(path.removeprefix(FILE))
    if GRADIO_NAMES.match(path):
        return bool(GRADIO_PATHS.fullmatch(path))
    return True


def _too_large(most: int) -> str:
    return gettext("Too large: at most {n} MB.", n=most // 1_000_000)
