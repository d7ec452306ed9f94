"""Heatmaps on real datasets: targets, scales, storage, pictures, faithfulness, watching."""

import dataclasses
import os

import fiftyone as fo
import numpy as np
import pytest
import torch
from conftest import QUICK, save_digits
from PIL import Image, ImageDraw

import fiftyone_gradcam as fg
from fiftyone_gradcam.dataset.heatmaps import heatmap_pixels
from fiftyone_gradcam.explain.cam import explain
from fiftyone_gradcam.explain.faithfulness import centred_gaussian, faithfulness
from fiftyone_gradcam.explain.overlay import colors_of
from fiftyone_gradcam.images.batches import Images
from fiftyone_gradcam.model.backbones import get_backbone
from fiftyone_gradcam.model.checkpoint import load_checkpoint, save_checkpoint


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
        pixels = heatmap_pixels(sample.cam_contrast)
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
        ({"method": "layercam", "layer": "features.stage2"}, {"method": "hirescam", "signed": True})
    ):
        name = f"other_{number}"
        fg.predict(view, run, heatmap_field=name, **options)
        (maps,) = maps_of(run, view.values("filepath"), ["predicted"], **options)
        assert view.values(f"{name}.peak") == pytest.approx(np.abs(maps).max((1, 2)), rel=1e-4)
        assert set(view.values(f"{name}.method")) == {options["method"]}
        assert set(view.values(f"{name}.layer")) == {options.get("layer", "features.stage3")}
    with pytest.raises(ValueError, match=r"no option 'colour'. Options: method, signed, layer"):
        fg.predict(trained, "quick", colour="red")
    with pytest.raises(ValueError, match=r"knows no class 'cat'.*digit 0"):
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


@pytest.mark.parametrize("resize", ["crop", "letterbox"])
def test_a_run_sees_images_as_it_was_trained(tmp_path, name, resize):
    root = save_digits(tmp_path / "d", per_class=8, side=20)
    for path in root.glob("*/*.png"):
        wide = Image.new("L", (60, 20))
        wide.paste(Image.open(path), (20, 0))
        wide.save(path)
    dataset = fg.import_folders(str(root), name)
    run = fg.fine_tune(dataset.limit(24), "r", resize=resize, **{**QUICK, "epochs": 1})
    assert run.recipe["resize"] == resize
    fg.predict(dataset, "r")
    inside = np.zeros((20, 60), bool)
    inside[2:18, 22:38] = True  # crop: 17.5 pixels in the middle, whole ones inside them
    for sample in dataset.limit(5):
        pixels = heatmap_pixels(sample.gradcam)
        assert pixels.shape == (20, 60)
        if sample.gradcam.peak > 0:
            assert np.array_equal(pixels > 0, inside if resize == "crop" else inside | True)


