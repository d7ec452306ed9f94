"""Anomalies: scores, threshold and heatmaps learned from normal images alone."""

import math
import os
import statistics

import fiftyone as fo
import numpy as np
import pytest
import torch
from PIL import Image
from sklearn.metrics import roc_auc_score

import fiftyone_gradcam as fg
from fiftyone_gradcam.app.operators.anomalies import FindAnomalies
from fiftyone_gradcam.passes.unusual import NormalCells
from fiftyone_gradcam.review.anomalies import find_anomalies_in, prepare
from fiftyone_gradcam.workflow import finding_anomalies


def test_scores_and_false_alarms_by_construction():
    random = np.random.default_rng(0)
    features = random.gamma(4, 1, (460, 30)).astype(np.float32)
    features[400:, :5] *= 4
    normal = np.arange(460) < 400
    found = find_anomalies_in(features, normal, 0.05)
    assert found.anomalous[normal].mean() == 0.05
    assert found.anomalous[~normal].mean() > 0.9
    assert roc_auc_score(~normal, found.scores) > 0.98
    assert (found.anomalous == (found.scores > found.threshold)).all()
    # Of 400 normal images the most unusual one is alone, and the k-th is one of k.
    order = np.argsort(-found.scores[:400])
    assert found.shares[order[[0, 9, 399]]] == pytest.approx([1 / 400, 10 / 400, 1])
    least = find_anomalies_in(features, normal, 0.2)
    assert least.anomalous[normal].mean() == 0.2
    assert (least.scores == found.scores).all()  # nothing is drawn at random


def test_a_normal_image_is_judged_by_what_has_not_seen_it():
    """All are alike: held out, a share of normal images is as unusual as of others."""
    random = np.random.default_rng(1)
    features = random.normal(0, 1, (600, 200)).astype(np.float32)
    normal = np.arange(600) < 300
    found = find_anomalies_in(features, normal, 0.1)
    assert roc_auc_score(~normal, found.scores) == pytest.approx(0.5, abs=0.06)


def test_features_are_compared_by_signed_roots_in_units_of_what_is_learned():
    """Recomputed one number at a time."""
    random = np.random.default_rng(2)
    features = random.normal(1, 3, (9, 6))
    features[:, 4], features[:, 5] = 5, 5 + 1e-6 * random.normal(size=9)  # hardly any spread
    learned = np.array([7, 1, 4, 2])
    roots = [[math.copysign(abs(x) ** 0.5, x) for x in row] for row in features]
    columns = [[roots[i][c] for i in learned] for c in range(6)]
    means, spreads = [sum(x) / 4 for x in columns], [statistics.pstdev(x) for x in columns]
    least = 0.1 * sum(spreads) / 6  # of a divisor
    expected = np.array(
        [[(row[c] - means[c]) / max(spreads[c], least) for c in range(6)] for row in roots]
    )
    among = expected[learned]
    pairs = [np.square(a - b).sum() for a in among for b in among]
    expected /= np.sqrt(np.mean(pairs))  # so that the mean square distance of two is 1
    assert prepare(features, learned) == pytest.approx(expected, abs=1e-5)


def test_normal_images_that_are_all_the_same():
    normal = np.arange(33) < 30
    features = np.full((33, 8), 0.25, np.float32)
    features[30] *= 1.01
    features[31:] = np.random.default_rng(0).random((2, 8))
    found = find_anomalies_in(features, normal, 0.05)
    assert found.anomalous.tolist() == [*30 * [False], *3 * [True]]


def test_cells_of_a_normal_image_are_compared_with_those_of_others():
    cells = NormalCells.__new__(NormalCells)
    cells.side = {0: 0, 1: 1}  # the first is of one bank, and the second of the other
    cells.mean, cells.deviation = torch.zeros(2), torch.ones(2)
    for size in (1.0, 0.01):  # whatever the unit of distances is
        cells.banks = [
            size * torch.tensor([[0.0, 0.0], [9.0, 9.0]]),
            size * torch.tensor([[3.0, 4.0]]),
        ]
        cells.low, cells.edge = size, 5 * size  # 0 at the one distance, and .5 at the other
        own = size * torch.tensor([[0.0, 0.0], [3.0, 4.0]])
        for place, expected in (
            (0, [0.5, 0.0]),  # 5 and 0 from the second bank
            (1, [0.0, 0.5]),  # 0 and 5 from the first
            (7, [0.1875, 0.1875]),  # 2.5 from both: of neither
        ):
            assert cells.map_of(place, own).tolist() == pytest.approx(expected, abs=1e-6)
    cells.edge = cells.low  # all normal cells are equally far
    assert cells.map_of(0, own).tolist() == [1.0, 0.0]


