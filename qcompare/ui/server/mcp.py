"""The tools for agents: the Model Context Protocol's streamable HTTP at `/mcp`, without sessions or streams.

Source: modelcontextprotocol.io, specification 2025-06-18. Each POST is one JSON-RPC message, answered with JSON.
"""

import json
from typing import Any

import orjson
from anyio.to_thread import run_sync
from starlette.requests import ClientDisconnect, Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Route

from qcompare import __version__
from qcompare.errors import QCompareError
from qcompare.ui.server.tools import Tool, call

VERSIONS = ("2025-06-18", "2025-03-26")
"""Of the protocol, the newest first."""
PARSE, INVALID, NO_METHOD, BAD_PARAMS = -32700, -32600, -32601, -32602


def mcp_routes(tools: dict[str, Tool]) -> list[Route]:
    """The address, to be served beside the page."""

    async def answer(request: Request) -> Response:
        try:
            message = orjson.loads(await request.body())  # no NaN, no half characters
        except (ValueError, ClientDisconnect):
            return _error(None, PARSE, "the body is no JSON", 400)
        if not isinstance(message, dict) or not isinstance(message.get("method"), str):
            return _error(None, INVALID, "expected one JSON-RPC message with a method", 400)
        if "id" not in message:
            return Response(status_code=202)  # a notification
        if not isinstance(message["id"], str | int | float | None):
            return _error(None, INVALID, "id: expected a text or a number", 400)
        return await run_sync(_answer, tools, message)

    return [Route("/mcp", answer, methods=["POST"])]


def _answer(tools: dict[str, Tool], message: dict[str, Any]) -> Response:
    number, given = message["id"], message.get("params") or {}
    if not isinstance(given, dict):
        return _error(number, BAD_PARAMS, "params: expected an object")
    match message["method"]:
        case "initialize":
            asked = given.get("protocolVersion")
            return _result(
                number,
                {
                    "protocolVersion": asked if asked in VERSIONS else VERSIONS[0],
                    "capabilities": {"tools": {}},
                    "serverInfo": {"name": "qcompare", "version": __version__},
                    "instructions": "plan a study, submit it, ask its status now and then, read results and verdict.",
                },
            )
        case "ping":
            return _result(number, {})
        case "tools/list":
            return _result(number, {"tools": [_described(tool) for tool in tools.values()]})
        case "tools/call":
            tool = tools.get(str(given.get("name")))
            if tool is None:
                return _error(number, BAD_PARAMS, f"unknown tool: choose from {', '.join(tools)}")
            return _result(number, _called(tool, given.get("arguments")))
    return _error(number, NO_METHOD, "unknown method")


def _described(tool: Tool) -> dict[str, Any]:
    schema = {"type": "object", "properties": dict(tool.inputs), "required": list(tool.required)}
    return {
        "name": tool.name,
        "description": tool.text,
        "inputSchema": {**schema, "additionalProperties": False},
        "annotations": {"readOnlyHint": tool.name != "submit", "destructiveHint": False},
    }


def _called(tool: Tool, arguments: object) -> dict[str, Any]:
    try:
        text = call(tool, arguments).model_dump_json()
    except QCompareError as error:
        return {"content": [{"type": "text", "text": str(error)}], "isError": True}
    return {"content": [{"type": "text", "text": text}], "structuredContent": json.loads(text), "isError": False}


def _result(number: object, value: dict[str, Any]) -> Response:
    return JSONResponse({"jsonrpc": "2.0", "id": number, "result": value})


def _error(number: object, code: int, text: str, status: int = 200) -> Response:
    return JSONResponse({"jsonrpc": "2.0", "id": number, "error": {"code": code, "message": text}}, status)
