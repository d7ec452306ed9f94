"""What forms say of files and folders: those to read, those to write, those that have moved."""

import os

import pytest
from form_errors import errors, form, words
from made_runs import some_digits

from fiftyone_gradcam.app.operators import relocate
from fiftyone_gradcam.app.operators.backbone_fields import _may_hold_weights


@pytest.fixture(scope="module")
def dataset(tmp_path_factory):
    """A digit of each of three classes."""
    yield from some_digits(tmp_path_factory.mktemp("files") / "digits", "form files", per_class=1)


def test_a_file_of_weights_is_looked_at(dataset, tmp_path):
    path, chosen = tmp_path / "w.pth", {"way": "weights", "backbone": "resnet18"}

    def said(place) -> str | None:
        found = form("import_run", dataset, **chosen, weights_file=str(place))
        return errors(found).get("no_weights_file")

    assert said(tmp_path) == f"{str(tmp_path)!r} is a folder. Choose a file in it"
    assert said(path) == f"There is no file {str(path)!r}"
    for data, is_right in (
        (b"", False), (b"P", False), (b"\x80\x03", False), (b"text", False), (b"PK", True),
        (b"\x80\x02x", True),
    ):  # fmt: skip
        path.write_bytes(data)
        wrong = f"{str(path)!r} is not a weights file: it was not written by torch.save"
        assert said(path) == (None if is_right else wrong)
    assert not _may_hold_weights(str(tmp_path / "gone"))


def test_a_file_to_write_is_new_or_may_be_replaced(dataset, tmp_path):
    path = str(tmp_path / "a.html")
    for out, said in (
        (path, {}),
        (f"{tmp_path}/A.HTM", {}),
        (f"{tmp_path}/a.txt", {"ending": "HTML file must end in .html, not 'a.txt'"}),
        (str(tmp_path), {"folder": f"{str(tmp_path)!r} is a folder. Name a file in it"}),
    ):
        fields = form("report", dataset, out=out)
        assert errors(fields) == said
        assert "overwrite" not in fields
    assert errors(form("export_reviews", dataset, csv_path=f"{tmp_path}/a.txt")) == {}  # any
    with open(path, "w"):
        pass
    fields = form("report", dataset, out=path)
    said = f"{path!r} exists. Choose another name or check the box"
    assert errors(fields) == {"exists": said}
    assert fields["overwrite"].default is False
    assert errors(form("report", dataset, out=path, overwrite=True)) == {}
    assert "run" not in form("report", dataset, out=path)  # there is none


def test_images_are_not_exported_into_the_folders_of_the_dataset(dataset):
    home = os.path.dirname(os.path.dirname(dataset.first().filepath))
    said = errors(form("export_folders", dataset, folder=home))["not_apart"]
    assert said.startswith(f"{home!r} holds images of 'form files'")
    # A table is no image, and no files are replaced without a box.
    assert errors(form("export_folders", dataset, folder=home, how="list")) == {
        "not_empty": f"{home!r} is not empty. Choose another folder or check the box"
    }
    empty = errors(form("export_folders", dataset, view=dataset.limit(0), folder="/x"))
    assert empty == {"no_samples": "There are no samples here to export"}


def test_files_that_moved_are_counted_before_they_are_looked_for(dataset, monkeypatch):
    chosen = {"old": "/a", "new": "/b"}
    for count, name, said in (
        ((2, 4, 4), "found", "2 of 4 files are in this folder"),
        ((2, 3, 5), "found", "2 of 3 of 5 files are in this folder"),
        ((0, 3, 3), "none", "None of 3 files is in this folder"),
        ((0, 3, 5), "none", "None of 3 of 5 files is in this folder"),
    ):
        monkeypatch.setattr(relocate, "count_found", lambda count=count, **_: count)
        fields = form("relocate", dataset, **chosen)
        assert words(fields[name]) == said
        assert {"found", "none"} & {*fields} == {name}
        assert errors(fields) == ({"none": said} if name == "none" else {})
    monkeypatch.setattr(relocate, "likely_folder", lambda _: None)
    missing = {"no_old": "Folder before is missing", "no_new": "Folder now is missing"}
    assert errors(form("relocate", dataset)) == missing
    assert errors(form("relocate", dataset, old="/a")) == {"no_new": missing["no_new"]}
    monkeypatch.setattr(relocate, "likely_folder", lambda _: "/likely")
    fields = form("relocate", dataset)
    assert (errors(fields), fields["old"].default) == ({"no_new": missing["no_new"]}, "/likely")
    assert form("relocate", dataset, old="/a")["old"].default is None
