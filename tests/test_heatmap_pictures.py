"""Captions, contact sheets and means of heatmaps whose pixels are known."""

import os

import fiftyone as fo
import numpy as np
import pytest
from PIL import Image

import fiftyone_gradcam as fg
from fiftyone_gradcam.dataset.fields import describe_field
from fiftyone_gradcam.explain.overlay import colors_of
from fiftyone_gradcam.workflow.exporting import _captions, _write_means

#        label, prediction, confidence, class of the heatmap, its pixels
ROWS = [
    ("ant", "ant", 0.75, "ant", 255),
    ("ant", "bee", None, "bee", 0),  # nothing seen
    ("bee", "bee", 0.5, "ant", 128),
    (None, None, None, "ant", 255),
]


@pytest.fixture
def dataset(tmp_path, name):
    """Four gray images with a label, a prediction and a heatmap each."""
    path = str(tmp_path / "gray.png")
    Image.new("RGB", (8, 4), (100, 100, 100)).save(path)
    samples = []
    for label, predicted, confidence, target, pixel in ROWS:
        sample = fo.Sample(path, text=label and label.upper())
        sample["truth"] = label and fo.Classification(label=label)
        found = fo.Classification(label=predicted, confidence=confidence)
        sample["prediction"] = predicted and found
        sample["cam"] = fo.Heatmap(map=np.full((4, 4), pixel, np.uint8), target=target)
        samples.append(sample)
    dataset = fo.Dataset(name)
    dataset.add_samples(samples, dynamic=True, progress=False)
    return dataset


def describe(dataset, kind: str, **facts) -> None:
    describe_field(dataset, "cam", "made up", kind=kind, label_field="truth", **facts)


def test_captions_name_the_class_of_the_heatmap_unless_it_is_the_prediction(dataset):
    describe(dataset, "label")
    assert [*_captions(dataset, "cam", None, None)] == [
        "label: ant\npredicted: ant 0.75",
        "label: ant\npredicted: bee 0.00",
        "label: bee\npredicted: bee 0.50\nmap of ant",
        "label: -\nmap of ant",
    ]
    describe(dataset, "against:label")
    assert [*_captions(dataset, "cam", None, "text")] == [
        "label: ANT\npredicted: ant 0.75\nagainst ant",
        "label: ANT\npredicted: bee 0.00\nagainst bee",
        "label: BEE\npredicted: bee 0.50\nagainst ant",
        "label: -\nagainst ant",
    ]
    dataset.set_values("cam.target", [None] * 4)  # as in the user's own heatmaps
    found = [*_captions(dataset, "cam", None, None)]
    assert [words for words in found if "against None" not in words] == []
    describe(dataset, "label")
    found = [*_captions(dataset, "cam", None, None)]
    assert [words for words in found if "map of" in words] == []
    dataset.delete_sample_field("prediction")  # as delete_run does; the heatmaps are the user's
    describe(dataset, "predicted")
    found = [*_captions(dataset, "cam", "prediction", None)]
    assert found == ["label: ant", "label: ant", "label: bee", "label: -"]


def test_a_contact_sheet_has_sixty_overlays(dataset, tmp_path, capsys):
    describe(dataset, "predicted")
    for sample in [*dataset] * 15:
        dataset.add_sample(fo.Sample(sample.filepath, cam=sample.cam))
    steps, folder = [], str(tmp_path / "out")
    options = {"height": 32, "progress": lambda *step: steps.append(step)}
    paths = fg.export_overlays(dataset.limit(61), folder, "cam", **options)
    names = [os.path.basename(path) for path in paths]
    assert names == [
        *(f"{number:04d}_gray.jpg" for number in range(1, 62)),
        "contact_sheet_1.jpg",
        "contact_sheet_2.jpg",
    ]
    assert sorted(os.listdir(folder)) == sorted(names)
    assert f"Wrote 61 overlays and 2 contact sheets to {folder}\n" in capsys.readouterr().out
    assert steps[-1] == (61, 61, "61 of 61")
    Image.new("RGB", (8, 8)).save(tmp_path / "90.jpg", quality=90)
    assert Image.open(paths[0]).quantization == Image.open(tmp_path / "90.jpg").quantization
    first, second = (Image.open(path) for path in paths[-2:])
    assert first.height > 2 * second.height
    again = fg.export_overlays(dataset.limit(60), str(tmp_path / "60"), "cam", height=32)
    assert [os.path.basename(path) for path in again[59:]] == ["0060_gray.jpg", names[-2]]


