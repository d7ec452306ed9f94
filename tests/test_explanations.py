"""Heatmaps on real datasets: targets, scales, storage, overlays, quality."""

import dataclasses
import os

import fiftyone as fo
import numpy as np
import pytest
import torch
from made_runs import make_run, some_digits
from PIL import Image

import fiftyone_gradcam as fg
from fiftyone_gradcam.dataset.heatmaps import heatmap_pixels, map_pixels
from fiftyone_gradcam.explain.cam import explain
from fiftyone_gradcam.explain.overlay import colors_of
from fiftyone_gradcam.images.batches import Images
from fiftyone_gradcam.model.backbones import get_backbone
from fiftyone_gradcam.model.checkpoint import load_checkpoint, save_checkpoint
from fiftyone_gradcam.workflow.exporting import _captions


def maps_of(run, paths, targets, **options):
    """Maps (one array (N, h, w) per target) computed beside the workflow."""
    backbone = get_backbone("small_cnn")
    (batch,) = Images(paths, 16).batches(len(paths))
    model, pixels = run.load_model(), backbone.normalize(batch.images)
    return [m.numpy() for m in explain(model, backbone, pixels, targets, **options).maps]


@pytest.fixture(scope="module")
def explained(trained):
    """The dataset, with every kind of heatmap of its run; one label is wrong on purpose."""
    wrong = trained.match_tags("test").first()
    wrong["ground_truth"] = fo.Classification(
        label="digit 2" if wrong.ground_truth.label != "digit 2" else "digit 1"
    )
    wrong.save()
    fg.predict(
        trained,
        "quick",
        heatmaps=("predicted", "label", "runner_up", "contrast"),
        heatmap_classes=["digit 1"],
        heatmap_field="cam",
        scale="pair",
    )
    return trained


def test_every_kind_of_target_is_stored(explained):
    run = fg.load_run(explained, "quick")
    view = explained.limit(20)
    paths = view.values("filepath")
    order = np.argsort(-np.array(view.values("prediction_scores")), 1)
    assert view.values("cam_runner_up.target") == [run.classes[i] for i in order[:, 1]]
    assert set(view.values("cam_digit_1.target")) == {"digit 1"}
    expected = maps_of(run, paths, ["runner_up", torch.full((20,), 1)])
    for name, maps in zip(("cam_runner_up", "cam_digit_1"), expected, strict=True):
        assert view.values(f"{name}.peak") == pytest.approx(maps.max((1, 2)), rel=1e-4, abs=1e-6)
    info = explained.get_field("cam_contrast").info
    assert info["kind"] == "contrast"
    assert info["heatmap"] == {
        "method": "gradcam", "signed": False, "layer": "features.stage3", "scale": "pair",
        "resolution": 224, "interpolation": "bicubic", "storage": "file",
    }  # fmt: skip


def test_contrast_is_the_difference_on_one_scale(explained):
    run = fg.load_run(explained, "quick")
    rows = zip(
        *explained.values(["ground_truth.label", "prediction.label", "cam_contrast"]), strict=True
    )
    for label, predicted, contrast in rows:
        assert (contrast is None) == (label == predicted)
    for sample in fg.mistakes(explained):
        targets = [run.classes.index(x.label) for x in (sample.prediction, sample.ground_truth)]
        first, second = (
            m[0] for m in maps_of(run, [sample.filepath], [torch.tensor([t]) for t in targets])
        )
        assert sample.cam_contrast.peak == pytest.approx(np.abs(first - second).max(), rel=1e-3)
        third = maps_of(run, [sample.filepath], ["runner_up", torch.tensor([1])])
        factor = max(np.abs(m).max() for m in (first, second, first - second, *third))
        for field, cam in (("cam", first), ("cam_label", second)):
            pixels = heatmap_pixels(sample[field])
            assert pixels.max() == pytest.approx(1 + 254 * cam.max() / factor, abs=12)
        pixels = map_pixels(sample, "cam_contrast", "cam_contrast_against")
        top = (first - second).max()
        if top > 0:
            assert pixels.max() == pytest.approx(128 + 127 * top / factor, abs=14)
        assert pixels.min() == pytest.approx(128 + 127 * (first - second).min() / factor, abs=14)


def test_one_scale_for_a_whole_call_and_in_the_database(trained):
    view = trained.limit(30)
    fg.predict(
        view, "quick", heatmap_field="run_cam", scale="run", storage="database", resolution=8,
        interpolation="nearest",
    )  # fmt: skip
    peaks = np.array(view.values("run_cam.peak"))
    assert view.values("run_cam.map_path") == [None] * 30
    tops = [heatmap_pixels(h).max() for h in view.values("run_cam")]
    assert tops == pytest.approx(1 + 254 * peaks / peaks.max(), abs=1)
    assert heatmap_pixels(view.first().run_cam).shape == (8, 8)
    assert trained.exists("run_cam").count() == 30
    folder = os.path.dirname(os.path.dirname(trained.first().gradcam.map_path))
    assert "run_cam" not in os.listdir(folder)


