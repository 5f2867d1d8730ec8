"""`endpoint`: a model behind an OpenAI-compatible completions server, whatever its weights and format are."""

import os
import time
from contextlib import closing
from functools import lru_cache
from typing import Annotated, Any, Self
from urllib.parse import urlsplit

from pydantic import AfterValidator, Field, field_validator

from qcompare.errors import InvalidStudy, InvalidValue, JobError
from qcompare.evaluate.benchmarks import Options
from qcompare.evaluate.endpoint.client import Client
from qcompare.recipes.base import BuildContext, Recipe
from qcompare.recipes.lab import Lab
from qcompare.study.layers import LayerConfig
from qcompare.words import gettext_noop

CHECK_SECONDS = 3.0
"""How long a plan waits for a server."""
CHECKED_SECONDS = 15
"""How long a plan believes what it found."""


def _url(value: str) -> str:
    """The address without a trailing slash. Errors never repeat it: it may hold a secret."""
    try:
        parts = urlsplit(value.strip())
        usable = parts.scheme in ("http", "https") and bool(parts.hostname) and (parts.port or 1) > 0
    except ValueError:
        usable = False
    if not usable:
        raise InvalidValue("is no web address: give one such as http://localhost:8000/v1")
    if parts.username is not None or parts.password is not None or parts.query or parts.fragment or "@" in value:
        raise InvalidValue(
            "holds credentials or a query besides the address: secrets do not belong in a study; "
            "put the key into an environment variable and name that one with api_key_env"
        )
    return value.strip().rstrip("/").removesuffix("/completions")


class Endpoint(Recipe):
    name = "endpoint"
    label = gettext_noop("Server")
    text = gettext_noop("A model behind an OpenAI-compatible server.")
    colour = "#868C96"
    marker = "square"
    takes_budget = False
    offered = False
    simulates = False
    served = True

    url: Annotated[str, AfterValidator(_url)]
    """Of the server, up to and with `/v1`."""
    model: Annotated[str, Field(min_length=1, max_length=300)] | None = None
    """Its name on that server; None takes the first that the server lists."""
    api_key_env: str | None = None
    """The environment variable that holds the key. The key itself is never part of a study."""
    num_concurrent: Annotated[int, Field(ge=1, le=256)] = 8
    """Requests at once, as in lm-eval."""
    timeout: Annotated[float, Field(gt=0, le=86_400)] = 120.0
    """Seconds to wait for the next part of an answer."""
    max_length: Annotated[int, Field(ge=16)] | None = None
    """Tokens of a prompt and its answer; None: what the study's model and the server allow."""

    @field_validator("api_key_env")
    @classmethod
    def _is_a_name(cls, value: str | None) -> str | None:
        if value is not None and not (value.isascii() and value.isidentifier() and value == value.upper()):
            raise InvalidValue(
                "must be the name of an environment variable, in capitals (OPENAI_API_KEY), never the key itself"
            )
        return value

    @classmethod
    def from_text(cls, text: str) -> Self | None:
        """The row that an address typed by a person asks for, with the model's name after a space where there are
        several: `http://localhost:8000/v1 my-model`. None where the text is no web address.

        Raises:
            pydantic.ValidationError: the address cannot be used.
        """
        address, _, model = text.strip().partition(" ")
        if not address.lower().startswith(("http://", "https://")):
            return None
        return cls(url=address, model=model.strip() or None)

    @property
    def as_text(self) -> str:
        return " ".join(filter(None, (self.url, self.model)))

    @property
    def row_title(self) -> str:
        return self.title or self.model or urlsplit(self.url).netloc

    def check(self, context: BuildContext) -> None:
        """Refuse a server that does not answer within a few seconds, or does not accept the key.

        Raises:
            InvalidStudy: says which.
        """
        problem = _unreachable(self.url, self._key(), self.api_key_env, int(time.monotonic() / CHECKED_SECONDS))
        if problem:
            raise InvalidStudy(problem.message)

    def config_from_sizes(self, context: BuildContext) -> LayerConfig | None:
        return None

    def choose(self, lab: Lab) -> LayerConfig:
        return {}

    def connect(self, lab: Lab, options: Options) -> Any:
        # loads lm_eval
        from qcompare.evaluate.scoring.endpoint import EndpointLM

        return EndpointLM(
            Client(self.url, self._key(), self.api_key_env, self.timeout),
            self.model,
            folder=lab.local.path,
            options=options,
            num_concurrent=self.num_concurrent,
            max_length=self.max_length,
            kept=lab.folder / "server_answers.sqlite",
        )

    def _key(self) -> str | None:
        if self.api_key_env is None:
            return None
        if not (key := os.environ.get(self.api_key_env)):
            raise InvalidStudy(
                "endpoint: the environment variable {name} is not set here: set it, then start qcompare again",
                name=self.api_key_env,
            )
        return key


@lru_cache(maxsize=8)
def _unreachable(url: str, key: str | None, key_name: str | None, moment: int) -> JobError | None:
    """What keeps a server from being asked; `moment` makes the answer an old one after a while."""
    with closing(Client(url, key, key_name, CHECK_SECONDS)) as client:
        try:
            client.models(tries=1)
        except JobError as error:
            return error
    return None
