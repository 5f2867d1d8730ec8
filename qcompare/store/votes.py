"""Blind votes of a home's studies. They go with their study."""

import json
import sqlite3

from pydantic import TypeAdapter

from qcompare.store.schema import Database
from qcompare.study.prompts import Prompt
from qcompare.study.vote import Vote

_PROMPT: TypeAdapter[Prompt] = TypeAdapter(Prompt)


class Votes:
    """The part of the index that holds them."""

    def __init__(self, database: Database) -> None:
        self._database = database

    def add_vote(self, vote: Vote) -> None:
        """Keep a vote, in place of the voter's earlier one on that prompt."""
        with self._database.change() as db:
            db.execute(
                "INSERT OR REPLACE INTO vote (studies, prompt, voter, chosen, shown, time) VALUES (?, ?, ?, ?, ?, ?)",
                (vote.studies, json.dumps(vote.prompt), vote.voter, vote.chosen, json.dumps(vote.shown), vote.time),
            )

    def votes(self, studies: str) -> list[Vote]:
        """The votes on the answers of these studies side by side, oldest first.

        Args:
            studies: ids with commas between.
        """
        with self._database.open() as db:
            rows = db.execute("SELECT * FROM vote WHERE studies = ? ORDER BY time", (studies,)).fetchall()
        return [_vote(row) for row in rows]


def remove_votes(db: sqlite3.Connection, study_id: str) -> None:
    """Remove the votes in which answers of a study stood."""
    db.execute("DELETE FROM vote WHERE instr(',' || studies || ',', ',' || ? || ',')", (study_id,))


def _vote(row: sqlite3.Row) -> Vote:
    values = dict(row)
    return Vote(
        **values | {"prompt": _PROMPT.validate_json(values["prompt"]), "shown": tuple(json.loads(values["shown"]))}
    )
