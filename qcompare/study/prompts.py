"""What models are asked: a text, or the turns of a conversation, of which every model writes its own half."""

from collections.abc import Iterable, Sequence
from typing import Annotated, Any

from pydantic import Discriminator, Field, Tag

TAG = "prompt-"
"""Begins the names by which pydantic tells the kinds of prompts apart."""
FOLLOW_UP = ">"
"""Begins a line that goes on with the conversation of the line above."""
LINE_BREAK = "⏎"
"""Stands for a line break within a prompt."""

Text = Annotated[str, Field(max_length=100_000)]
Turns = Annotated[tuple[Text, ...], Field(min_length=1, max_length=20)]


def _kind(value: Any) -> str:
    return TAG + ("turns" if isinstance(value, list | tuple) else "text")


Prompt = Annotated[
    Annotated[Text, Tag(f"{TAG}text")] | Annotated[Turns, Tag(f"{TAG}turns")],
    Discriminator(_kind),
]
"""One text, or the user's turns: after each the model answers, with all that was said before it."""


def turns(prompt: Prompt) -> tuple[str, ...]:
    """The user's turns.

    >>> turns("Hello")
    ('Hello',)
    """
    return (prompt,) if isinstance(prompt, str) else prompt


def as_prompt(asked: Sequence[str]) -> Prompt:
    """Turns as a prompt; a single one is the text alone."""
    return asked[0] if len(asked) == 1 else tuple(asked)


def so_far(prompt: Prompt) -> list[Prompt]:
    """What has been asked when each answer is given.

    >>> so_far(("Name a city", "Why?"))
    ['Name a city', ('Name a city', 'Why?')]
    """
    asked = turns(prompt)
    return [as_prompt(asked[:end]) for end in range(1, len(asked) + 1)]


def from_lines(text: str) -> tuple[Prompt, ...]:
    """Prompts typed one a line; a line that begins with `>` follows up on the line above.

    >>> from_lines("Name a city\\n> Why?\\nHello")
    (('Name a city', 'Why?'), 'Hello')
    """
    talks: list[list[str]] = []
    for line in filter(None, map(str.strip, text.split("\n"))):
        if talks and line.startswith(FOLLOW_UP):
            talks[-1] += filter(None, [line.removeprefix(FOLLOW_UP).strip()])
        else:
            talks.append([line])
    return tuple(as_prompt([turn.replace(LINE_BREAK, "\n") for turn in talk]) for talk in talks)


def to_lines(prompts: Iterable[Prompt]) -> str:
    """Prompts as `from_lines` reads them."""
    talks = ([text.replace("\n", LINE_BREAK) for text in turns(prompt)] for prompt in prompts)
    return "\n".join(f"\n{FOLLOW_UP} ".join(talk) for talk in talks)
