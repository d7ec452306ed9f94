"""Names that become names of files and folders."""

import os
import unicodedata

import pytest
from hypothesis import given
from hypothesis import strategies as st

from fiftyone_gradcam.folders.assignment import check_fractions
from fiftyone_gradcam.folders.path_names import (
    check_name,
    fault_of,
    inside,
    safe_name,
    same,
    unique_name,
)

TEXTS = st.one_of(
    st.text(max_size=400),
    st.text(alphabet="./\\:. \0conNUL1*?\u0301é😀", max_size=60),
    st.builds(lambda a, b: a + b, st.sampled_from(["con", "LPT1.", "..", "aux.txt"]), st.text()),
)


@pytest.mark.parametrize(
    ("name", "fault"),
    [
        ("", "empty"), ("  ", "empty"), ("a/b", "contains '/'"), ("a\\b", "contains '\\\\\\\\'"),
        ("C:", "contains ':'"), ("a\x00", "contains '\\\\x00'"), ("a\nb", "contains '\\\\n'"),
        ("\ud800", "contains"), (".", "dot"), ("..", "dot"), (".hidden", "begins with a dot"),
        ("end.", "ends with a dot"), ("end ", "ends with a space"), (" a", "begins or ends"),
        ("CON", "Windows"), ("nul.txt", "Windows"), ("Lpt9", "Windows"), ("com¹.x", "Windows"),
        ("a" * 256, "longer than 255"), ("é" * 128, "longer than 255"),
    ],
)  # fmt: skip
def test_names_that_are_refused(name, fault):
    with pytest.raises(ValueError, match=f"A split cannot be called .*{fault}.* Use letters"):
        check_name(name, "A split")


@pytest.mark.parametrize(
    "name", ["train", "cat (1)", "图片", "a.b", "console", "com10", "é" * 127, "it's", "-x", "_"]
)
def test_names_that_are_as_good_as_any(name):
    assert fault_of(name) is None
    assert safe_name(name) == name


@pytest.mark.parametrize(
    ("text", "suffix", "name"),
    [
        ("../../x", "", "_._.._x"), ("..", "", "__"), (".", "", "_"), ("", "", "_"),
        ("C:\\a", "", "C__a"), ("nul", "", "_nul"), ("nul", ".png", "_nul.png"),
        ("a?", ".jpg", "a_.jpg"), ("end.", "", "end_"), ("end.", ".jpg", "end..jpg"),
        ("é" * 200, "", "é" * 127), ("é" * 200, ".png", "é" * 125 + ".png"),
        ("a" * 254 + "e\u0301", "", "a" * 254), ("a" * 253 + "😀", "", "a" * 253),
    ],
)  # fmt: skip
def test_texts_as_names_by_hand(text, suffix, name):
    assert safe_name(text, suffix) == name


@given(TEXTS, st.sampled_from(["", ".png", ".jpg"]))
def test_any_text_becomes_a_name_that_every_system_takes(text, suffix):
    name = safe_name(text, suffix)
    assert fault_of(name) is None
    assert name.endswith(suffix)
    assert os.path.dirname(inside("/home", name)) == "/home"
    assert safe_name(name) == name


@given(st.lists(TEXTS, max_size=30))
def test_no_two_names_are_equal_on_any_system(texts):
    taken: set[str] = set()
    names = [unique_name(safe_name(text), taken) for text in texts]
    assert len({unicodedata.normalize("NFD", n).casefold() for n in names}) == len(texts)
    assert all(fault_of(name) is None for name in names)


def test_numbers_of_names_that_are_equal_by_hand():
    taken: set[str] = set()
    given = ["Cat.jpg", "cat.jpg", "CAT.JPG", "é", "e\u0301", "a" * 255, "a" * 255]
    assert [unique_name(name, taken) for name in given] == [
        "Cat.jpg", "cat_2.jpg", "CAT_3.JPG", "é", "e\u0301_2", "a" * 255, "a" * 253 + "_2",
    ]  # fmt: skip
    assert same("É") == same("e\u0301")


@pytest.mark.parametrize("parts", [("..",), ("a", "..", ".."), ("/etc",), ("a\0",), (".",)])
def test_paths_that_lead_out(parts):
    with pytest.raises(ValueError, match="leads out of the folder"):
        inside("/home/x", *parts)


def test_splits_with_names_that_lead_elsewhere_are_refused():
    with pytest.raises(ValueError, match=r"A split cannot be called '../../x': it contains '/'"):
        check_fractions({"../../x": 0.5, "train": 0.5})
    check_fractions({"train": 0.5, "éval": 0.5})


def test_limits_of_names_by_hand():
    assert fault_of("ä" * 127 + "a") is None  # 255 bytes
    assert fault_of("ä" * 128) == "it is longer than 255 bytes"
    assert fault_of("abc", most=2) == "it is longer than 2 bytes"
    for length, shown in ((60, f"'.{'x' * 59}'"), (61, f"'.{'x' * 59}…'")):
        with pytest.raises(
            ValueError, match=f"^A run cannot be called {shown}: it begins with a dot,"
        ):
            check_name("." + "x" * (length - 1), "A run")