def test_methods_layers_and_signs_are_choices_of_predict(trained):
    run = fg.load_run(trained, "quick")
    view = trained.limit(6)
    for number, options in enumerate(
        (
            {"method": "layercam", "layer": "features.stage2"},
            {"method": "hirescam", "signed": True},
            {"method": "gradcam", "layer": "features.stage3.3"},  # before its batch norm
        )
    ):
        name = f"other_{number}"
        fg.predict(view, run, heatmap_field=name, **options)
        (maps,) = maps_of(run, view.values("filepath"), ["predicted"], **options)
        assert view.values(f"{name}.peak") == pytest.approx(np.abs(maps).max((1, 2)), rel=1e-4)
        assert set(view.values(f"{name}.method")) == {options["method"]}
        assert set(view.values(f"{name}.layer")) == {options.get("layer", "features.stage3")}
    quality = {"heatmap_field": "other_0", "steps": 2, "progress": False}
    own, same, other = (
        fg.explanation_quality(view.limit(1), run, **quality, **layer)
        for layer in ({}, {"layer": "features.stage2"}, {"layer": "features.stage3"})
    )
    assert own == same != other
    with pytest.raises(ValueError, match=r"no option 'colour'. Options: method, signed, layer"):
        fg.predict(trained, "quick", colour="red")
    with pytest.raises(ValueError, match=r"has no class 'cat'.*digit 0"):
        fg.predict(trained, "quick", heatmap_classes="cat")
    with pytest.raises(ValueError, match="no layer 'stage9'"):
        fg.predict(trained, "quick", heatmap_field="none_such", layer="stage9")
    assert trained.get_field("none_such") is None


def test_maps_of_zeros_are_stored_and_counted(trained, tmp_path, capsys):
    run = fg.load_run(trained, "quick")
    model, description = load_checkpoint(run.checkpoint)
    state = model.state_dict()
    state["classifier.1.weight"][2] = -1.0  # nothing can speak for the third class
    path = str(tmp_path / "dull.pt")
    save_checkpoint(path, state, description)
    dull = dataclasses.replace(run, checkpoint=path)
    view = trained.limit(7)
    fg.predict(view, dull, "dull", (), ("digit 2",), heatmap_field="dull_cam")
    assert view.values("dull_cam_digit_2.peak") == [0.0] * 7
    assert view.values("dull_cam_digit_2.focus") == [None] * 7
    assert not any(heatmap_pixels(h).any() for h in view.values("dull_cam_digit_2"))
    assert "7 heatmaps in 'dull_cam_digit_2' are zero everywhere" in capsys.readouterr().out


def test_overlays(explained, tmp_path):
    view = explained.limit(5)
    folder = tmp_path / "out" / "deep"
    paths = fg.export_overlays(view, str(folder), "cam", height=64, progress=False)
    assert [os.path.basename(p) for p in paths] == [
        *(f"{i:04d}_{os.path.splitext(os.path.basename(p))[0]}.jpg"
          for i, p in enumerate(view.values("filepath"), start=1)),
        "contact_sheet_1.jpg",
    ]  # fmt: skip
    sample = view.first()
    picture = np.asarray(Image.open(paths[0])).astype(int)
    assert picture.shape[1] == 3 * 64 + 2 * 8
    image = np.asarray(Image.open(sample.filepath).convert("RGB").resize((64, 64), 1)).astype(int)
    pixels = heatmap_pixels(sample.cam)
    grey = np.asarray(Image.fromarray(pixels).resize((64, 64), Image.Resampling.BILINEAR))
    colored = colors_of("jet")[grey].astype(int)
    for part, expected in (
        (picture[:64, :64], image),
        (picture[:64, 72:136], colored),
        (picture[:64, 144:208], (image + colored) / 2),
    ):
        assert np.abs(part - expected).mean() < 12  # JPEG
    assert (picture[64:] < 128).any()  # the caption
    with pytest.raises(FileExistsError, match=r"not empty. Choose another, or pass overwrite=True"):
        fg.export_overlays(view, str(folder), "cam")
    fg.export_overlays(view, str(folder), "cam", overwrite=True, contact_sheet=False)
    own = os.path.dirname(sample.filepath)
    for write in (fg.export_overlays, fg.mean_heatmaps):
        with pytest.raises(ValueError, match="holds images of .* Choose another folder"):
            write(view, folder=own, heatmap_field="cam", overwrite=True)
    with pytest.raises(NotADirectoryError, match="0001_.* is a file"):
        fg.export_overlays(view, paths[0], "cam")
    for wrong, message in (
        ({"colormap": "rainbowish"}, "Unknown colormap 'rainbowish'"),
        ({"alpha": 2}, r"alpha must lie in \[0, 1\], not 2"),
        ({"height": 3}, "height must be .* not 3"),
        ({"heatmap_field": "ground_truth"}, "'ground_truth' is not a heatmap field.*cam"),
    ):
        with pytest.raises(ValueError, match=message):
            fg.export_overlays(view, str(tmp_path / "no"), **wrong)
    assert not (tmp_path / "no").exists()


