"""What is wrong with a value, in words of ours: pydantic finds it, and would say it in its own."""

from collections.abc import Mapping
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from pydantic_core import ErrorDetails

UNKNOWN: Final = "it is not what it should be"
"""Said of what pydantic finds and nobody here has foreseen."""

_WHOLE: Final = "it should be a whole number"
_NUMBER: Final = "it should be a number"
_YES_OR_NO: Final = "it should be true or false"
_TEXT: Final = "it should be text"
_LIST: Final = "it should be a list"
_FIELDS: Final = "it should have named fields"
_TIME: Final = "it should be a date and time"

_CLAUSES: Final[Mapping[str, str]] = {
    "missing": "it is missing",
    "extra_forbidden": "there is no such field",
    "int_type": _WHOLE,
    "int_parsing": _WHOLE,
    "int_parsing_size": _WHOLE,
    "int_from_float": _WHOLE,
    "float_type": _NUMBER,
    "float_parsing": _NUMBER,
    "finite_number": "it should be a finite number",
    "bool_type": _YES_OR_NO,
    "bool_parsing": _YES_OR_NO,
    "string_type": _TEXT,
    "string_unicode": _TEXT,
    "path_type": "it should be the name of a file or folder",
    "list_type": _LIST,
    "tuple_type": _LIST,
    "dict_type": _FIELDS,
    "model_type": _FIELDS,
    "model_attributes_type": _FIELDS,
    "datetime_type": _TIME,
    "datetime_parsing": _TIME,
    "datetime_from_date_parsing": _TIME,
    "datetime_object_invalid": _TIME,
    "timezone_aware": "it should be a date and time with its time zone",
    "greater_than": "it should be more than {gt}",
    "greater_than_equal": "it should be at least {ge}",
    "less_than": "it should be less than {lt}",
    "less_than_equal": "it should be at most {le}",
    "literal_error": "it should be {expected}",
    "string_too_short": "it should have {min_length} or more characters",
    "string_too_long": "it should have at most {max_length} characters",
    "string_pattern_mismatch": "it should have the form {pattern}",
    "too_short": "it should have {min_length} or more entries",
    "too_long": "it should have at most {max_length} entries",
    "union_tag_invalid": "its {discriminator} should be one of {expected_tags}",
    "union_tag_not_found": "it does not say its {discriminator}",
}
"""By pydantic's name of what is wrong; in braces what it tells besides."""


def what_is_wrong(found: "ErrorDetails") -> str:
    """Say it as a clause: ``it should be at least 1``.

    Parameters
    ----------
    found
        One of the errors that pydantic lists. What one of our own functions has said of a value
        (``value_error``) is passed on.
    """
    told = found.get("ctx", {})
    if found["type"] == "value_error":
        return str(told["error"])
    return _CLAUSES.get(found["type"], UNKNOWN).format_map(told)
