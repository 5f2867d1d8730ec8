"""The login page: `GET login` shows it, `POST login` checks name and password, `POST logout` ends the session."""

from urllib.parse import parse_qs

from anyio.to_thread import run_sync
from starlette.requests import Request
from starlette.responses import HTMLResponse, RedirectResponse, Response
from starlette.routing import Route

from qcompare.ui.pages import page
from qcompare.ui.server.identity import LOGIN_COOKIE, SESSION_SECONDS, Identity, cookie_text
from qcompare.ui.server.roles import has_hugging_face_login
from qcompare.words import gettext, language

FORM_BYTES = 4000


def login_routes(identity: Identity) -> list[Route]:
    """The addresses of logging in and out."""

    async def show(request: Request) -> Response:
        return _page()

    async def log_in(request: Request) -> Response:
        body = await request.body()
        values = parse_qs(body.decode(errors="replace")) if len(body) <= FORM_BYTES else {}
        name, password = (values.get(field, [""])[0] for field in ("name", "password"))
        address = request.client.host if request.client else ""
        token, wait = await run_sync(identity.log_in, name, password, address)
        if not token and wait:
            return _page(gettext("Too many failed logins: try again in {n} seconds.", n=wait), 429)
        if not token:
            return _page(gettext("Name or password is wrong."), 403)
        answer = RedirectResponse("./", 303)
        answer.headers.append("Set-Cookie", cookie_text(LOGIN_COOKIE, token, SESSION_SECONDS, request.scope))
        return answer

    async def log_out(request: Request) -> Response:
        identity.log_out(request.headers)
        answer = RedirectResponse("login", 303)
        answer.headers.append("Set-Cookie", cookie_text(LOGIN_COOKIE, "", 0, request.scope))
        return answer

    return [
        Route("/login", show, methods=["GET"]),
        Route("/login", log_in, methods=["POST"]),
        Route("/logout", log_out, methods=["POST"]),
    ]


def _page(error: str = "", status: int = 200) -> HTMLResponse:
    return HTMLResponse(page("login", error=error, lang=language(), space=has_hugging_face_login()), status)
