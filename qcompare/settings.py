"""What the machine and its owner decide, as opposed to what one study asks: read from the environment.

Every field can be set as `QCOMPARE_<NAME>`; the command line's options of the same name win over it.
"""

from functools import cached_property
from pathlib import Path

from platformdirs import user_data_path
from pydantic import Field
from pydantic_settings import BaseSettings, SettingsConfigDict


class Settings(BaseSettings):
    """Settings of one qcompare home. Immutable: make a changed copy with `model_copy(update=…)`."""

    model_config = SettingsConfigDict(env_prefix="QCOMPARE_", frozen=True, extra="ignore")

    home: Path = Field(default_factory=lambda: user_data_path("qcompare"))
    """Folder that holds all state: models, studies, caches."""
    bundle_dir: Path | None = None
    """Where the demo model and data are kept; several homes may share one. Default: `home/demo`."""
    device: str = "auto"
    """`auto`, `cpu`, `cuda` or `cuda:N`: the devices that jobs may use."""
    dtype: str = "auto"
    """Compute dtype: `auto`, `float32`, `bfloat16` or `float16`."""
    trust_remote_code: bool = False
    """Let models run Python code that they bring along."""
    allow_unsafe_weights: bool = False
    """Load pickled weights (`.bin`, `.pt`), which can run code."""
    offline: bool = False
    """Never ask a hub; use the demo bundle's data."""
    host: str = "127.0.0.1"
    """Address on which the app listens."""
    port: int = 7860
    """Port on which the app listens."""

    @cached_property
    def demo_dir(self) -> Path:
        """Folder of the demo bundle."""
        return (self.bundle_dir or self.home / "demo").expanduser().resolve()

    def environment(self) -> dict[str, str]:
        """The same settings as environment variables, for a child process."""
        values = self.model_dump(exclude_none=True)
        return {f"QCOMPARE_{key.upper()}": str(value) for key, value in values.items()}
