"""The five things that scripts and agents ask for, over REST and MCP alike: plan, submit, status, results, verdict.

None blocks: `submit` queues and returns. The documents are those of `qcompare.api`.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

from pydantic import BaseModel

from qcompare.api import (
    PlanDocument,
    StudyStatus,
    Submitted,
    VerdictDocument,
    plan_document,
    status,
    submitted,
    verdict_document,
)
from qcompare.compare.table import Comparison
from qcompare.errors import InvalidStudy, QCompareError
from qcompare.jobs.submit import submit
from qcompare.settings import Settings
from qcompare.store import Store
from qcompare.study.ids import parse_ids
from qcompare.study.reading import check_extent, parse_study
from qcompare.study.spec import Study
from qcompare.ui.parts import PageState, comparison_of
from qcompare.ui.server.confine import check_paths
from qcompare.ui.server.limits import RateLimit
from qcompare.ui.server.roles import Right, require, visitor

CHANGES_A_MINUTE = 30
"""Studies that one visitor may plan or submit."""
STUDY = {
    "type": "object",
    "description": "The fields of a study file: model, schemes, avg_bits, recipes, tasks, limit, prompts …",
}
STUDY_ID = {"type": "string", "description": "A study's id, or the beginning of it."}


@dataclass(frozen=True)
class Tool:
    """One of the five."""

    name: str
    text: str
    inputs: Mapping[str, Any]
    """JSON schemas of its arguments."""
    required: tuple[str, ...]
    answer: type[BaseModel]
    run: Callable[..., BaseModel]


class TooMany(QCompareError):
    """The visitor has asked too often."""


def make_tools(settings: Settings, store: Store) -> dict[str, Tool]:
    """The tools of a server, by name."""
    limit = RateLimit(CHANGES_A_MINUTE, 60.0)

    def read(study: object) -> Study:
        require(Right.LAUNCH)
        if wait := limit.take(visitor().key, f"address {visitor().address}"):
            raise TooMany("at most {n} studies a minute: try again in {wait} seconds", n=CHANGES_A_MINUTE, wait=wait)
        if not isinstance(study, Mapping):
            raise InvalidStudy("study: expected an object with the fields of a study file, such as model")
        check_extent(study, "study")
        check_paths(study)
        return parse_study(dict(study))

    def plan(study: object) -> PlanDocument:
        return plan_document(read(study), settings)

    def submit_study(study: object, anyway: object = False) -> Submitted:
        return submitted(store, submit(read(study), settings, anyway=anyway is True))

    def study_status(study_id: object, since: object = "") -> StudyStatus:
        return status(store, _text("study_id", study_id), _text("since", since))

    def results(study_id: object) -> Comparison:
        ids = tuple(store.study(name).id for name in parse_ids(_text("study_id", study_id)))
        return comparison_of(PageState(store, ids, ""))

    def verdict(study_id: object) -> VerdictDocument:
        return verdict_document(results(study_id))

    one = {"study_id": STUDY_ID}
    since = {"type": "string", "description": "The cursor of an earlier answer: then only what has changed is said."}
    anyway = {"type": "boolean", "description": "Also when it does not seem to fit the machine."}
    found = (
        Tool("plan", "Check a study and say what it would take; nothing runs.", {"study": STUDY}, ("study",),
             PlanDocument, plan),
        Tool("submit", "Queue a study and return its id at once.", {"study": STUDY, "anyway": anyway}, ("study",),
             Submitted, submit_study),
        Tool("status", "Where the jobs of a study stand.", {**one, "since": since}, ("study_id",),
             StudyStatus, study_status),
        Tool("results", "All numbers of a study as far as its recipes are done.", one, ("study_id",),
             Comparison, results),
        Tool("verdict", "What a study shows, in sentences that rest on paired statistics.", one, ("study_id",),
             VerdictDocument, verdict),
    )  # fmt: skip
    return {tool.name: tool for tool in found}


def call(tool: Tool, arguments: object) -> BaseModel:
    """
    Raises:
        QCompareError: an argument is missing or unknown, or as the tool raises.
    """
    given = arguments if isinstance(arguments, Mapping) else {}
    if not isinstance(arguments, Mapping | None) or not set(tool.required) <= set(given) <= set(tool.inputs):
        raise InvalidStudy(
            "{tool} takes {inputs}, of which it needs {required}",
            tool=tool.name,
            inputs=", ".join(tool.inputs),
            required=", ".join(tool.required),
        )
    return tool.run(**given)


def _text(name: str, value: object) -> str:
    if not isinstance(value, str) or len(value) > 10_000 or "\0" in value:
        raise InvalidStudy("{name}: expected a text", name=name)
    check_extent(value, name)
    return value
