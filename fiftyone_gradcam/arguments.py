"""Check arguments of public functions, with error messages that name the argument."""

from __future__ import annotations

import inspect
import numbers
import os
import re
from collections.abc import Callable, Mapping
from functools import wraps
from typing import Any

TEXTS = ("str", "str | None")  # annotations as text
SEEDS = ("seed",)
MOST_SEED = 2**32 - 1  # valid for NumPy, scikit-learn and PyTorch
MOST_NUMBER = 2**63 - 1  # limit of the database
HALF_LETTER = re.compile("[\ud800-\udfff]")
# Keys and choices: the functions raise errors that list the valid values.
OWN_WORDS = ("key", "new_key", "level", "label_from", "split_from", "how")


def check_arguments(signature: inspect.Signature, given: Mapping[str, object]) -> None:
    """Check that strings are strings, seeds are valid, and values can be stored.

    Values that a function checks itself, such as keys, are not checked.

    Args:
        signature: signature of the function, with annotations as text
        given: arguments by name

    Raises:
        TypeError: naming the argument and its value, if it is not a string
        ValueError: if another value is invalid
    """
    for name, value in given.items():
        parameter = signature.parameters.get(name)
        if parameter is None or (value is None and parameter.annotation != "str"):
            continue
        if name in OWN_WORDS:
            continue
        if parameter.annotation in TEXTS and not isinstance(value, str | os.PathLike):
            raise TypeError(f"{name} must be a string, not {value!r:.80}")
        if name in SEEDS:
            is_whole = isinstance(value, numbers.Integral) and not isinstance(value, bool)
            if not is_whole or not 0 <= value <= MOST_SEED:
                raise ValueError(
                    f"{name} must be a whole number from 0 to {MOST_SEED}, not {value!r:.80}"
                )
        for one in value if isinstance(value, list | tuple) else [value]:
            check_storable(name, one)


def check_storable(name: str, value: object) -> None:
    """Check that a string or number can be stored by file systems and the database.

    Args:
        name: name of the argument
        value: the argument, or one element of it

    Raises:
        ValueError: naming both
    """
    if isinstance(value, str | os.PathLike):
        if "\0" in str(value):
            raise ValueError(f"{name} must not contain a null character: {value!r:.80}")
        # In a path, a lone surrogate stands for a byte that is not valid UTF-8.
        if HALF_LETTER.search(str(value)) and not os.path.lexists(value):
            raise ValueError(f"{name} {value!r:.80} contains characters that are not valid Unicode")
    elif isinstance(value, numbers.Integral) and abs(int(value)) > MOST_NUMBER:
        raise ValueError(f"{name} must be at most {MOST_NUMBER}, not {value!r:.80}")


def checked(verb: Callable) -> Callable:
    """Decorate a function so that `check_arguments` checks each call."""
    signature = inspect.signature(verb)

    @wraps(verb)
    def call(*args: Any, **options: Any) -> Any:
        check_arguments(signature, by_name(signature, args, options))
        return verb(*args, **options)

    return call


def by_name(signature: inspect.Signature, args: tuple, options: dict) -> dict:
    """Return arguments by name; for a call that does not fit the signature, Python raises the error
    later."""
    try:
        return signature.bind_partial(*args, **options).arguments
    except TypeError:
        return options
