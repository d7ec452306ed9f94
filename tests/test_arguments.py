"""What the arguments of public functions may be, and what is said of those that may not."""

from __future__ import annotations

import inspect
import os
import re
from pathlib import Path

import numpy as np
import pytest

from fiftyone_gradcam.arguments import MOST_NUMBER, by_name, checked


@checked
def verb(
    name: str, title: str | None = None, seed: int = 0, count: object = 1, key: str = "", **more
) -> tuple:
    """Return the arguments."""
    return name, title, seed, count, key, more


@pytest.mark.parametrize(
    ("arguments", "error", "words"),
    [
        ({"name": None}, TypeError, "name must be a string, not None"),
        ({"name": 3}, TypeError, "name must be a string, not 3"),
        ({"title": ["x" * 99]}, TypeError, f"title must be a string, not ['{'x' * 78}"),
        *(
            ({"seed": x}, ValueError, f"seed must be a whole number from 0 to 4294967295, not {x}")
            for x in (-1, 2**32, True, 0.0, "1")
        ),
        ({"count": 2**63}, ValueError, f"count must be at most {2**63 - 1}, not {2**63}"),
        ({"count": -(2**63)}, ValueError, f"count must be at most {2**63 - 1}, not {-(2**63)}"),
        ({"count": [1, 2**63]}, ValueError, f"count must be at most {2**63 - 1}, not {2**63}"),
        ({"title": "a\0"}, ValueError, r"title must not contain a null character: 'a\x00'"),
        ({"count": ("a", "b\0")}, ValueError, r"count must not contain a null character: 'b\x00'"),
        ({"name": Path("a\0")}, ValueError, "name must not contain a null character: Po"),
        (
            {"name": "a\ud800"},
            *(ValueError, r"name 'a\ud800' contains characters that are not valid Unicode"),
        ),
        ({"new": 1, "seed": -1}, ValueError, "seed must be a whole number"),
    ],
)
def test_what_cannot_be_stored_is_refused_by_name(arguments, error, words):
    if "seed" in arguments and isinstance(arguments["seed"], str):
        words = words.replace("not 1", "not '1'")
    with pytest.raises(error, match=f"^{re.escape(words)}"):
        verb(**{"name": "a", **arguments})


def test_what_can_be_stored_is_handed_on_as_it_is(tmp_path):
    path = os.fsdecode(os.fsencode(tmp_path) + b"/\xff")  # a name that is no UTF-8
    Path(path).touch()
    for value in ("", "a" * 5000, Path("x"), path):
        assert verb(value) == (value, None, 0, 1, "", {})
    for seed in (0, 2**32 - 1, np.int64(5), None):
        assert verb("a", seed=seed)[2] is seed
    for count in (MOST_NUMBER, -MOST_NUMBER, [MOST_NUMBER, "a"], 1e300, None):
        assert verb("a", "b", 0, count)[3] is count
    # The functions check keys themselves.
    assert verb("a", key=3)[4] == 3
    assert verb("a", key="a\0", other="b\0") == ("a", None, 0, 1, "a\0", {"other": "b\0"})


def test_a_call_that_does_not_fit_is_left_to_python():
    assert by_name(inspect.signature(verb), ("a",), {"seed": 1}) == {"name": "a", "seed": 1}
    assert by_name(inspect.signature(verb), ("a",), {"name": "b"}) == {"name": "b"}
    with pytest.raises(TypeError, match="multiple values for argument 'name'"):
        verb("a", name="b")

    @checked
    def narrow(name: str) -> None:
        pytest.fail("called")

    with pytest.raises(TypeError, match="unexpected keyword argument 'other'"):
        narrow("a", other="b\0")
