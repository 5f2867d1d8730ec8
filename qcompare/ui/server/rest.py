"""REST: `POST /api/v1/studies`, `GET /api/v1/studies/ID[/results|/verdict]`, `POST /api/v1/plan`, and their OpenAPI
page at `/api/v1/docs`. A study is JSON, or the YAML of a study file."""

from collections.abc import Callable
from typing import Any

from anyio.to_thread import run_sync
from pydantic import BaseModel
from pydantic.json_schema import models_json_schema
from starlette.requests import ClientDisconnect, Request
from starlette.responses import HTMLResponse, JSONResponse, Response
from starlette.routing import Route

from qcompare.errors import InvalidStudy, NotFound, QCompareError
from qcompare.study.reading import MAX_STUDY_BYTES, parse_yaml
from qcompare.ui.pages import page
from qcompare.ui.server.roles import NotAllowed
from qcompare.ui.server.tools import Tool, TooMany, call

PREFIX = "/api/v1"
ADDRESSES = {
    "plan": ("POST", "/plan", 200),
    "submit": ("POST", "/studies", 202),
    "status": ("GET", "/studies/{study_id}", 200),
    "results": ("GET", "/studies/{study_id}/results", 200),
    "verdict": ("GET", "/studies/{study_id}/verdict", 200),
}
"""Method, path and the code of a good answer, by the tool."""


def rest_routes(tools: dict[str, Tool]) -> list[Route]:
    """The addresses, to be served beside the page."""

    def document(request: Request) -> Response:
        return JSONResponse(openapi(tools))

    def docs(request: Request) -> Response:
        return HTMLResponse(page("api", tools=tools, addresses=ADDRESSES, prefix=PREFIX))

    routes = [Route(f"{PREFIX}/openapi.json", document), Route(f"{PREFIX}/docs", docs)]
    for name, (method, path, code) in ADDRESSES.items():
        routes.append(Route(PREFIX + path, _endpoint(tools[name], code), methods=[method]))
    return routes


def _endpoint(tool: Tool, code: int) -> Callable[[Request], Any]:
    async def answer(request: Request) -> Response:
        try:
            given: dict[str, object] = {**request.query_params, **request.path_params}
            if request.method == "POST":
                given = {"anyway": given.get("anyway") == "true"} if "anyway" in given else {}
                given["study"] = _read(await request.body())
            found = await run_sync(call, tool, given)
        except (QCompareError, ClientDisconnect) as error:
            return refusal(error)
        return Response(found.model_dump_json(), code, media_type="application/json")

    return answer


def refusal(error: Exception) -> Response:
    """An error as JSON."""
    kinds = {NotAllowed: 403, NotFound: 404, TooMany: 429}
    code = next((code for kind, code in kinds.items() if isinstance(error, kind)), 400)
    return JSONResponse({"error": str(error) or "the request ended early"}, code)


def _read(body: bytes) -> Any:
    if len(body) > MAX_STUDY_BYTES:
        raise InvalidStudy("a study has at most 1 MB")
    try:
        text = body.decode("utf-8")
    except UnicodeDecodeError:
        raise InvalidStudy("the body is neither JSON nor YAML in UTF-8") from None
    return parse_yaml(text, "study")


def openapi(tools: dict[str, Tool]) -> dict[str, Any]:
    """The OpenAPI description of these addresses."""
    answers: list[tuple[type[BaseModel], Any]] = [(tool.answer, "serialization") for tool in tools.values()]
    names, schemas = models_json_schema(answers, ref_template="#/components/schemas/{model}")
    paths: dict[str, Any] = {}
    for name, (method, path, code) in ADDRESSES.items():
        tool = tools[name]
        where = {key: "path" if f"{{{key}}}" in path else "query" for key in tool.inputs if key != "study"}
        operation: dict[str, Any] = {
            "operationId": name,
            "summary": tool.text,
            "parameters": [
                {"name": key, "in": place, "required": place == "path", "schema": tool.inputs[key]}
                for key, place in where.items()
            ],
            "responses": {
                str(code): {
                    "description": "as said",
                    "content": {"application/json": {"schema": names[(tool.answer, "serialization")]}},
                },
                "default": {"description": "an error: one line that says what is wrong and what to do"},
            },
        }
        if method == "POST":
            body = {kind: {"schema": tool.inputs["study"]} for kind in ("application/json", "application/yaml")}
            operation["requestBody"] = {"required": True, "content": body}
        paths.setdefault(PREFIX + path, {})[method.lower()] = operation
    return {
        "openapi": "3.1.0",
        "info": {"title": "qcompare", "version": "1"},
        "paths": paths,
        "components": {"schemas": schemas.get("$defs", {})},
    }
