"""Calls of gradio's handlers, checked before gradio sees them.

Gradio answers calls that its page would never send with a 500 and a traceback in the log, and keeps a session for
every name that it is given: about 0.4 MB each.
"""

from collections.abc import Callable, Iterator, Mapping
from typing import Annotated, Any, Literal

import orjson
from pydantic import BaseModel, ConfigDict, Field, ValidationError

from qcompare.errors import QCompareError

Name = Annotated[str, Field(pattern="^[A-Za-z0-9_-]{1,64}$")]
MAX_DEPTH = 32
"""Of lists and objects in each other."""


class MalformedCall(QCompareError):
    """A call that no page of this app sends."""


class _Call(BaseModel):
    model_config = ConfigDict(strict=True)
    session_hash: Name
    data: list[Any]
    fn_index: int
    trigger_id: int | None = None
    event_id: Name | None = None
    batched: Literal[False] | None = False
    oauth_token: None = None


class _Cancel(BaseModel):
    model_config = ConfigDict(strict=True)
    session_hash: Name
    fn_index: int
    event_id: Name


class _Reset(BaseModel):
    model_config = ConfigDict(strict=True)
    event_id: Name


JOIN = "/gradio_api/queue/join"
CALLS: dict[str, type[BaseModel]] = {
    JOIN: _Call,
    "/gradio_api/run/predict": _Call,
    "/gradio_api/cancel": _Cancel,
    "/gradio_api/reset": _Reset,
}
"""What is sent to which address."""


def check_call(path: str, body: bytes, handlers: Mapping[int, Any], may_name: Callable[[str], bool]) -> None:
    """Refuse a call that does not fit the app's handlers.

    Args:
        path: a key of `CALLS`.
        handlers: gradio's, by number.
        may_name: whether a file may be named: gradio fetches what is an address.

    Raises:
        MalformedCall: it is no JSON, or not what that address takes.
    """
    try:
        values = orjson.loads(body)  # unlike `json`: no NaN, no half characters, no endless depth
    except orjson.JSONDecodeError:
        raise MalformedCall("the body is no JSON") from None
    try:
        call = CALLS[path].model_validate(values)
    except ValidationError as error:
        place = ".".join(str(part) for part in error.errors()[0]["loc"])[:60] or "body"
        raise MalformedCall("{place}: not what this address takes: load the page again", place=place) from None
    if _deeper(values, MAX_DEPTH):
        raise MalformedCall("the body is nested too deeply: at most {most} levels", most=MAX_DEPTH)
    if isinstance(call, _Call):
        handler = handlers.get(call.fn_index)
        if handler is None or handler.fn is None or len(call.data) < len(handler.inputs):
            raise MalformedCall("fn_index: there is no such handler: load the page again")
    if not all(isinstance(name, str) and may_name(name) for name in _files(values)):
        raise MalformedCall("data: names a file that was not uploaded here: load the page again")


def forget_lost_pages(queue: Any) -> None:
    """Gradio's queue remembers for ever which calls a page has made that never came back for the answers."""
    known = queue.pending_messages_per_session  # has a limit
    for name in [name for name in queue.pending_event_ids_session if name not in known]:
        events = queue.pending_event_ids_session[name]
        if not any(event in queue.event_ids_to_events for event in events):
            del queue.pending_event_ids_session[name]


def _files(value: Any) -> Iterator[Any]:
    """The paths of what gradio takes for files, wherever they stand."""
    if isinstance(value, dict) and isinstance(meta := value.get("meta"), dict) and "_type" in meta:
        yield value.get("path")
    inner = value.values() if isinstance(value, dict) else value if isinstance(value, list) else ()
    for each in inner:
        yield from _files(each)


def _deeper(value: Any, most: int) -> bool:
    if not isinstance(value, list | dict):
        return False
    inner = value.values() if isinstance(value, dict) else value
    return most == 0 or any(_deeper(each, most - 1) for each in inner)
