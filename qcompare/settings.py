"""What the machine and its owner decide, as opposed to what one study asks: read from the environment.

Every field can be set as `QCOMPARE_<NAME>`; the command line's options of the same name win over it.
"""

from functools import cached_property
from pathlib import Path
from typing import Annotated, Any, Literal, Self

from platformdirs import user_data_path
from pydantic import Field, ValidationError, field_validator
from pydantic_settings import BaseSettings, SettingsConfigDict

from qcompare.errors import QCompareError


class Settings(BaseSettings):
    """Settings of one qcompare home. Immutable: make a changed copy with `model_copy(update=…)`."""

    model_config = SettingsConfigDict(env_prefix="QCOMPARE_", frozen=True, extra="ignore")

    home: Path = Field(default_factory=lambda: user_data_path("qcompare"))
    """Folder that holds all state: models, studies, caches."""
    bundle_dir: Path | None = None
    """Where the demo model and data are kept; several homes may share one. Default: `home/demo`."""
    device: Annotated[str, Field(pattern=r"^(auto|cpu|mps|(cuda|xpu)(:\d+)?)$")] = "auto"
    """`auto`, `cpu`, `cuda`, `cuda:N`, `xpu`, `xpu:N` or `mps`: the devices that jobs may use. `N` counts the visible
    ones, as torch does."""
    gpus_per_job: Literal["auto"] | Annotated[int, Field(ge=1)] = "auto"
    """GPUs that one job holds; `auto`: one, or as many as the model's size takes."""
    executor: str = "local"
    """What runs jobs, a name in `jobs.executors.EXECUTORS`: `local`, `ray`, `slurm`, `hf` or one of a package."""
    executor_address: str = ""
    """Of the cluster: Ray's dashboard, by default `http://127.0.0.1:8265`. Slurm and Hugging Face Jobs need none."""
    executor_folder: str = ""
    """Folder or fsspec URL that this machine and all nodes reach: `/shared/qcompare`, `s3://bucket/qcompare`,
    `hf://buckets/user/name`. Jobs go there and their results come back. Default: `home/cluster`."""
    executor_options: str = ""
    """JSON of what one executor takes besides: `RayOptions`, `SlurmOptions`, `HubOptions` in `jobs/executors/`."""
    dtype: Literal["auto", "float32", "bfloat16", "float16"] = "auto"
    """Compute dtype; `auto` takes bfloat16 where the device has units for it."""
    row_tokens: Annotated[int, Field(ge=1)] | None = None
    """Most tokens of one forward pass while scoring, rounded down to a power of two. Default: what memory allows."""
    trust_remote_code: bool = False
    """Let models run Python code that they bring along."""
    allow_unsafe_weights: bool = False
    """Load pickled weights (`.bin`, `.pt`), which can run code."""
    offline: bool = False
    """Never ask a hub; use the demo bundle's data."""
    recording: bool = True
    """Open a home without any study with a recorded one."""
    host: str = "127.0.0.1"
    """Address on which the app listens."""
    port: Annotated[int, Field(ge=1, le=65535)] = 7860
    """Port on which the app listens. The default stands for it or, where it is taken, the next one that is free."""
    browser: bool | None = None
    """Open a browser on the app when it starts. Default: where somebody sits at the screen."""
    role: Literal["local", "team", "exhibition"] | None = None
    """What visitors may do; needed where `host` is no loopback address. SECURITY.md says what each means."""
    users: Path | None = None
    """File of those who may log in, and what each may do."""
    auth_header: str | None = None
    """Header in which a reverse proxy on this machine names the user it has logged in, such as `X-Forwarded-User`."""
    allowed_hosts: str = ""
    """Names, with commas between, by which browsers reach the app besides loopback ones: of a reverse proxy."""
    shared_dir: Path | None = None
    """Folder whose models and files visitors of a team may name."""
    results_dir: Path | None = None
    """Folder to which every finished study is copied as a packed file, and from which they are taken in at start."""
    upload_mb: Annotated[int, Field(ge=1)] = 20_000
    """Largest file that can be uploaded."""
    ask_tokens: Annotated[int, Field(ge=1, le=4096)] = 64
    """Exhibition: longest answer to a visitor's prompt."""
    ask_letters: Annotated[int, Field(ge=1, le=100_000)] = 2000
    """Exhibition: longest prompt, with the turns before it."""
    ask_per_hour: Annotated[int, Field(ge=1)] = 10
    """Exhibition: prompts of one visitor, and of one address, within an hour."""
    ask_waiting: Annotated[int, Field(ge=1)] = 10
    """Exhibition: prompts of all visitors that may wait or run at once."""
    ask_each: Annotated[int, Field(ge=1)] = 3
    """Exhibition: prompts of one visitor that may wait or run at once."""
    ask_mb: Annotated[int, Field(ge=1)] = 4000
    """Exhibition: largest original model, at 16 bits, that visitors may ask."""

    @classmethod
    def read(cls, **options: Any) -> Self:
        """Settings of the environment, with those options that are not None in their place.

        Raises:
            QCompareError: one has a value it cannot have.
        """
        try:
            return cls(**{key: value for key, value in options.items() if value is not None})
        except ValidationError as error:
            first = error.errors()[0]
            name = str(first["loc"][0])
            raise QCompareError(
                "setting {name}: {problem}, got {given}",
                name=name,
                problem=first["msg"],
                given=repr(str(first["input"])[:60]),
            ) from None

    @field_validator("home", "bundle_dir", "users", "shared_dir", "results_dir")
    @classmethod
    def _absolute(cls, path: Path | None) -> Path | None:
        """Jobs run in folders of their own, where a relative path means something else."""
        return path.expanduser().absolute() if path else None

    @property
    def names_port(self) -> bool:
        """The user named the port; it is not the default."""
        return "port" in self.model_fields_set

    @property
    def runs_elsewhere(self) -> bool:
        """Jobs do not run as processes of this machine."""
        return self.executor != "local"

    @cached_property
    def demo_dir(self) -> Path:
        """Folder of the demo bundle."""
        return self.bundle_dir or self.home / "demo"

    @property
    def users_file(self) -> Path | None:
        """`users`, or the one that `qcompare user` writes into the home."""
        written = self.home / "users.yaml"
        return self.users or (written if written.is_file() else None)

    def environment(self) -> dict[str, str]:
        """The same settings as environment variables, for a child process."""
        values = self.model_dump(exclude_none=True, exclude=set() if self.names_port else {"port"})
        return {f"QCOMPARE_{key.upper()}": str(value) for key, value in values.items()}
