"""Requests to an OpenAI-compatible completions server, and one clear line for whatever goes wrong.

The key is known here only. It is cut out of everything that a server sends before anybody else sees that, so it
cannot reach a log, a result or an error, even if the server repeats it.
"""

import json
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any

import httpx

from qcompare.errors import JobError
from qcompare.words import gettext_noop

TRIES = 3
"""Of a request that the server could not answer just then (HTTP 429 and 5xx, a lost connection)."""
WAIT_SECONDS = 1.0
"""Before the second try; twice as long before the third."""
MAX_QUOTED = 160
"""Letters of a server's own message in an error."""
MIN_SECRET = 8
"""Letters of a key that is cut out; shorter ones (`EMPTY`) are placeholders that local servers take."""


class Refused(JobError):
    """The server answers, but not this request."""


class Lost(JobError):
    """There is no connection, perhaps for a moment only."""


@dataclass(frozen=True)
class Client:
    """A server; its methods may be called from several threads."""

    url: str
    """Up to and with `/v1`; without credentials."""
    key: str | None = field(default=None, repr=False)
    key_name: str | None = None
    """The environment variable that the key is from."""
    timeout: float = 120.0
    """Seconds until the next part of an answer."""

    @cached_property
    def _http(self) -> httpx.Client:
        headers = {"Authorization": f"Bearer {self.key}"} if self.key else {}
        return httpx.Client(headers=headers, timeout=self.timeout, limits=httpx.Limits(max_connections=None))

    def close(self) -> None:
        """Close the connections."""
        self._http.close()

    def models(self, tries: int = TRIES) -> list[Mapping[str, Any]]:
        """The server's models, as it describes them; empty where it does not tell.

        Raises:
            JobError: it is down, too slow, or refuses the key.
        """
        try:
            found = self._request("GET", "models", tries=tries)["data"]
            return [model for model in found if isinstance(model, Mapping) and model.get("id")]
        except (Refused, KeyError, TypeError):
            return []

    def complete(self, payload: Mapping[str, Any], tries: int = TRIES) -> dict[str, Any]:
        """The answer to a completions request with one prompt; it has one choice at least.

        Raises:
            Refused: the server does not do this (HTTP 4xx and 5xx).
            JobError: it is down, too slow, refuses the key, or answers in another form.
        """
        answer = self._request("POST", "completions", payload, tries)
        choices = answer.get("choices") if isinstance(answer, dict) else None
        if not isinstance(choices, list) or not choices or not isinstance(choices[0], dict):
            raise self._other_form(json.dumps(answer))
        found: dict[str, Any] = answer
        return found

    def stream(self, payload: Mapping[str, Any]) -> Iterator[dict[str, Any]]:
        """The parts of a streamed answer, as they come. Raises as `complete`."""
        with (
            self._explained(),
            self._http.stream("POST", f"{self.url}/completions", json={**payload, "stream": True}) as response,
        ):
            if response.status_code != httpx.codes.OK:
                response.read()
                self._check(response)
            for line in response.iter_lines():
                data = line.removeprefix("data:").strip()
                if line.startswith("data:") and data != "[DONE]":
                    yield self._parsed(data)

    def _request(self, method: str, path: str, payload: Mapping[str, Any] | None = None, tries: int = TRIES) -> Any:
        for attempt in range(1, tries + 1):
            try:
                with self._explained():
                    response = self._http.request(method, f"{self.url}/{path}", json=payload)
                if not _may_pass(response) or attempt == tries:
                    self._check(response)
                    return self._parsed(response.text)
            except Lost:
                if attempt == tries:
                    raise
            time.sleep(WAIT_SECONDS * 2 ** (attempt - 1))
        raise AssertionError("the last try returns or raises")

    def _check(self, response: httpx.Response) -> None:
        if response.status_code == httpx.codes.OK:
            return
        values = {"url": self.url, "status": response.status_code}
        if response.status_code in (httpx.codes.UNAUTHORIZED, httpx.codes.FORBIDDEN):
            if self.key_name:
                text = gettext_noop("{url}: does not accept the key in {name} (HTTP {status})")
                raise JobError(text, **values, name=self.key_name)
            raise JobError(
                "{url}: wants a key (HTTP {status}): put it into an environment variable and name that one with "
                "api_key_env",
                **values,
            )
        said = self._quoted(response.text)
        if response.is_redirect or response.status_code == httpx.codes.NOT_FOUND:
            text = gettext_noop(
                "{url}: no completions there (HTTP {status}: {said}): give the address up to and with /v1, and a "
                "model that the server has"
            )
            raise Refused(text, **values, said=said)
        raise Refused("{url}: the server refuses or fails (HTTP {status}: {said})", **values, said=said)

    @contextmanager
    def _explained(self) -> Iterator[None]:
        try:
            yield
        except httpx.TimeoutException:
            raise JobError(
                "{url}: no answer within {n} seconds: raise timeout, or lower num_concurrent",
                url=self.url,
                n=f"{self.timeout:g}",
            ) from None
        except (httpx.ConnectError, httpx.UnsupportedProtocol) as error:
            raise Lost(
                "{url}: nothing answers there ({reason}): start the server, or correct the url",
                url=self.url,
                reason=self._quoted(str(error)),
            ) from None
        except httpx.HTTPError as error:
            raise Lost(
                "{url}: the connection broke ({reason})", url=self.url, reason=self._quoted(str(error))
            ) from None

    def _parsed(self, text: str) -> Any:
        try:
            found = json.loads(text)
        except ValueError:
            raise self._other_form(text) from None
        plain = json.dumps(found)
        return found if plain == (clean := self._without_key(plain)) else json.loads(clean)

    def _other_form(self, text: str) -> JobError:
        return JobError(
            "{url}: does not answer as an OpenAI-compatible completions server ({said})",
            url=self.url,
            said=self._quoted(text),
        )

    def _quoted(self, text: str) -> str:
        """The beginning of what a server said, in one line."""
        line = " ".join(self._without_key(text).split())
        return line[:MAX_QUOTED] or "–"

    def _without_key(self, text: str) -> str:
        return text.replace(self.key, "***") if self.key and len(self.key) >= MIN_SECRET else text


def _may_pass(response: httpx.Response) -> bool:
    return response.status_code == httpx.codes.TOO_MANY_REQUESTS or response.is_server_error
