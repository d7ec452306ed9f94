"""find_label_issues on real FiftyOne datasets, with errors planted in them."""

import os

import fiftyone as fo
import numpy as np
import pytest
from conftest import QUICK, save_digits
from fiftyone import ViewField as F
from fiftyone.core.odm import get_db_conn
from made_runs import CLASSES, HISTORY
from PIL import Image

import fiftyone_gradcam as fg
from fiftyone_gradcam.dataset.runs import Run, save_run
from fiftyone_gradcam.model.weights import DownloadError
from fiftyone_gradcam.training.recipe import Recipe


@pytest.fixture(scope="module")
def mislabelled(tmp_path_factory):
    """150 digits of three classes, six of them in a wrong folder."""
    root = save_digits(tmp_path_factory.mktemp("wrong") / "digits", per_class=50)
    planted = {}
    for number in range(6):
        source = root / f"digit {number % 3}" / f"{7 * number:03d}.png"
        target = root / f"digit {(number + 1) % 3}" / f"moved {number}.png"
        source.rename(target)
        planted[str(target)] = f"digit {number % 3}"
    dataset = fg.import_folders(str(root), f"wrong {root.parent.name}")
    yield dataset, planted
    dataset.delete()


def check_planted(dataset, planted, view):
    assert len(view) == len(dataset)
    qualities = view.values("label_quality")
    assert qualities == sorted(qualities)
    assert 0 <= qualities[0] <= qualities[-1] <= 1
    found = [p for p in view.limit(12).values("filepath") if p in planted]
    assert len(found) >= 5
    suggested = dict(zip(*dataset.values(["filepath", "suggested_label.label"]), strict=True))
    assert sum(suggested[path] == truth for path, truth in planted.items()) >= 5
    for sample in dataset:
        if sample.suggested_label is not None:
            assert sample.suggested_label.label != sample.ground_truth.label
            assert sample.suggested_label.confidence >= sample.label_quality


def test_label_issues_by_training_once_per_fold(mislabelled):
    dataset, planted = mislabelled
    options = {k: v for k, v in QUICK.items() if k != "epochs"}
    calls = []
    view = fg.find_label_issues(
        dataset, folds=3, epochs=8, progress=lambda *report: calls.append(report), **options
    )
    check_planted(dataset, planted, view)
    assert [done for done, _, _ in calls] == sorted(done for done, _, _ in calls)
    assert calls[-1][0] == calls[-1][1]


def test_label_issues_by_frozen_features(mislabelled, real):
    dataset, planted = mislabelled
    weights = str(real / "weights" / "squeezenet1_1.pth")
    view = fg.find_label_issues(dataset, backbone="squeezenet1_1", weights=weights)
    check_planted(dataset, planted, view)


def test_the_second_call_sees_no_image_and_says_the_same(mislabelled, real, monkeypatch):
    dataset, planted = mislabelled
    weights = str(real / "weights" / "squeezenet1_1.pth")
    options = {"backbone": "squeezenet1_1", "weights": weights}
    first = fg.find_label_issues(dataset, **options).values(["id", "label_quality"])

    def never(*args):
        raise AssertionError("an image was decoded again")

    monkeypatch.setattr("fiftyone_gradcam.images.batches.decode", never)
    assert fg.find_label_issues(dataset, **options).values(["id", "label_quality"]) == first
    noted = dataset.info["label_issues"]
    assert (noted["method"], noted["by"]) == ("features", "squeezenet1_1")
    assert noted["low"] <= 6 <= noted["high"]
    assert noted["judged"] == 150
    assert noted["estimate"] == pytest.approx(6, abs=2)
    found = dataset.match(F("issue.label") == "wrong label")
    assert sum(path in planted for path in found.values("filepath")) >= 4
    for sample in found:
        given, other = sample.ground_truth.label, sample.suggested_label.label
        assert given in sample.issue.evidence
        assert other in sample.issue.evidence
        assert len(sample.issue.neighbors) == 10
        assert sample.id not in sample.issue.neighbors
        alike = dataset.select(sample.issue.neighbors).values("ground_truth.label")
        assert f"{alike.count(other)} of 10 most similar" in sample.issue.evidence


