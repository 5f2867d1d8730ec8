"""What pydantic says of a value that it refuses, as a message that can be translated."""

from pydantic_core import ErrorDetails

from qcompare.errors import InvalidValue
from qcompare.words import Message, gettext_noop, verbatim

MESSAGES: dict[str, str] = {
    "bool_parsing": gettext_noop("Input should be a valid boolean, unable to interpret input"),
    "finite_number": gettext_noop("Input should be a finite number"),
    "float_parsing": gettext_noop("Input should be a valid number, unable to parse string as a number"),
    "float_type": gettext_noop("Input should be a valid number"),
    "greater_than": gettext_noop("Input should be greater than {gt}"),
    "greater_than_equal": gettext_noop("Input should be greater than or equal to {ge}"),
    "int_from_float": gettext_noop("Input should be a valid integer, got a number with a fractional part"),
    "int_parsing": gettext_noop("Input should be a valid integer, unable to parse string as an integer"),
    "int_type": gettext_noop("Input should be a valid integer"),
    "less_than_equal": gettext_noop("Input should be less than or equal to {le}"),
    "literal_error": gettext_noop("Input should be {expected}"),
    "string_too_long": gettext_noop("String should have at most {max_length} characters"),
    "string_type": gettext_noop("Input should be a valid string"),
    "too_long": gettext_noop("Tuple should have at most {max_length} items"),
    "too_short": gettext_noop("Tuple should have at least {min_length} items"),
    "tuple_type": gettext_noop("Input should be a valid tuple"),
}
"""By pydantic's names of errors, in its own English words; those that a study can meet."""


def refusal(error: ErrorDetails) -> Message:
    """What is wrong with one value, and what is allowed: our own validators' messages as they are, pydantic's by the
    table; others stay English."""
    values = error.get("ctx", {})
    if isinstance(own := values.get("error"), InvalidValue):
        return own.message
    if text := MESSAGES.get(error["type"]):
        return Message(text, {name: _shown(value) for name, value in values.items()})
    return verbatim(error["msg"].removeprefix("Value error, "))


def _shown(value: object) -> object:
    if isinstance(value, float):
        return f"{value:g}"
    if not isinstance(value, str) or " or " not in value:
        return value
    first, _, last = value.rpartition(" or ")
    return Message("{first} or {last}", {"first": first, "last": last})