def test_a_contrast_shows_the_image_where_nothing_is_to_be_seen(explained, tmp_path):
    from fiftyone_gradcam.explain.overlay import overlay

    grey = Image.new("RGB", (4, 1), (100, 100, 100))
    pixels = np.array([[128, 255, 1, 0]], np.uint8)
    shown = np.asarray(overlay(grey, pixels, "jet", 1.0, signed=True))[0].tolist()
    assert shown[0] == shown[3] == [100, 100, 100]
    assert shown[1] == [128, 0, 0]
    assert shown[2] == colors_of("jet")[1].tolist()
    view = explained.exists("cam_contrast")
    paths = fg.export_overlays(view, str(tmp_path / "c"), "cam_contrast", contact_sheet=False)
    assert len(paths) == len(fg.mistakes(explained)) > 0
    own, predicted, scores = view.values(
        ["ground_truth.label", "prediction.label", "prediction.confidence"]
    )
    assert list(_captions(view, "cam_contrast", None, None)) == [
        f"label: {x}\npredicted: {y} {score:.2f}\nhigh for {y}, low for {x}"
        for x, y, score in zip(own, predicted, scores, strict=True)
    ]


def test_explanation_quality_is_stored_beside_the_heatmap(explained, capsys):
    view = explained.match_tags("test").limit(12)
    means = fg.explanation_quality(view, "quick", "cam", steps=4, progress=False)
    for measure in ("deletion", "insertion", "drop"):
        for rival, name in (("heatmap", ""), ("gaussian", "_gaussian"), ("random", "_random")):
            values = view.values(f"cam.{measure}{name}")
            assert means[measure][rival] == pytest.approx(np.mean(values))
            assert isinstance(explained.get_field(f"cam.{measure}{name}"), fo.FloatField)
    assert explained.exists("cam.deletion").count() == 12
    # Noise, drawn on the same coarse grid, must not explain as well as the map does.
    assert means["insertion"]["heatmap"] > means["insertion"]["random"]
    means_of = [x for x in capsys.readouterr().out.splitlines() if x.endswith(" is good")]
    assert [x.split()[0] for x in means_of if "high is" in x] == ["insertion"]
    assert [x.split()[0] for x in means_of if "low is" in x] == ["deletion", "drop"]
    again = fg.explanation_quality(view, "quick", "cam", steps=4, progress=False)
    assert again == means
    assert set(means) == {"deletion", "insertion", "drop"}
    more = fg.explanation_quality(view, "quick", "cam", steps=4, road=True, progress=False)
    assert more.pop("road")["gaussian"] == pytest.approx(np.mean(view.values("cam.road_gaussian")))
    assert more == means
    assert "road" in capsys.readouterr().out
    with pytest.raises(ValueError, match="'cam_label' has no heatmaps of the class that 'quick'"):
        fg.explanation_quality(view, "quick", "cam_label")
    other = make_run(explained, "other", files=False)
    with pytest.raises(
        ValueError, match="'cam' has no .* 'other' predicts, but heatmaps of 'quick'"
    ):
        fg.explanation_quality(view, other, "cam")
    fg.delete_run(explained, "other")
    with pytest.raises(ValueError, match="steps must be .* not 1"):
        fg.explanation_quality(view, "quick", "cam", steps=1)
    fg.predict(view, "quick", heatmap_field="cam", scale="pair")
    assert explained.exists("cam.deletion").count() == 0  # another map, another quality


def test_what_shows_predictions_compares_with_the_labels_that_they_were_compared_with(
    tmp_path, name
):
    for dataset in some_digits(tmp_path / "digits", name, per_class=2):
        make_run(dataset, "made", files=False)
        labels = ["digit 2", "digit 0", "digit 1"] * 2
        dataset.set_values("own", [fo.Classification(label=label) for label in labels])
        fg.predict(dataset, "made", label_field="own", progress=False)
        found = dataset.values("prediction.label")
        wrong = [i for i, (own, one) in enumerate(zip(labels, found, strict=True)) if own != one]
        assert dataset.values("ground_truth.label") != labels
        explained = [fg.explain_sample(sample, "made") for sample in dataset]
        assert [(x.label_field, x.label) for x in explained] == [("own", x) for x in labels]
        captions = [*_captions(dataset, "gradcam", None, None)]
        assert [words.split("\n")[0] for words in captions] == [f"label: {x}" for x in labels]
        ids = dataset.values("id")
        assert sorted(fg.mistakes(dataset).values("id")) == sorted(ids[i] for i in wrong)
        scores = dataset.values("prediction_scores")
        own = [row[int(label[-1])] for row, label in zip(scores, labels, strict=True)]
        lowest = fg.lowest_scores(dataset, count=6).values("id")
        assert lowest == [ids[i] for i in np.argsort(own, kind="stable")]
