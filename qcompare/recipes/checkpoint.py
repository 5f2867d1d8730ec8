"""`checkpoint`: a quantized model that exists already, by anyone, in any format that can be loaded here."""

from pathlib import Path
from typing import Annotated, Any, Self

from pydantic import BeforeValidator, Field, model_validator

from qcompare.errors import InvalidStudy, InvalidValue, ModelUnavailable
from qcompare.models.checkpoint import describe_checkpoint, find_checkpoint
from qcompare.models.sources import is_path
from qcompare.recipes.base import BuildContext, Recipe
from qcompare.recipes.lab import Lab
from qcompare.study.layers import LayerConfig
from qcompare.words import gettext_noop


def _absolute(value: Any) -> Any:
    """Jobs run in folders of their own, where a relative path means something else."""
    if not isinstance(value, str) or not is_path(value.strip()):
        return value
    return str(Path(value.strip()).expanduser().absolute())


class Checkpoint(Recipe):
    name = "checkpoint"
    label = gettext_noop("Checkpoint")
    text = gettext_noop("A quantized version that exists already: from the hub, a folder, or a GGUF file.")
    colour = "#A50F00"
    takes_budget = False
    offered = False
    simulates = False

    source: Annotated[str, BeforeValidator(_absolute), Field(alias="from", min_length=1, max_length=1000)]
    """`org/name[@revision]`, `org/name:file.gguf`, a folder, or a `.gguf` file."""

    @model_validator(mode="before")
    @classmethod
    def _is_called_as_its_file(cls, values: Any) -> Any:
        source = values.get("from") if isinstance(values, dict) else None
        if not isinstance(source, str) or values.get("title"):
            return values
        try:
            return {**values, "title": find_checkpoint(source).title[:60]}
        except ModelUnavailable as error:
            raise InvalidValue(error.message) from None

    @classmethod
    def from_text(cls, text: str) -> Self | None:
        return None if "://" in text or not text else cls.model_validate({"from": text})

    @property
    def as_text(self) -> str:
        return self.source

    def check(self, context: BuildContext) -> None:
        assert context.facts and context.settings, "a plan knows both"
        found = describe_checkpoint(self.source, context.facts, context.settings)
        if self.kv_cache and found.scales_kv_cache:
            raise InvalidStudy(
                "{name} has scales of its own for the KV cache, and is measured with these: leave kv_cache out",
                name=found.source.title,
            )

    def fetch(self, lab: Lab) -> None:
        lab.fetch_checkpoint(self.source)

    def choose(self, lab: Lab) -> LayerConfig:
        return {}

    def build(self, lab: Lab, model: Any, tokenizer: Any, layer_config: LayerConfig) -> tuple[Any, Any]:
        return lab.load_checkpoint(model, tokenizer)