def test_a_pretrained_classifier_as_it_is(real, name, tmp_path):
    dataset = fo.Dataset(name)
    photos = sorted((real / "data/hymenoptera/val/bees").glob("*.jpg"))[:12]
    dataset.add_samples([fo.Sample(str(p)) for p in photos])
    weights = str(real / "weights/squeezenet1_1.pth")
    fg.predict(dataset, "squeezenet1_1", weights=weights, heatmaps=("predicted", "runner_up"))
    labels = dataset.values("prediction.label")
    assert labels.count("bee") >= 6
    words = (real / "weights/synset_words.txt").read_text().splitlines()
    classes = dataset.get_field("prediction").info["classes"]
    assert len(classes) == len(words) == 1000
    assert all(c in w for c, w in zip(classes[300:320], words[300:320], strict=True))
    assert [len(s) for s in dataset.values("prediction_scores")] == [1000] * 12
    assert dataset.exists("gradcam").count() == dataset.exists("gradcam_runner_up").count() == 12
    fg.predict(dataset, "squeezenet1_1", weights=weights, resize="crop", heatmap_field="cropped")
    pixels = heatmap_pixels(dataset.first().cropped)
    assert pixels[0].max() == pixels[:, 0].max() == 0  # outside of the crop
    for bad, message in (("none", "predicts nothing"), (str(tmp_path / "gone"), "No weights file")):
        with pytest.raises((ValueError, FileNotFoundError), match=message):
            fg.predict(dataset, "squeezenet1_1", weights=bad)
    assert "label" not in {f[8:] for f in dataset.get_field_schema() if f.startswith("gradcam_")}
    with pytest.raises(ValueError, match="no training run 'small_cnn'"):  # it has no such weights
        fg.predict(dataset, "small_cnn")
    with pytest.raises(ValueError, match="no training run 'squeezenet9'"):
        fg.predict(dataset, "squeezenet9")


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
    with pytest.raises(NotADirectoryError, match="0001_.* is a file"):
        fg.export_overlays(view, paths[0], "cam")
    for wrong, message in (
        ({"colormap": "rainbowish"}, "Unknown colormap 'rainbowish'"),
        ({"alpha": 2}, r"alpha must lie in \[0, 1\], not 2"),
        ({"height": 3}, "height must be .* not 3"),
        ({"heatmap_field": "ground_truth"}, "'ground_truth' is no heatmap field.*cam"),
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


def test_mean_heatmaps_by_hand(name, tmp_path):
    dataset = fo.Dataset(name)
    spots = {"a": [(0, 0), (0, 0), (1, 1)], "b/c": [(0, 1)]}
    for label, places in spots.items():
        for number, (row, column) in enumerate(places):
            pixels = np.ones((2, 2), np.uint8)
            pixels[row, column] = 255
            path = str(tmp_path / f"{label[0]}{number}.png")
            Image.new("RGB", (8, 8)).save(path)
            dataset.add_sample(
                fo.Sample(
                    path,
                    ground_truth=fo.Classification(label=label),
                    heat=fo.Heatmap(map=np.repeat(np.repeat(pixels, 56, 0), 56, 1)),
                )
            )
    means = fg.mean_heatmaps(dataset, "heat", folder=str(tmp_path / "means"))
    assert list(means) == ["a", "b/c"]
    assert means["a"].shape == (224, 224)
    corners = [(28, 28), (28, 196), (196, 28), (196, 196)]
    assert [means["a"][c] for c in corners] == pytest.approx([2 / 3, 0, 0, 1 / 3], abs=1e-6)
    assert [means["b/c"][c] for c in corners] == pytest.approx([0, 1, 0, 0], abs=1e-6)
    files = sorted(p.name for p in (tmp_path / "means").iterdir())
    assert files == ["mean_a.png", "mean_b_c.png", "means.png"]
    with pytest.raises(FileExistsError, match="not empty"):
        fg.mean_heatmaps(dataset, "heat", folder=str(tmp_path / "means"))


def test_faithfulness_by_hand():
    """The class's probability is the brightness of the left half of a 2 x 2 image."""
    image = torch.zeros(3, 2, 2)
    image[:, :, 0] = 1.0

    def probability(pixels):
        return pixels[:, :, :, 0].mean((1, 2))

    right_answer = np.array([[2.0, 0], [1.5, 0]], np.float32)
    found = faithfulness(image, right_answer, probability, steps=2)
    assert found.deletion == pytest.approx((1 + 2 * 0 + 0) / 4)
    assert found.insertion == pytest.approx((0.5 + 2 * 1 + 1) / 4)  # blurred it is 1/2 all over
    assert found.drop == pytest.approx(1 - (1 + 0.75) / 2)
    wrong_answer = right_answer[:, ::-1]
    found = faithfulness(image, wrong_answer, probability, steps=2)
    assert found.deletion == pytest.approx((1 + 2 * 1 + 0) / 4)
    assert found.insertion == pytest.approx((0.5 + 2 * 0.5 + 1) / 4)
    assert found.drop == pytest.approx(1.0)
    gaussian = centred_gaussian((7, 7))
    assert gaussian.argmax() == 24
    assert np.array_equal(gaussian, gaussian[::-1, ::-1])


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
    assert "low is good" in capsys.readouterr().out
    again = fg.explanation_quality(view, "quick", "cam", steps=4, progress=False)
    assert again == means
    with pytest.raises(ValueError, match="'cam_label' holds no heatmaps of the class that 'quick'"):
        fg.explanation_quality(view, "quick", "cam_label")
    with pytest.raises(ValueError, match="steps must be .* not 1"):
        fg.explanation_quality(view, "quick", "cam", steps=1)
    fg.predict(view, "quick", heatmap_field="cam")
    assert explained.exists("cam.deletion").count() == 0  # another map, another quality


def test_watched_samples_keep_a_map_of_each_epoch(trained, capsys):
    recipe = {**QUICK, "epochs": 3}
    plain = fg.fine_tune(trained, "plain", **recipe)
    run = fg.fine_tune(trained, "eye", watch=4, **recipe)
    assert plain.watch is None
    assert fg.load_run(trained, "eye").watch == run.watch
    stored = np.load(run.watch["maps"])
    assert list(stored["ids"]) == run.watch["ids"]
    labels = stored["labels"].tolist()
    assert len(set(labels)) == 3  # one of each class first
    assert set(trained[run.watch["ids"]].count_sample_tags()) == {"val"}
    assert stored["maps"].shape[:2] == stored["scores"].shape == (3, 4)
    # To watch changes nothing.
    states = [load_checkpoint(r.checkpoint)[0].state_dict() for r in (plain, run)]
    assert all(torch.equal(a, b) for a, b in zip(*(s.values() for s in states), strict=True))
    # The kept epoch's maps are those of the kept weights.
    paths = trained.select(run.watch["ids"], ordered=True).values("filepath")
    targets = torch.tensor([run.classes.index(label) for label in labels])
    (maps,) = maps_of(run, paths, [targets])
    assert stored["maps"][run.best_epoch - 1] == pytest.approx(maps, abs=1e-5)
    with Image.open(run.watch["strip"]) as strip:
        assert strip.width == 4 * 168 + 8  # the image and three epochs
    assert run.watch["strip"] in capsys.readouterr().out
    ids = trained.match_tags("train").limit(2).values("id")
    assert fg.fine_tune(trained, "chosen", watch=ids, **{**recipe, "epochs": 1}).watch["ids"] == ids
    for wrong, message in ((["0" * 24], "no sample '0000"), (-1, "not -1"), ("x", "not 'x'")):
        with pytest.raises(ValueError, match=message):
            fg.fine_tune(trained, "no", watch=wrong, **recipe)
    assert "no" not in fg.list_runs(trained)


def test_an_object_is_found_in_an_oblong_photo_by_a_real_network(real, name, tmp_path):
    """A bee on a plain field, at four known places of a wide picture."""
    photo = Image.open(real / "data/hymenoptera/val/bees/1032546534_06907fe3b3.jpg")
    photo = photo.convert("RGB").resize((120, 120))
    dataset = fo.Dataset(name)
    places = [(20, 20), (300, 20), (20, 100), (300, 100)]
    for number, place in enumerate(places):
        canvas = Image.new("RGB", (440, 240), (124, 116, 104))
        ImageDraw.Draw(canvas)
        canvas.paste(photo, place)
        path = str(tmp_path / f"{number}.png")
        canvas.save(path)
        dataset.add_sample(fo.Sample(path))
    weights = str(real / "weights/squeezenet1_1.pth")
    for resize in ("squash", "letterbox"):
        fg.predict(dataset, "squeezenet1_1", "p", (), "bee", resize, weights=weights, resize=resize)
        for (left, top), heatmap in zip(places, dataset.values(f"{resize}_bee"), strict=True):
            pixels = heatmap_pixels(heatmap)
            row, column = np.unravel_index(pixels.argmax(), pixels.shape)
            x, y = column / pixels.shape[1] * 440, row / pixels.shape[0] * 240
            assert left - 15 <= x <= left + 135
            assert top - 15 <= y <= top + 135
