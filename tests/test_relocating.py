"""What `relocate` says and reports, and what its form counts before."""

import os
from pathlib import Path

import fiftyone as fo
import pytest

import fiftyone_gradcam as fg
from fiftyone_gradcam.workflow import relocating
from fiftyone_gradcam.workflow.relocating import count_found, likely_folder


@pytest.fixture
def dataset(tmp_path, name):
    """Seven samples of files in a folder "old" that was renamed to "new"; one is elsewhere."""
    dataset = fo.Dataset(name)
    for place in ("a/0", "a/1", "a/2", "b/3", "b/4", "b/5"):
        path = tmp_path / "old" / f"{place}.png"
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(place.encode())
        metadata = fo.ImageMetadata(size_bytes=3, width=1, height=1)
        dataset.add_sample(fo.Sample(str(path), metadata=metadata))
    dataset.add_sample(fo.Sample(str(tmp_path / "elsewhere.png")))
    (tmp_path / "elsewhere.png").touch()
    os.rename(tmp_path / "old", tmp_path / "new")
    return dataset


def test_what_was_not_found_is_named(dataset, tmp_path, capsys):
    old, new = tmp_path / "old", tmp_path / "new"
    (new / "a" / "0.png").unlink()
    (new / "b" / "3.png").write_bytes(b"larger")
    dataset.add_sample(fo.Sample(str(new / "b" / "4.png")))  # which has its file already
    steps = []
    found = fg.relocate(dataset, str(old), str(new), progress=lambda *step: steps.append(step))
    gone, other, taken = (str(old / x) for x in ("a/0.png", "b/3.png", "b/4.png"))
    assert (found.moved, found.missing, found.different) == (3, [gone], [other, taken])
    assert capsys.readouterr().out.splitlines() == [
        f"Dataset {dataset.name!r}: 3 of 6 samples now have files in {new}",
        f"Not in the new folder: 1 file, such as {gone}",
        f"Different files, or files of other samples, are in the place of 2 files, such as "
        f"{other}, {taken}",
    ]
    assert steps[-6:] == [(n, 6, f"{n} of 6 files") for n in range(1, 7)]
    with pytest.raises(ValueError, match=r"None of the 3 files .*/new/b/3\.png is another file$"):
        fg.relocate(dataset, str(old), str(new), progress=False)
    (new / "b").rename(tmp_path / "away")
    with pytest.raises(ValueError, match=r"None of the 3 files .*/a/0\.png does not exist$"):
        fg.relocate(dataset, str(old), str(new), progress=False)


def test_all_that_is_found_is_said_in_one_line(dataset, tmp_path, capsys, monkeypatch):
    monkeypatch.setenv("HOME", str(tmp_path))
    found = fg.relocate(dataset.limit(2), "~/old", "~/new/../new", progress=False)
    assert (found.moved, found.missing, found.different) == (2, [], [])
    words = f"Dataset {dataset.name!r}: 2 of 2 samples now have files in {tmp_path / 'new'}\n"
    assert capsys.readouterr().out == words
    assert [Path(path).exists() for path in dataset.values("filepath")] == [True] * 2 + [
        *[False] * 4,
        True,
    ]


def test_of_many_files_a_form_looks_for_some(dataset, tmp_path, monkeypatch):
    old, new = str(tmp_path / "old"), str(tmp_path / "new")
    assert count_found(dataset, old, new) == (6, 6, 6)
    monkeypatch.setattr(relocating, "MOST_LOOKED_AT", 4)
    assert count_found(dataset, old, new) == (3, 3, 6)  # each second one
    monkeypatch.setattr(relocating, "MOST_LOOKED_AT", 6)
    (tmp_path / "new" / "a" / "0.png").write_bytes(b"larger")
    (tmp_path / "new" / "a" / "1.png").unlink()
    dataset.skip(2).limit(1).set_values("metadata", [None])  # of any size
    assert count_found(dataset, old, new) == (4, 6, 6)


def test_the_folder_of_all_missing_files_is_likely_the_old_one(dataset, tmp_path):
    assert likely_folder(dataset) == str(tmp_path / "old")
    assert likely_folder(dataset.limit(3)) == str(tmp_path / "old" / "a")
    assert likely_folder(dataset.skip(6)) is None
