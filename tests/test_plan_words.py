"""All that the form of an import says of a plan."""

from test_plans import make

import fiftyone_gradcam as fg
from fiftyone_gradcam.app.operators.import_folders import _words

PLAIN = """\
4 files in 2 classes: the class is the name of the folder; the outer folder is the split.

| class | train | test |
| --- | --- | --- |
| cat | 1 | 1 |
| dog | 2 | 0 |"""
WITH_ALL = """\
5 files in 2 classes: the class is the name of the folder; the outer folder is the split.

| class | train | test | no split |
| --- | --- | --- | --- |
| cat | 1 | 1 | 0 |
| dog | 2 | 0 | 0 |
| *unlabeled* | 0 | 0 | 1 |

Skipped: 1 hidden or system file, 1 .txt file.

Left out: 1 empty file."""
WITHOUT_SPLITS = """\
2 files in 2 classes: the class is the name of the folder; there are no splits.

| class | images |
| --- | --- |
| cat | 1 |
| dog | 1 |"""


def test_a_form_says_what_is_imported_and_what_is_not(tmp_path):
    """A line for each kind of thing that is there, and none for what is not."""
    files = ("train/cat/1.jpg", "train/dog/2.jpg", "train/dog/3.jpg", "test/cat/4.jpg")
    root = make(tmp_path / "split", *files)
    assert _words(fg.plan_import(str(root))) == PLAIN
    for name in ("notes.txt", "train/dog/.hidden", "loose.jpg"):
        (root / name).write_text("x")
    (root / "train/cat/empty.jpg").touch()
    assert _words(fg.plan_import(str(root))) == WITH_ALL
    root = make(tmp_path / "plain", "cat/1.jpg", "dog/2.jpg")
    assert _words(fg.plan_import(str(root))) == WITHOUT_SPLITS