@pytest.fixture(scope="module")
def tiles(tmp_path_factory):
    """60 plain noisy tiles, and 12 with a white square in the upper left quarter."""
    root, random = tmp_path_factory.mktemp("anomalies"), np.random.default_rng(0)
    for number in range(72):
        pixels = random.integers(90, 130, (96, 96, 3)).astype(np.uint8)
        kind = "good" if number < 60 else "bad"
        if kind == "bad":
            pixels[10:40, 8:38] = 250
        (root / kind).mkdir(exist_ok=True)
        Image.fromarray(pixels).save(root / kind / f"{number}.png")
    dataset = fg.import_folders(str(root), f"anomalies {root.name}")
    yield dataset
    dataset.delete()


def test_anomalies_and_where_they_are(tiles, real, capsys, monkeypatch):
    weights = str(real / "weights" / "squeezenet1_1.pth")
    options = {"backbone": "squeezenet1_1", "weights": weights, "progress": False}
    learned = []

    class Recording(NormalCells):
        def __init__(self, network, images, places, *rest):
            learned.append({os.path.basename(os.path.dirname(images.paths[i])) for i in places})
            super().__init__(network, images, places, *rest)

    monkeypatch.setattr(finding_anomalies, "NormalCells", Recording)
    view = fg.find_anomalies(tiles, "good", **options)
    assert learned == [{"good"}]  # what is normal is learned from nothing else
    for heatmaps in (True, False):
        given = {"anomaly_field": "anomaly", "heatmap_field": "anomaly_map", "heatmaps": heatmaps}
        shown = FindAnomalies().outcome(view, given)
        assert shown["summary"] == "15 of 72 images are anomalies, the most unusual first"
        assert shown["fields"] == ["anomaly", "anomaly_map"][: 1 + heatmaps]
    assert set(view.limit(12).values("ground_truth.label")) == {"bad"}
    assert set(view.limit(12).values("anomaly.label")) == {"anomaly"}
    scores = view.values("anomaly.score")
    assert scores == sorted(scores, reverse=True)
    assert view.skip(12).count_values("anomaly.label") == {"anomaly": 3, "normal": 57}  # 5% of 60
    for sample in view:
        share = sample.anomaly.false_alarm
        sure = 1 - share if sample.anomaly.label == "anomaly" else share
        assert sample.anomaly.confidence == pytest.approx(sure)
    assert "12 of 12 images that are not among 'good' are anomalies" in capsys.readouterr().out
    for sample in view.limit(12):
        pixels = np.asarray(Image.open(sample.anomaly_map.map_path)).astype(float)
        assert pixels.shape == (96, 96)
        assert pixels[:48, :48].mean() > 2 * pixels[48:, 48:].mean()
    files = view.values("anomaly_map.map_path")
    again = fg.find_anomalies(tiles, tiles.match_tags("none").concat(
        tiles.match({"ground_truth.label": "good"})), false_alarms=0.2, **options)  # fmt: skip
    assert again.skip(12).count_values("anomaly.label")["anomaly"] == 12
    assert not any(map(os.path.exists, files))  # the old heatmaps went with their values
    assert all(map(os.path.exists, again.values("anomaly_map.map_path")))
    # What cannot be decoded any more loses what was said of it.
    broken = tiles.match({"ground_truth.label": "bad"}).first()
    with open(broken.filepath, "wb") as file:
        file.write(b"no image")
    last = fg.find_anomalies(tiles, "good", heatmaps=False, **options)
    assert (len(last), tiles[broken.id]["anomaly"]) == (71, None)
    # Of a part of the images, the others are what is normal all the same.
    capsys.readouterr()
    part = tiles.match({"ground_truth.label": "bad"})
    half = fg.find_anomalies(part, "good", false_alarms=0.5, heatmaps=False, **options)
    assert len(half) == 11
    printed = capsys.readouterr().out
    assert (
        "11 of 11 images that are not among 'good' are anomalies; of 60 normal images, " in printed
    )
    assert tiles.get_field("anomaly").info["false_alarms"] == 0.5
    assert tiles.get_field("anomaly").info["fields"] == ["anomaly"]


def test_anomalies_refuse_what_cannot_be(tiles, name):
    other = fo.Dataset(name)

    for arguments, words in (
        ({"normal": "god"}, "No sample has the label 'god' .* Did you mean 'good'"),
        ({"normal": other.view()}, f"view of '{name}'"),
        ({"normal": "good", "false_alarms": 0.7}, "above 0 and at most 0.5, not 0.7"),
        ({"normal": "good", "false_alarms": 0}, "above 0 and at most 0.5, not 0"),
        ({"normal": "good", "false_alarms": True}, "false_alarms must be a number, not True"),
        ({"normal": "good", "false_alarms": "x"}, "false_alarms must be a number, not 'x'"),
        ({"normal": "good", "backbone": "small_cnn"}, "weights='none'"),
        ({"normal": "good", "anomaly_field": "ground_truth"}, "not written by this plugin"),
    ):
        with pytest.raises(ValueError, match=words):
            fg.find_anomalies(tiles, **arguments)
    with pytest.raises(TypeError, match="label or a view, not int"):
        fg.find_anomalies(tiles, 3)
    with pytest.raises(ValueError, match="12 normal images are too few: at least 20"):
        fg.find_anomalies(tiles, "bad")
