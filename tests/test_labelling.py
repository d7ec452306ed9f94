"""Tables of a folder: when they give the classes, and how several of them are merged."""

import pytest
from test_plans import make, read

import fiftyone_gradcam as fg
from fiftyone_gradcam.folders.labelling import know_better


def test_two_tables_may_differ_in_one_of_twenty_images(tmp_path):
    make(tmp_path, *(f"{number}.jpg" for number in range(18)), "x.jpg", "y.jpg", "z.jpg")
    rows = [f"{number}.jpg,{'ab'[number % 2]}" for number in range(18)]
    text = "\n".join(["image,label", *rows, ""])
    other = text.replace("\n0.jpg,a", "\n0.jpg,b") + "gone.jpg,a\n"
    (tmp_path / "one.csv").write_text(f"{text}x.jpg,\ny.jpg,b\n")
    (tmp_path / "two.csv").write_text(f"{other}x.jpg,a\ny.jpg,\n")
    plan = fg.plan_import(str(tmp_path), table=["one.csv", "two.csv"])
    labels = {name: label for name, (label, _) in read(plan).items()}
    assert [labels[name] for name in ("0.jpg", "x.jpg", "y.jpg", "z.jpg")] == ["a", "a", "b", None]
    assert plan.skipped == [
        ("two.csv row 20: gone.jpg", "in the table, but there is no such image"),
        ("two.csv: 0.jpg", "in two tables, with different labels"),
    ]
    assert "1 image has no row in a table, such as z.jpg" in plan.warnings
    (tmp_path / "two.csv").write_text(f"{other}x.jpg,a\n")
    with pytest.raises(
        ValueError,
        match="^The tables 'one.csv' and 'two.csv' label 1 of 19 images differently. Give the path",
    ):
        fg.plan_import(str(tmp_path), table=["one.csv", "two.csv"])


def test_names_of_files_give_the_classes_unless_a_table_names_a_quarter(tmp_path):
    make(tmp_path, *(f"{name}_{number}.jpg" for name in "ab" for number in range(4)))
    (tmp_path / "t.csv").write_text("image,label\na_0.jpg,x\n")
    plan = fg.plan_import(str(tmp_path))
    assert plan.classes == ["a", "b"]
    assert plan.unused == {
        str(tmp_path / "t.csv"): "it names only 1 of 8 images, and file names give the classes"
    }
    assert plan.tables == {}
    (tmp_path / "t.csv").write_text("image,label\na_0.jpg,x\nb_0.jpg,y\n")
    plan = fg.plan_import(str(tmp_path))
    assert plan.classes == ["x", "y"]
    assert plan.unused == {}
    (tmp_path / "t.csv").write_text("image,label\na_0.jpg,x\n")
    assert fg.plan_import(str(tmp_path), label_from="table").classes == ["x"]
    assert fg.plan_import(str(tmp_path), label_column="label").classes == ["x"]
    for name in "ab":
        for number in range(1, 4):
            (tmp_path / f"{name}_{number}.jpg").unlink()
    make(tmp_path, "p.jpg", "q.jpg", "r.jpg", "s.jpg")
    assert fg.plan_import(str(tmp_path)).classes == ["x"]  # most files have no class by name


def test_a_table_knows_better_if_its_classes_cross_over_a_fifth_of_images_in_folders():
    folders = {str(number): "x" if number < 5 else "y" for number in range(10)}

    def labelled(*labels: str) -> dict:
        return {str(number): label for number, label in enumerate(labels)}

    assert not know_better(labelled(*"aaaaabbbbb"), folders)
    assert not know_better(labelled(*"aaaabbbbba"), folders)  # 2 of 10 are elsewhere
    assert know_better(labelled(*"aaabbbbbba"), folders)  # 3 of 10
    # At least half of the images in folders must be in the table.
    assert know_better(labelled(*"abb") | {"8": "a", "9": "b"}, folders)
    assert not know_better(labelled(*"ab") | {"8": "a", "9": "b"}, folders)
    assert not know_better({}, dict.fromkeys(folders, None))
    loose = dict.fromkeys(map(str, range(10, 30)))  # images outside of folders do not count
    assert not know_better(labelled(*"aaaabbbbba") | dict.fromkeys(loose, "a"), folders | loose)
