"""A dataset that an earlier version wrote, with all its verbs, loads and works as it did.

`earlier/write.py` has written it, by the version before passes over images had an engine.
"""

import os
import tarfile
from pathlib import Path

import fiftyone as fo
import fiftyone.core.odm as foo
import numpy as np
import pytest
from bson import json_util

import fiftyone_gradcam as fg
from fiftyone_gradcam.dataset.heatmaps import heatmap_pixels, map_pixels

ARCHIVE = Path(__file__).parent / "earlier" / "before_passes.tar.xz"


@pytest.fixture
def earlier(tmp_path):
    """The dataset, its images in a temporary folder, its other files where this plugin's are."""
    with tarfile.open(ARCHIVE) as archive:
        archive.extractall(tmp_path, filter="data")
    places = {
        "{root}/images": str(tmp_path / "files" / "images"),
        "{root}/datasets": os.path.expanduser(fo.config.default_dataset_dir),
    }
    source = tmp_path / "files" / "datasets"
    for path in source.rglob("*"):
        if path.is_file():
            target = Path(places["{root}/datasets"]) / path.relative_to(source)
            target.parent.mkdir(parents=True, exist_ok=True)
            path.rename(target)
    text = (tmp_path / "documents.json").read_text()
    for mark, place in places.items():
        text = text.replace(mark, place)
    database = foo.get_db_conn()
    for name, documents in json_util.loads(text).items():
        database[name].insert_many(documents)
    dataset = fo.load_dataset("earlier")
    yield dataset
    dataset.delete()


def test_all_that_it_holds_is_read(earlier):
    assert fg.list_runs(earlier) == ["small"]
    run = fg.load_run(earlier, "small")
    assert (len(run.history), run.val_images, run.recipe["backbone"]) == (3, 7, "small_cnn")
    assert len(run.watch["ids"]) == 2
    with np.load(run.watch["maps"]) as watched:
        assert watched["maps"].shape[:2] == (3, 2)
    assert run.network("cpu").classes == ("digit 0", "digit 1", "digit 2")
    assert earlier.count_sample_tags() == {"train": 22, "val": 7, "test": 7}
    assert len(earlier.exists("prediction")) == len(earlier.exists("gradcam_label")) == 36
    contrast = earlier.exists("gradcam_contrast")
    assert len(contrast) == 10
    pixels = map_pixels(contrast.first(), "gradcam_contrast", "gradcam_contrast_against")
    assert pixels.min() < 128 < pixels.max()
    assert len(earlier.exists("label_quality")) == 36
    assert earlier.count_values("gradcam.deletion")[None] == 30
    means = fg.mean_heatmaps(earlier)
    assert list(means) == ["digit 0", "digit 1", "digit 2"]


def test_predictions_and_heatmaps_are_made_again_as_they_were(earlier, capsys):
    kinds = ("predicted", "label", "contrast")
    before = {
        sample.id: (sample.prediction, sample.gradcam, heatmap_pixels(sample.gradcam))
        for sample in earlier
    }
    fg.predict(earlier, "small", heatmaps=kinds, resume=True, progress=False)
    assert "36 of 36 images already have values of 'small'" in capsys.readouterr().out
    fg.predict(earlier, "small", heatmaps=kinds, progress=False)
    assert len(earlier.exists("gradcam_contrast")) == 10
    for sample in earlier:
        prediction, heatmap, pixels = before[sample.id]
        assert sample.prediction.label == prediction.label
        assert sample.prediction.logits == pytest.approx(prediction.logits, abs=1e-4)
        for name in ("confidence", "label_score", "margin", "entropy"):
            assert sample.prediction[name] == pytest.approx(prediction[name], abs=1e-4)
        for name in ("peak", "focus", "border", "centroid"):
            assert sample.gradcam[name] == pytest.approx(heatmap[name], rel=1e-3, abs=1e-4)
        now = heatmap_pixels(sample.gradcam)
        assert np.abs(now.astype(int) - pixels).max() <= 1
        assert sample.gradcam.map_path != heatmap.map_path
        assert not os.path.exists(heatmap.map_path)


def test_its_run_is_deleted_with_its_files(earlier):
    checkpoint = fg.load_run(earlier, "small").checkpoint
    fg.delete_run(earlier, "small")
    assert not os.path.exists(checkpoint)
    assert fg.list_runs(earlier) == []
