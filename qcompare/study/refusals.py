"""What pydantic says of a value that it refuses, in the language spoken now."""

from pydantic_core import ErrorDetails

from qcompare.words import later, say

MESSAGES: dict[str, str] = {
    "bool_parsing": later("Input should be a valid boolean, unable to interpret input"),
    "finite_number": later("Input should be a finite number"),
    "float_parsing": later("Input should be a valid number, unable to parse string as a number"),
    "float_type": later("Input should be a valid number"),
    "greater_than": later("Input should be greater than {gt}"),
    "greater_than_equal": later("Input should be greater than or equal to {ge}"),
    "int_from_float": later("Input should be a valid integer, got a number with a fractional part"),
    "int_parsing": later("Input should be a valid integer, unable to parse string as an integer"),
    "int_type": later("Input should be a valid integer"),
    "less_than_equal": later("Input should be less than or equal to {le}"),
    "literal_error": later("Input should be {expected}"),
    "string_too_long": later("String should have at most {max_length} characters"),
    "string_type": later("Input should be a valid string"),
    "too_long": later("Tuple should have at most {max_length} items"),
    "too_short": later("Tuple should have at least {min_length} items"),
    "tuple_type": later("Input should be a valid tuple"),
}
"""By pydantic's names of errors, in its own English words; those that a study can meet."""


def refusal(error: ErrorDetails) -> str:
    """What is wrong with one value, and what is allowed. Errors that are not in the table stay English."""
    text = MESSAGES.get(error["type"])
    if text is None:
        return error["msg"].removeprefix("Value error, ")
    return say(text, **{name: _shown(value) for name, value in error.get("ctx", {}).items()})


def _shown(value: object) -> object:
    if isinstance(value, float):
        return f"{value:g}"
    return value.replace(" or ", say(" or ")) if isinstance(value, str) else value
