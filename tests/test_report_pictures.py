"""The pictures of a report: their sizes, and what is drawn where a file is gone."""

import io

import fiftyone as fo
import numpy as np
from PIL import Image

from fiftyone_gradcam.dataset.fields import describe_field
from fiftyone_gradcam.dataset.report_pictures import overlay_of, picture_of
from fiftyone_gradcam.dataset.report_results import mistakes_of, results_of
from fiftyone_gradcam.images.decode import DEFAULT


def mean_of(picture) -> np.ndarray:
    return np.asarray(Image.open(io.BytesIO(picture.jpeg)).convert("RGB")).mean((0, 1))


def test_large_images_become_smaller_and_small_ones_stay_as_they_are(tmp_path):
    for size, shown in (
        ((440, 110), (220, 55)),
        ((220, 220), (220, 220)),
        ((221, 10), (220, 10)),
        ((30, 20), (30, 20)),
    ):
        path = str(tmp_path / "image.png")
        Image.new("RGB", size, (200, 100, 50)).save(path)
        found = picture_of(path, DEFAULT)
        assert (found.width, found.height) == Image.open(io.BytesIO(found.jpeg)).size == shown
        assert np.abs(mean_of(found) - [200, 100, 50]).max() < 3
    (tmp_path / "image.png").write_bytes(b"no image")
    assert picture_of(path, DEFAULT) is None
    assert picture_of(str(tmp_path / "gone.png"), DEFAULT) is None


def test_a_heatmap_is_drawn_where_its_file_and_the_image_are_there(tmp_path):
    path, heatmap = str(tmp_path / "image.png"), str(tmp_path / "map.png")
    Image.new("RGB", (40, 20), (0, 0, 0)).save(path)
    Image.fromarray(np.full((20, 40), 255, np.uint8)).save(heatmap)
    own = ("cam", None, False, DEFAULT)
    sample = fo.Sample(path, cam=fo.Heatmap(map_path=heatmap))
    picture, is_drawn = overlay_of(sample, *own)
    assert (picture.width, picture.height, is_drawn) == (40, 20, True)
    dark_red = np.array([64, 0, 0])  # the highest value of jet, at half opacity over black
    assert np.abs(mean_of(picture) - dark_red).max() < 3
    sample["cam"].map_path = str(tmp_path / "gone.png")
    picture, is_drawn = overlay_of(sample, *own)
    assert (mean_of(picture).max(), is_drawn) == (0, False)
    sample.filepath = str(tmp_path / "gone.png")
    assert overlay_of(sample, *own) == (None, False)


def test_mistakes_are_shown_with_their_heatmap_if_they_have_one(tmp_path, name):
    dataset, heatmap = fo.Dataset(name), str(tmp_path / "map.png")
    Image.fromarray(np.full((20, 40), 255, np.uint8)).save(heatmap)
    for number in range(3):
        path = str(tmp_path / f"{number}.png")
        Image.new("RGB", (40, 20), (0, 0, 0)).save(path)
        sample = fo.Sample(path, own=fo.Classification(label="a"))
        sample["found"] = fo.Classification(label="b", confidence=1 - number / 4)
        dataset.add_sample(sample)

    def shown() -> list[tuple]:
        results, judged = results_of(dataset, "own", "found")
        found = mistakes_of(judged, results, "own", "found")["a"]
        assert [one.score for one in found] == [1, 0.75, 0.5]
        return [(one.has_heatmap, mean_of(one.picture).max() > 50) for one in found]

    assert shown() == [(False, False)] * 3
    dataset.add_sample_field("cam", fo.EmbeddedDocumentField, embedded_doc_type=fo.Heatmap)
    describe_field(dataset, "cam", "c", kind="predicted", prediction_field="found")
    sample = dataset.skip(1).first()
    sample["cam"] = fo.Heatmap(map_path=heatmap)
    sample.save()
    assert shown() == [(False, False), (True, True), (False, False)]