def test_embeddings_and_probabilities_of_the_users_own(mislabelled, capsys):
    dataset, planted = mislabelled
    pixels = np.stack(
        [np.asarray(Image.open(path), np.float32).ravel() for path in dataset.values("filepath")]
    )
    view = fg.find_label_issues(dataset, embeddings=pixels)
    check_planted(dataset, planted, view)
    by_array = view.values(["id", "label_quality"])
    dataset.set_values("pixels", list(pixels))
    view = fg.find_label_issues(dataset, embeddings="pixels")
    assert view.values(["id", "label_quality"]) == by_array
    check_planted(
        dataset, planted, fg.find_label_issues(dataset, embeddings="pixels", method="folds")
    )
    paths, labels = dataset.values(["filepath", "ground_truth.label"])
    classes = sorted(set(labels))
    right = [classes.index(planted.get(p, y)) for p, y in zip(paths, labels, strict=True)]
    given = np.full((150, 3), 0.04)
    given[np.arange(150), right] = 0.92
    capsys.readouterr()
    view = fg.find_label_issues(dataset, probabilities=given)
    assert set(view.limit(6).values("filepath")) == set(planted)
    assert view.limit(6).values("label_quality") == pytest.approx([0.04] * 6)
    assert set(view.limit(6).values("issue.label")) == {"wrong label"}
    assert "About 6 of 150 labels are wrong (95% interval: " in capsys.readouterr().out
    for arguments, words in (
        ({"probabilities": given[:9]}, r"shape \(9, 3\), not \(150, 3\).*'digit 0', 'digit 1'"),
        ({"probabilities": given * 2}, "150 rows of probabilities .* row 0, which adds up to 2 "),
        ({"probabilities": given, "method": "folds"}, "probabilities or method='folds', not both"),
        ({"embeddings": pixels, "backbone": "resnet18"}, "backbone='resnet18'"),
        ({"embeddings": pixels, "method": "fine-tune"}, "embeddings or method='fine-tune'"),
        ({"embeddings": pixels, "epochs": 3}, "epochs is a training option"),
        ({"method": "feature"}, "method 'feature' is not one of .* Did you mean 'features'"),
        ({"method": "folds", "backbone": "small_cnn"}, "weights='none'. Choose weights"),
        ({"embeddings": pixels, "delegate": True}, "embeddings from a field"),
    ):
        with pytest.raises(ValueError, match=words):
            fg.find_label_issues(dataset, **arguments)


def test_trainings_per_fold_resume_after_they_were_cancelled(mislabelled, monkeypatch):
    from fiftyone_gradcam.training import per_fold

    dataset, _ = mislabelled
    options = {**QUICK, "epochs": 1, "folds": 3, "method": "fine-tune"}
    whole = fg.find_label_issues(dataset, **options).values(["id", "label_quality"])

    def cancel(done, total, message):
        if message.startswith("Training fold 3"):
            raise fg.CancelledError

    with pytest.raises(fg.CancelledError):
        fg.find_label_issues(dataset, progress=cancel, **options)
    trained, train = [], per_fold.train
    monkeypatch.setattr(per_fold, "train", lambda *a, **o: trained.append(a) or train(*a, **o))
    again = fg.find_label_issues(dataset, **options).values(["id", "label_quality"])
    assert len(trained) == 1
    assert again[0] == whole[0]
    assert again[1] == pytest.approx(whole[1], abs=1e-6)
    fg.find_label_issues(dataset, **{**options, "folds": 2})  # nothing of it is used for others
    assert len(trained) == 3