def test_a_heatmap_that_cannot_be_read_is_left_out(dataset, tmp_path, capsys):
    describe(dataset, "predicted")
    lost = str(tmp_path / "lost.png")
    second = dataset.skip(1).first()
    second["cam"] = fo.Heatmap(map_path=lost)
    second.save()
    third = dataset.skip(2).first()
    third.filepath = str(tmp_path / "gone.png")
    third.save()
    folder = str(tmp_path / "out")
    paths = fg.export_overlays(dataset.limit(3), folder, "cam", contact_sheet=False)
    assert [os.path.basename(path) for path in paths] == ["0001_gray.jpg"]
    printed = capsys.readouterr().out
    assert "Left out 2 images:\n  1 heatmap file missing\n  1 file not found\n" in printed
    assert f"  such as {second.filepath}, {third.filepath}\n" in printed
    assert f"Wrote 1 overlay and 0 contact sheets to {folder}" in printed
    with pytest.raises(ValueError, match=r"heatmap file missing"):
        fg.export_overlays(dataset.select(second.id), folder, "cam", overwrite=True)
    dataset.set_values("cam", [None] * 4)
    words = "No sample here has a heatmap in 'cam'. Call predict"
    with pytest.raises(ValueError, match=words):
        fg.export_overlays(dataset, str(tmp_path / "none"), "cam")
    with pytest.raises(ValueError, match="height must be a whole number of at least 32, not 31"):
        fg.export_overlays(dataset, str(tmp_path / "none"), "cam", height=31)
    for height in (True, 64.5):
        with pytest.raises(ValueError, match=f"height must be .* not {height}"):
            fg.export_overlays(dataset, str(tmp_path / "none"), "cam", height=height)
    assert not os.path.exists(tmp_path / "none")


def test_means_by_hand(dataset, tmp_path, capsys):
    describe(dataset, "predicted")
    folder = tmp_path / "means"
    found = fg.mean_heatmaps(dataset, "cam", folder=str(folder))
    assert list(found) == ["ant", "bee"]  # not of what has no label
    assert (found["ant"] == 0.5).all()  # of 1 and of what was not seen, which is 0
    assert found["bee"] == pytest.approx(127 / 254)
    assert found["ant"].shape == (224, 224)
    by_text = fg.mean_heatmaps(dataset, "cam", "text")
    assert [(name, mean[0, 0]) for name, mean in by_text.items()] == [("ANT", 0.5), ("BEE", 0.5)]
    assert sorted(os.listdir(folder)) == ["mean_ant.png", "mean_bee.png", "means.png"]
    assert f"Wrote 2 mean heatmaps to {folder}\n" in capsys.readouterr().out
    hottest = np.asarray(Image.open(folder / "mean_ant.png").convert("RGB"))
    assert (hottest == colors_of("jet")[255]).all()  # the largest of all means
    words = r"a heatmap in 'cam' and a label in 'truth'. Call predict\(\) first"
    with pytest.raises(ValueError, match=words):
        fg.mean_heatmaps(dataset.skip(3), "cam")
    with pytest.raises(FileExistsError, match="is not empty"):
        fg.mean_heatmaps(dataset, "cam", folder=str(folder))
    fg.mean_heatmaps(dataset.limit(1), "cam", folder=str(folder), overwrite=True)
    assert f"Wrote 1 mean heatmap to {folder}\n" in capsys.readouterr().out
    # As earlier versions stored evidence for and against a class, in one picture.
    describe(dataset, "predicted", heatmap={"signed": True})
    assert (fg.mean_heatmaps(dataset.limit(1), "cam")["ant"] == 1).all()
    assert (fg.mean_heatmaps(dataset.limit(2), "cam")["ant"] == 0.5).all()
    assert (fg.mean_heatmaps(dataset.skip(2), "cam")["bee"] == 0).all()
    dataset.set_values("cam.map", [np.full((4, 4), 1, np.uint8)] * 4)
    assert (fg.mean_heatmaps(dataset.limit(1), "cam")["ant"] == -1).all()


def test_means_without_evidence_are_written_as_such(tmp_path):
    means = {"a/b": np.zeros((9, 9)), "a:b": np.zeros((9, 9))}
    _write_means(means, {"a/b": 1, "a:b": 2}, False, str(tmp_path / "m"), "jet", False)
    names = sorted(os.listdir(tmp_path / "m"))
    assert names == ["mean_a_b.png", "mean_a_b_2.png", "means.png"]
    for name in names[:2]:
        picture = np.asarray(Image.open(tmp_path / "m" / name).convert("RGB"))
        assert (picture == colors_of("jet")[1]).all()
