"""Runs that FiftyOne applies."""

import os

import fiftyone as fo
import numpy as np
import pytest
from made_runs import make_run, some_digits
from PIL import Image

import fiftyone_gradcam as fg
from fiftyone_gradcam.images.decode import ImageError


def add_odd_images(folder) -> list[str]:
    """A JPEG turned by its EXIF data, a grey, a wide, a tall, a transparent one, one of 16 bits."""
    folder.mkdir()
    random = np.random.default_rng(0)
    low = Image.fromarray(random.integers(0, 256, (6, 9, 3), np.uint8))
    wide = low.resize((180, 120), Image.Resampling.BICUBIC)
    exif = Image.Exif()
    exif[0x0112] = 6
    wide.save(folder / "rotated.jpg", exif=exif, quality=95)
    wide.convert("L").save(folder / "grey.png")
    wide.save(folder / "wide.png")
    wide.rotate(90, expand=True).save(folder / "tall.jpg", quality=95)
    clear = wide.copy()
    clear.putalpha(Image.linear_gradient("L").resize(wide.size))
    clear.save(folder / "transparent.png")
    deep = np.asarray(wide.convert("L")).astype(np.uint16) * 257
    Image.fromarray(deep).save(folder / "deep.png")
    return sorted(str(path) for path in folder.iterdir())


@pytest.fixture
def odd(tmp_path, name) -> fo.Dataset:
    """Some digits of three classes, and pictures of every kind."""
    for dataset in some_digits(tmp_path / "digits", name):
        dataset.add_samples([fo.Sample(path) for path in add_odd_images(tmp_path / "odd")])
        yield dataset


@pytest.mark.parametrize("resize", ["squash", "crop", "letterbox"])
def test_fiftyone_applies_a_run_as_predict_does(odd, resize):
    run = make_run(odd, "a", resize=resize)
    fg.predict(odd, run, heatmaps=())
    labels, confidences, logits = odd.values(
        ["prediction.label", "prediction.confidence", "prediction.logits"]
    )
    assert len(set(labels)) == 3
    assert max(confidences) - min(confidences) > 0.1
    model = run.as_fiftyone_model("cpu")
    for batch_size, workers in ((1, 0), (4, 0), (4, 2), (None, None)):
        options = {"batch_size": batch_size, "num_workers": workers, "skip_failures": False}
        options["pin_memory"] = workers == 0  # FiftyOne warns that there is no GPU
        odd.apply_model(model, label_field="applied", store_logits=True, **options)
        assert odd.values("applied.label") == labels
        assert odd.values("applied.confidence") == pytest.approx(confidences, abs=1e-4)
        assert np.stack(odd.values("applied.logits")) == pytest.approx(np.stack(logits), abs=1e-3)
        odd.delete_sample_field("applied")
    odd.limit(2).apply_model(model, label_field="applied", batch_size=4)
    assert odd.values("applied.logits") == [None] * len(odd)
    assert odd.exists("applied").values("applied.label") == labels[:2]


def test_resizes_differ_where_they_should(odd):
    odd = odd.match(fo.ViewField("filepath").contains_str("wide"))
    found = {}
    for resize in ("squash", "crop", "letterbox"):
        run = make_run(odd._root_dataset, resize, resize=resize)
        found[resize] = run.as_fiftyone_model().predict(odd.first().filepath).confidence
    assert len({round(confidence, 3) for confidence in found.values()}) == 3


def test_a_model_predicts_arrays_and_pictures(odd, tmp_path):
    run = make_run(odd, "a", resize="letterbox")
    model = run.as_fiftyone_model()
    fg.predict(odd, run, heatmaps=())
    stored = {os.path.basename(s.filepath): s.prediction for s in odd.iter_samples()}
    folder = tmp_path / "odd"
    for name in ("wide.png", "grey.png", "transparent.png"):
        with Image.open(folder / name) as image:
            array = np.asarray(image)
        forms = [array, Image.fromarray(array), folder / name]
        forms += [array[..., None]] if array.ndim == 2 else []
        for found in [*map(model.predict, forms), *model.predict_all(forms)]:
            assert isinstance(found, fo.Classification)
            assert found.label == stored[name].label
            assert found.confidence == pytest.approx(stored[name].confidence, abs=1e-4)
            assert found.logits is None
    with Image.open(folder / "rotated.jpg") as image:
        turned = np.rot90(np.asarray(image), 3)  # an array is taken to be upright
    found = model.predict(turned)
    assert found.confidence == pytest.approx(stored["rotated.jpg"].confidence, abs=0.02)
    assert model.predict_all([]) == []
    for wrong in (np.zeros((4, 4, 2), np.uint8), np.zeros((4, 4, 3)), np.zeros(4, np.uint8)):
        with pytest.raises(ValueError, match="An image is a uint8 array"):
            model.predict(wrong)
    with pytest.raises(TypeError, match="not int"):
        model.predict(3)
    with pytest.raises(ImageError, match="file not found"):
        model.predict(str(folder / "gone.png"))


def test_thresholds_classes_and_files_that_are_no_images(odd, tmp_path):
    run = make_run(odd, "a")
    fg.predict(odd, run, heatmaps=())
    labels, confidences = odd.values(["prediction.label", "prediction.confidence"])
    middle = sorted(confidences)[len(confidences) // 2]
    model = run.as_fiftyone_model()
    odd.apply_model(model, label_field="sure", confidence_thresh=middle - 1e-3, batch_size=4)
    expected = [x if c >= middle - 1e-3 else None for x, c in zip(labels, confidences, strict=True)]
    assert None in expected
    assert odd.values("sure.label") == expected
    odd.apply_model(model, label_field="ones", classes=["digit 1"], batch_size=4)
    assert odd.values("ones.label") == [x if x == "digit 1" else None for x in labels]
    (tmp_path / "broken.jpg").write_bytes(b"broken")
    broken = odd.add_sample(fo.Sample(str(tmp_path / "broken.jpg")))
    odd.apply_model(model, label_field="applied", batch_size=1)
    assert odd.values("applied.label") == [*labels, None]
    for workers in (0, 1):
        with pytest.raises(ValueError, match=r"broken\.jpg: not an image"):
            odd.select(broken).apply_model(
                model, label_field="x", num_workers=workers, skip_failures=False
            )


def test_one_image_is_seen_as_among_others(odd):
    model = make_run(odd, "a").as_fiftyone_model("cpu")
    with pytest.raises(ValueError, match="predict"):
        model.get_embeddings()
    paths = odd.values("filepath")[:3]
    labels, rows = model.predict_all(paths), model.embed_all(paths)
    assert rows.shape == (3, 128)
    assert len({row.tobytes() for row in rows}) == 3
    for path, label, row in zip(paths, labels, rows, strict=True):
        found = model.predict(path)
        assert (found.label, found.logits) == (label.label, None)
        assert found.confidence == pytest.approx(label.confidence, abs=1e-5)
        for seen in (model.embed(path), *model.get_embeddings()):
            assert seen == pytest.approx(row, abs=1e-4)
    model.preprocess = False  # as if FiftyOne's workers had done it
    ready = [model.transforms(path) for path in paths]
    assert model.embed(ready[1]) == pytest.approx(rows[1], abs=1e-4)
    assert model.predict(ready[2]).label == labels[2].label
