"""Arguments of verbs that can be nothing of the kind that is asked for, refused by name."""

from __future__ import annotations

import inspect
import numbers
import os
import re
from collections.abc import Callable, Mapping
from functools import wraps
from typing import Any

TEXTS = ("str", "str | None")  # annotations, as they are written
SEEDS = ("seed",)
MOST_SEED = 2**32 - 1  # that NumPy, scikit-learn and PyTorch all take
MOST_NUMBER = 2**63 - 1  # that the database can hold
HALF_LETTER = re.compile("[\ud800-\udfff]")
# Keys and choices: a message of theirs says what there is to choose from.
OWN_WORDS = ("key", "new_key", "level", "label_from", "split_from", "how")


def check_arguments(signature: inspect.Signature, given: Mapping[str, object]) -> None:
    """Refuse what is not a string where one is asked for, a seed that is not a whole number, and
    what no file system or database can hold.

    What a verb refuses in words of its own, such as a key, is left to it.

    Args:
        signature: of the verb, with annotations as text
        given: arguments by name

    Raises:
        TypeError: naming the argument and its value, if it is not text
        ValueError: if it is another value that cannot be
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
    """Refuse a text or a number that no file system or database can hold.

    Args:
        name: of the argument
        value: of it, or one of its values

    Raises:
        ValueError: naming both
    """
    if isinstance(value, str | os.PathLike):
        if "\0" in str(value):
            raise ValueError(f"{name} must not contain a null character: {value!r:.80}")
        # A path may: half a letter stands for a byte of a name that is not UTF-8.
        if HALF_LETTER.search(str(value)) and not os.path.lexists(value):
            raise ValueError(f"{name} {value!r:.80} contains characters that are not valid Unicode")
    elif isinstance(value, numbers.Integral) and abs(int(value)) > MOST_NUMBER:
        raise ValueError(f"{name} must be at most {MOST_NUMBER}, not {value!r:.80}")


def checked(verb: Callable) -> Callable:
    """Let `check_arguments` look at each call of a function."""
    signature = inspect.signature(verb)

    @wraps(verb)
    def call(*args: Any, **options: Any) -> Any:
        check_arguments(signature, by_name(signature, args, options))
        return verb(*args, **options)

    return call


def by_name(signature: inspect.Signature, args: tuple, options: dict) -> dict:
    """Arguments by name; a call that does not fit is left to Python to refuse."""
    try:
        return signature.bind_partial(*args, **options).arguments
    except TypeError:
        return options
