"""Folders as people have them are read as a person reads them."""

from pathlib import Path

import pytest
from drawn_trees import differences, photo
from trees import TREES

from fiftyone_gradcam.folders.planning import plan_import


@pytest.mark.parametrize("form", ["{}_{}", "{}-{}1", "{}{}"])
@pytest.mark.parametrize("is_split_first", [True, False])
def test_the_pattern_that_a_refusal_names_parts_classes_and_splits(tmp_path, form, is_split_first):
    right = {}
    for label in ("Cat", "Dog"):
        for split in ("Train", "Test"):
            own = form.format(*((split, label) if is_split_first else (label, split)))
            photo(tmp_path / own / "1.jpg")
            right[own] = (label, split.lower())
    if is_split_first and form.endswith("1"):  # Train-Cat1: the number is the class's
        right = {own: (f"{label}1", split) for own, (label, split) in right.items()}
    with pytest.raises(ValueError, match="combine classes and splits") as refused:
        plan_import(str(tmp_path)).check()
    plan = plan_import(str(tmp_path), pattern=str(refused.value).rpartition("such as ")[2])
    plan.check()
    assert {Path(item.path).parent.name: (item.label, item.split) for item in plan.items} == right


@pytest.mark.parametrize("name", TREES)
def test_a_tree_is_read_as_a_person_reads_it(tmp_path, name):
    assert differences(TREES[name], tmp_path) == []
