"""Upload a folder to the hub with the user's own token, which is neither stored nor printed."""

import os
import re
from collections.abc import Callable
from pathlib import Path

from qcompare.errors import InvalidStudy, ModelUnavailable
from qcompare.settings import Settings
from qcompare.study.result import ExportReport
from qcompare.words import Message

NAME = re.compile(r"[A-Za-z0-9][\w.-]*/[\w.-]+")


def check_name(repo: str) -> bool:
    """True for `org/name`.

    Raises:
        InvalidStudy: it is something else.
    """
    if not NAME.fullmatch(repo):
        raise InvalidStudy("'{repo}' is no name on the hub: give org/name", repo=repo[:60])
    return True


def check_push(repo: str, settings: Settings) -> None:
    """Before anything is written.

    Raises:
        InvalidStudy: that is no name on the hub, there is no token in the environment, or no hub is to be asked.
    """
    check_name(repo)
    if settings.offline:
        raise InvalidStudy("QCOMPARE_OFFLINE is set, so nothing is uploaded: leave the name on the hub empty")
    if not os.environ.get("HF_TOKEN"):
        raise InvalidStudy(
            "no token to upload with: start qcompare with HF_TOKEN, or leave the name on the hub empty"
        )


def pushed(report: ExportReport, repo: str) -> ExportReport:
    """Upload what was written with the token of the environment; the report says where it is, or why not.

    The checkpoint stays whatever happens: it is no failure of the export.
    """
    try:
        return report.model_copy(update={"pushed": push_folder(Path(report.folder), repo, os.environ["HF_TOKEN"])})
    except ModelUnavailable as error:
        return report.model_copy(update={"push_problem": error.message})
    except KeyError:
        return report.model_copy(update={"push_problem": Message("not uploaded: HF_TOKEN is no longer set")})


def read_token(repo: str, ask: Callable[[str], str]) -> str:
    """The token of the environment (HF_TOKEN), or what the user types in.

    Args:
        ask: shows a text and returns what is typed, unseen.

    Raises:
        InvalidStudy: there is none.
    """
    token = os.environ.get("HF_TOKEN") or ask(f"Token with write access to {repo}")
    if not token.strip():
        raise InvalidStudy("no token was given: set HF_TOKEN, or leave out --push")
    return token.strip()


def push_folder(folder: Path, repo: str, token: str) -> str:
    """Create the repository where it is missing (private) and upload the folder; returns its address.

    Raises:
        ModelUnavailable: one line without the token: refused, or no hub. The folder stays.
    """
    return _push(folder, repo, token)


def _push(folder: Path, repo: str, token: str, repo_type: str = "model", **options: str) -> str:
    from huggingface_hub import HfApi
    from huggingface_hub.errors import HfHubHTTPError

    api = HfApi(token=token)
    try:
        api.create_repo(repo, private=True, exist_ok=True, repo_type=repo_type, **options)
        api.upload_folder(folder_path=folder, repo_id=repo, repo_type=repo_type, commit_message="Written by qcompare")
    except HfHubHTTPError as error:
        code = error.response.status_code if error.response is not None else 0
        why = Message("the hub answered {code}", {"code": code})
        if code in (401, 403):
            why = Message("the token has no right to write there")
        raise _not_uploaded(repo, folder, why) from None
    except OSError as error:
        why = Message("no answer from the hub ({reason})", {"reason": type(error).__name__})
        raise _not_uploaded(repo, folder, why) from None
    return f"{api.endpoint}/{'spaces/' if repo_type == 'space' else ''}{repo}"


def push_space(folder: Path, repo: str, token: str) -> str:
    """Upload a site as a static Space, which is made (private) where it is missing; returns its address.

    Raises:
        ModelUnavailable: as for `push_folder`.
    """
    return _push(folder, repo, token, repo_type="space", space_sdk="static")


def _not_uploaded(repo: str, folder: Path, why: Message) -> ModelUnavailable:
    return ModelUnavailable("{repo}: not uploaded: {why}; it stays in {folder}", repo=repo, why=why, folder=folder)
