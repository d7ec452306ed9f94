"""Files of class names: which lines are valid, and when such a file is taken by itself."""

import re

import pytest

from fiftyone_gradcam.folders.class_names import names_of, read_names


def test_files_of_class_names_are_checked(tmp_path):
    path = tmp_path / "n.JSON"
    for text, message in (
        ("{", "n.JSON' is not valid JSON: Expecting property name"),
        ('["a"]', """n.JSON' must contain an object such as {"1": "Makino"}"""),
    ):
        path.write_text(text)
        with pytest.raises(ValueError, match=re.escape(message)):
            read_names(str(path))
    path.write_text('{"1": 2, "x": "y"}')
    assert read_names(str(path)) == {"1": "2", "x": "y"}
    path = tmp_path / "n.txt"
    path.write_text("  # a comment\n\n 1 =  a b \n1 = a b\n 2=c d\n")  # a line twice is no fault
    assert read_names(str(path)) == {"1": "a b", "2": "c d"}


def test_a_file_of_names_is_taken_if_it_names_all_labels(tmp_path):
    root = str(tmp_path)
    assert names_of(root, None, {"1"}) == {}
    (tmp_path / "class_names.txt").write_text("not valid\n1\n")
    (tmp_path / "classes.txt").write_text("1 = a\n")
    (tmp_path / "names.txt").write_text("1 = x\n2 = y\n3 = z\n")
    assert names_of(root, None, {"1"}) == {"1": "a"}
    assert names_of(root, None, {"1", "2"}) == {"1": "x", "2": "y", "3": "z"}
    assert names_of(root, None, {"1", "4"}) == {}
    assert names_of(root, None, set()) == {}
    assert names_of(root, str(tmp_path / "classes.txt"), {"4"}) == {"1": "a"}
