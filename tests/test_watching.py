"""Pretrained networks, geometry, mean maps, faithfulness by hand, and maps through training."""

import fiftyone as fo
import numpy as np
import pytest
import torch
from conftest import QUICK, save_digits
from fiftyone import ViewField as F
from PIL import Image, ImageDraw
from test_explanations import maps_of

import fiftyone_gradcam as fg
from fiftyone_gradcam.dataset.heatmaps import heatmap_pixels
from fiftyone_gradcam.explain.faithfulness import centered_gaussian, faithfulness
from fiftyone_gradcam.model.backbones import get_backbone
from fiftyone_gradcam.model.checkpoint import load_checkpoint
from fiftyone_gradcam.training import watching
from fiftyone_gradcam.training.recipe import Recipe
from fiftyone_gradcam.training.watching import Watch
from fiftyone_gradcam.workflow.training import _make_watch


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
    for bad, message in (("none", "cannot predict"), (str(tmp_path / "gone"), "No weights file")):
        with pytest.raises((ValueError, FileNotFoundError), match=message):
            fg.predict(dataset, "squeezenet1_1", weights=bad)
    assert "label" not in {f[8:] for f in dataset.get_field_schema() if f.startswith("gradcam_")}
    with pytest.raises(ValueError, match="no training run 'small_cnn'"):  # it has no such weights
        fg.predict(dataset, "small_cnn")
    with pytest.raises(ValueError, match="no training run 'squeezenet9'"):
        fg.predict(dataset, "squeezenet9")


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
    gaussian = centered_gaussian((7, 7))
    assert gaussian.argmax() == 24
    assert np.array_equal(gaussian, gaussian[::-1, ::-1])


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
    ids = [  # in another order than that of the classes
        trained.match_tags("train").match(F("ground_truth.label") == f"digit {n}").first().id
        for n in (2, 1, 0)
    ]
    run = fg.fine_tune(trained, "chosen", watch=ids, **{**recipe, "epochs": 1})
    assert run.watch["ids"] == ids
    view = fg.predict(
        trained.select(ids, ordered=True), run, prediction_field="of_chosen", heatmaps=()
    )
    stored = np.load(run.watch["maps"])
    assert stored["predicted"][run.best_epoch - 1].tolist() == view.values("of_chosen.label")
    trained.delete_sample_fields(["of_chosen", "of_chosen_scores"])
    for wrong, message in ((["0" * 24], "no sample '0000"), (-1, "not -1"), ("x", "not 'x'")):
        with pytest.raises(ValueError, match=message):
            fg.fine_tune(trained, "no", watch=wrong, **recipe)
    assert "no" not in fg.list_runs(trained)


def test_a_training_that_is_resumed_keeps_its_maps(trained):
    classes, recipe = ["digit 0", "digit 1", "digit 2"], Recipe(**QUICK)
    given = ("ground_truth", classes, recipe)
    assert _make_watch(trained, 0, *given, None) is None
    first = _make_watch(trained, 2, *given, None)
    assert (first.epochs, first.labels) == ([], classes[:2])
    with torch.random.fork_rng(devices=[]):
        model = get_backbone("small_cnn").build(3).eval()
    for epoch in (1, 2):
        first(model, epoch)
    second = _make_watch(trained, first.ids, *given, {"watch": first.state()})
    assert (second.ids, second.epochs) == (first.ids, [1, 2])
    for name in ("maps", "scores", "predicted"):
        assert np.array_equal(getattr(second, name), getattr(first, name))


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


@pytest.fixture
def watched(tmp_path):
    """Two oblong pictures, and what is watched of them by an untrained network."""
    for number in range(2):
        Image.new("RGB", (24, 16), (90 * number, 0, 99)).save(tmp_path / f"{number}.png")
    paths = [str(tmp_path / f"{number}.png") for number in range(2)]
    recipe = Recipe(**{**QUICK, "resize": "letterbox"})

    def watch(paths: list[str] = paths) -> Watch:
        return Watch(["i", "j"], paths, ["b", "a"], ["a", "b", "c"], recipe)

    return watch


def test_a_resumed_training_goes_on_watching(watched, tmp_path, monkeypatch):
    torch.manual_seed(0)
    model = get_backbone("small_cnn").build(3).eval()
    first = watched()
    for epoch in range(13):
        first(model, epoch)
    again = watched()
    again.restore(first.state())
    again(model, 13)
    assert again.epochs == list(range(14))
    for name in ("maps", "scores", "predicted"):
        rows = getattr(again, name)
        assert [type(x) for x in rows] == [np.ndarray] * 14
        assert all(np.array_equal(x, rows[0]) for x in rows)
    with torch.no_grad():
        images = torch.stack([torch.from_numpy(first.images.decode_now(i)) for i in range(2)])
        inputs = get_backbone("small_cnn").normalize(images.permute(0, 3, 1, 2))
        scores = model(inputs).softmax(1)
    assert again.scores[0] == pytest.approx([scores[0, 1].item(), scores[1, 0].item()], abs=1e-5)
    assert again.predicted[0].tolist() == scores.argmax(1).tolist()
    seen = []
    monkeypatch.setattr(watching.overlay, "sheet", lambda *given, **how: seen.append((given, how)))
    again.strip()
    (((pictures, captions), how),) = seen
    # The image and twelve of the fourteen epochs, with the first and the last.
    assert (len(pictures), how) == (26, {"columns": 13, "cell": 160})
    epochs = [0, 1, 2, 4, 5, 6, 7, 8, 9, 11, 12, 13]
    names = ["new layers", *(f"epoch {n}" for n in epochs[1:])]
    own = [[f"{x}: score {score:.2f}" for x in names] for score in again.scores[0]]
    assert captions == ["b", *own[0], "a", *own[1]]
    assert {picture.size for picture in pictures} == {(160, 107)}


def test_an_image_to_watch_must_be_decoded(watched, tmp_path):
    (tmp_path / "bad.png").write_bytes(b"no picture")
    with pytest.raises(ValueError, match=r"^An image of watch cannot be decoded: .*bad\.png"):
        watched([str(tmp_path / "0.png"), str(tmp_path / "bad.png")])