def test_label_issues_leave_out_what_cannot_be_judged(tmp_path, name, capsys):
    root = save_digits(tmp_path / "d", per_class=8)
    for path in sorted((root / "digit 2").iterdir())[4:]:
        path.unlink()
    dataset = fg.import_folders(str(root), name)
    broken = dataset.first()
    with open(broken.filepath, "wb") as file:
        file.write(b"x")
    options = {**QUICK, "epochs": 1}
    view = fg.find_label_issues(dataset, folds=2, **options)
    assert len(view) == 15
    assert "Too few different images to judge: digit 2 (4)" in capsys.readouterr().out
    assert dataset[broken.id].label_quality is None
    few = dataset.match(F("ground_truth.label") == "digit 2")
    assert few.values("label_quality") == [None] * 4
    assert few.values("issue.label") == ["too few to judge"] * 4
    assert dataset.info["label_issues"]["too_few"] == [{"class": "digit 2", "count": 4}]
    with pytest.raises(ValueError, match="folds .*1"):
        fg.find_label_issues(dataset, folds=1, **options)
    with pytest.raises(ValueError, match="network of the weights"):
        fg.find_label_issues(dataset, weights="/some/file.pth")
    one = dataset.match(F("ground_truth.label") == "digit 1")
    with pytest.raises(ValueError, match=r"two classes with five different .*'digit 1' \(8\)"):
        fg.find_label_issues(one, **options)
    root.rename(tmp_path / "gone")
    with pytest.raises(ValueError, match=r"None of 20 files can be read"):
        fg.find_label_issues(dataset, **options)


def test_without_weights_at_hand_the_choice_is_reported(monkeypatch, tmp_path, name, capsys):
    empty = fo.Dataset(name)
    from fiftyone_gradcam.dataset import pretrained as features

    monkeypatch.setattr("torch.hub.get_dir", lambda: str(tmp_path))

    def offline(*args):
        raise DownloadError("offline", "no route")

    monkeypatch.setattr(features, "load_weights", offline)
    assert features.pick_backbone(empty, None, None, "no copies") == ("small_cnn", "none")
    assert "No pretrained weights are available (no route): no copies." in capsys.readouterr().out
    with pytest.raises(ConnectionError):
        features.pick_backbone(empty, None, "imagenet", "no copies")
    (tmp_path / "checkpoints").mkdir()
    file = os.path.basename(features.imagenet_weights_file("resnet50"))
    (tmp_path / "checkpoints" / file).touch()
    assert features.pick_backbone(empty, None, None, "no copies") == ("resnet50", "imagenet")
    weights = tmp_path / "weights.pth"
    weights.touch()
    recipe = Recipe(backbone="vgg16", weights=str(weights)).to_dict()
    own = {"history": HISTORY, "best_epoch": 2, "label_field": "ground_truth"}
    checkpoint = str(tmp_path / "model.pt")
    run = Run("from_a_file", name, CLASSES, recipe, checkpoint=checkpoint, **own)
    save_run(empty, run)
    assert features.pick_backbone(empty, None, None, "no copies") == ("vgg16", str(weights))
    recipe = Recipe(backbone="alexnet", weights=str(weights)).to_dict()
    save_run(empty, Run("newer", name, CLASSES, recipe, checkpoint=checkpoint, **own))
    assert features.pick_backbone(empty, None, None, "no copies") == ("alexnet", str(weights))
    assert features.pick_backbone(empty, "alexnet", None, "no copies") == ("alexnet", "imagenet")
    assert features.pick_backbone(empty, "small_cnn", None, "") == ("small_cnn", "none")
    assert features.pick_backbone(empty, "alexnet", "/x.pth", "") == ("alexnet", "/x.pth")
    assert features.pick_backbone(empty, None, "none", "") == ("small_cnn", "none")
    assert features.pick_backbone(empty, None, "imagenet", "") == ("resnet50", "imagenet")
    with pytest.raises(
        ValueError, match=r"^Pass backbone=, the network of the weights in '/x.pth'$"
    ):
        features.pick_backbone(empty, None, "/x.pth", "")
    capsys.readouterr()
    broken = {"_id": empty._doc.runs["newer"].id}  # the run before it can be read
    get_db_conn().runs.update_one(broken, {"$unset": {"config.classes": ""}})
    assert features.pick_backbone(empty, None, None, "no copies") == ("vgg16", str(weights))
    words = "Using vgg16 with the pretrained weights of run 'from_a_file'\n"
    assert capsys.readouterr().out == words
    # Nothing is at hand, and weights can be downloaded.
    weights.unlink()
    (tmp_path / "checkpoints" / file).unlink()
    monkeypatch.setattr(features, "load_weights", lambda *_: None)
    assert features.pick_backbone(empty, None, None, "no copies") == ("mobilenet_v2", "imagenet")
