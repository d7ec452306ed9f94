"""Truncated files by choice: all verbs use what they hold, or none does."""

import fiftyone as fo
import pytest
from conftest import QUICK, save_digits
from PIL import Image

import fiftyone_gradcam as fg

CHOICES = {**QUICK, "epochs": 2}


@pytest.fixture
def folder(tmp_path):
    """Three classes of digits; one file of noise in each is cut off in its middle."""
    root = save_digits(tmp_path / "digits", per_class=12)
    for path in sorted(root.glob("*/000.png")):
        Image.effect_noise((64, 64), 80).save(path)
        path.write_bytes(path.read_bytes()[:2000])
    return root


def test_they_are_left_out_unless_asked_for(folder, name, capsys):
    dataset = fg.import_folders(str(folder), name, progress=False)
    assert len(dataset) == 33
    assert dataset.info["import_folders"]["skipped"] == {"truncated": 3}
    again = fg.import_folders(str(folder), name, keep_truncated=True, progress=False)
    assert len(again) == 36
    assert "Note: 3 truncated files, whose available part is used" in capsys.readouterr().out
    kept = again.match_tags("truncated")
    assert sorted(p.rsplit("/", 1)[1] for p in kept.values("filepath")) == ["000.png"] * 3
    assert set(kept.values("metadata.width")) == {64}
    fg.import_folders(str(folder), name, progress=False)  # they are in: nothing changes
    assert len(fo.load_dataset(name)) == 36


def test_an_import_that_fails_leaves_the_choice_as_it_was(folder, name, monkeypatch):
    dataset = fg.import_folders(str(folder), name, progress=False)
    with monkeypatch.context() as patch:
        patch.setattr("fiftyone_gradcam.dataset.importing.record", lambda *args: 1 / 0)
        with pytest.raises(ZeroDivisionError):
            fg.import_folders(str(folder), name, keep_truncated=True, progress=False)
    dataset = fo.load_dataset(name)
    dataset.reload()
    assert len(dataset) == 33
    assert dataset.info["import_folders"]["keep_truncated"] is False
    assert dataset.info["import_folders"]["whole"]


def test_all_verbs_use_them(folder, name, tmp_path):
    dataset = fg.import_folders(str(folder), name, keep_truncated=True, progress=False)
    fg.split(dataset, {"train": 0.7, "val": 0.3})
    kept = dataset.match_tags("truncated")
    run = fg.fine_tune(dataset, "run", watch=kept.values("id"), **CHOICES)
    assert run.watch["ids"] == kept.values("id")
    assert run.val_images == len(dataset.match_tags("val"))
    fg.predict(dataset, run, progress=False)
    assert dataset.count("prediction") == dataset.count("gradcam") == 36
    assert len(fg.find_label_issues(dataset, folds=2, **CHOICES, progress=False)) == 36
    assert len(fg.export_overlays(kept, str(tmp_path / "o"), progress=False)) == 4  # a sheet too
    assert len(fg.explanation_quality(kept, run, steps=2, progress=False)) == 3  # measures
    dataset.apply_model(run.as_fiftyone_model("cpu"), label_field="applied", batch_size=4)
    assert dataset.values("applied.label") == dataset.values("prediction.label")
    theirs = dataset.clone()  # of somebody who was not asked
    theirs.info = {}
    theirs.save()
    fg.predict(theirs, run, "other", heatmaps=(), progress=False)
    assert theirs.count("other") == 33
    theirs.delete()
