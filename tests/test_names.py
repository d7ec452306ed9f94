"""Names of datasets: what FiftyOne accepts, made of the folder's own name."""

import json
import os

import fiftyone as fo
import pytest
from test_folders import picture

import fiftyone_gradcam as fg
from fiftyone_gradcam.dataset.names import check_name, name_for

OTHERS = ("Food Set", "food.set", "図鑑 images")


@pytest.fixture
def cleared():
    """No datasets but those of other tests; those that are made are deleted."""
    before = set(fo.list_datasets())
    yield
    for made in set(fo.list_datasets()) - before:
        fo.delete_dataset(made)


def folder(root, name):
    for label in ("a", "b"):
        picture(root / name / label / "1.png", label and "red")
    return str(root / name)


@pytest.mark.parametrize("own", ["图片", "данные", "!!!", "ünï-图", "Food Set"])
def test_a_folder_of_any_name_is_imported_under_one_that_fiftyone_accepts(
    tmp_path, cleared, own, capsys
):
    root = folder(tmp_path, own)
    expected = own if own in ("ünï-图", "Food Set") else f"{own} images"
    dataset = fg.import_folders(root, progress=False)
    assert dataset.name == expected
    assert len(fo.load_dataset(expected)) == 2
    assert dataset.info["import_folders"]["folder"] == own
    assert os.path.basename(dataset.info["import_folders"]["path"]) == own
    words = "" if own == expected else f" of the folder {own!r}"
    assert f"Dataset {expected!r}{words}: 2 images added" in capsys.readouterr().out
    # Once more: into the same one.
    assert fg.import_folders(root, progress=False).name == expected
    assert len(fo.load_dataset(expected)) == 2


def test_two_folders_whose_names_are_one_address_get_two_names(tmp_path, cleared):
    roots = {
        own: folder(tmp_path, own) for own in ("Food Set", "food-set", "food_set", "图片", "照片")
    }
    names = {own: fg.import_folders(root, progress=False).name for own, root in roots.items()}
    assert names == {
        "Food Set": "Food Set",
        "food-set": "food-set 2",
        "food_set": "food_set 3",
        "图片": "图片 images",
        "照片": "照片 images 2",
    }
    # Each keeps its name, also when the one in its way is gone.
    fo.delete_dataset("Food Set")
    for own in ("food_set", "food-set", "照片"):
        assert fg.import_folders(roots[own], progress=False).name == names[own]
        assert len(fo.load_dataset(names[own])) == 2
    assert name_for(roots["Food Set"]) == "Food Set"
    fo.Dataset("food__set", persistent=True)
    assert name_for(roots["Food Set"]) == "Food Set 4"  # the addresses -2 and -3 are taken


def test_a_name_that_is_given_is_refused_with_the_reason(tmp_path, cleared):
    root = folder(tmp_path, "some")
    fo.Dataset("Food Set", persistent=True)
    before = fo.list_datasets()
    for name, message in (
        (
            "图片",
            r"'图片' is not a valid dataset name: FiftyOne needs .* It could be '图片 images'",
        ),
        ("x" * 1552, "at most 1551 characters"),
        (
            "food-set",
            "be the name of a dataset because of 'Food Set': both would have the address 'food-s",
        ),
    ):
        with pytest.raises(ValueError, match=message):
            fg.import_folders(root, name, progress=False)
        with pytest.raises(ValueError, match=message):
            check_name(name)
    assert fo.list_datasets() == before
    check_name("Food Set")  # is there: whether it is this folder's is another question


def test_a_dataset_of_the_same_name_from_elsewhere_is_still_in_the_way(tmp_path, cleared):
    fg.import_folders(folder(tmp_path / "one", "pictures"), progress=False)
    with pytest.raises(ValueError, match="'pictures' exists already, and is imported from"):
        fg.import_folders(folder(tmp_path / "two", "pictures"), progress=False)


def test_a_numbered_dataset_from_elsewhere_is_not_taken_for_that_of_a_folder(tmp_path, cleared):
    fo.Dataset("food 2")
    assert name_for(str(tmp_path / "food")) == "food"
    own = fo.Dataset("food 3")
    own.info["import_folders"] = {"path": str(tmp_path / "food")}
    own.save()
    assert name_for(str(tmp_path / "food")) == "food 3"


def test_kept_masks_are_remembered(tmp_path, cleared):
    from trees import TREES

    TREES["masks of some classes"].make(tmp_path / "set")
    root = str(tmp_path / "set")
    without = fg.import_folders(root, "without", progress=False)
    assert without.count_values("ground_truth.label") == {"crack": 5, "fine": 5}
    assert without.info["import_folders"]["passed_over"] == {"masks beside images": 5}
    kept = fg.import_folders(root, "kept", keep_masks=True, progress=False)
    assert kept.count_values("ground_truth.label") == {"crack": 10, "fine": 5}
    again = fg.import_folders(root, "kept", progress=False)
    assert again.count_values("ground_truth.label") == {"crack": 10, "fine": 5}
    assert json.loads(json.dumps(again.info["import_folders"]["choices"])) == {"keep_masks": True}
