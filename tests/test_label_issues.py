"""find_label_issues on real FiftyOne datasets, with errors planted in them."""

import os

import fiftyone as fo
import pytest
from conftest import QUICK, save_digits
from fiftyone import ViewField as F
from made_runs import CLASSES, HISTORY

import fiftyone_gradcam as fg
from fiftyone_gradcam.dataset.runs import Run, save_run
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


def test_label_issues_leave_out_what_cannot_be_judged(tmp_path, name, capsys):
    root = save_digits(tmp_path / "d", per_class=8)
    for path in sorted((root / "digit 2").iterdir())[1:]:
        path.unlink()
    dataset = fg.import_folders(str(root), name)
    broken = dataset.first()
    with open(broken.filepath, "wb") as file:
        file.write(b"x")
    options = {**QUICK, "epochs": 1}
    view = fg.find_label_issues(dataset, folds=2, **options)
    assert len(view) == 15
    assert "only image of its class: digit 2" in capsys.readouterr().out
    assert dataset[broken.id].label_quality is None
    with pytest.raises(ValueError, match="folds .*1"):
        fg.find_label_issues(dataset, folds=1, **options)
    with pytest.raises(ValueError, match="which backbone"):
        fg.find_label_issues(dataset, weights="/some/file.pth")
    one = dataset.match(F("ground_truth.label") == "digit 1")
    with pytest.raises(ValueError, match=r"two classes with two images.*'digit 1' \(8\)"):
        fg.find_label_issues(one, **options)


def test_without_weights_at_hand_the_choice_is_told(monkeypatch, tmp_path, name, capsys):
    empty = fo.Dataset(name)
    from fiftyone_gradcam.dataset import pretrained as features

    monkeypatch.setattr("torch.hub.get_dir", lambda: str(tmp_path))

    def offline(*args):
        raise ConnectionError("offline") from OSError("no route")

    monkeypatch.setattr(features, "load_weights", offline)
    assert features.pick_backbone(empty, None, None, "no copies") == ("small_cnn", "none")
    assert "No pretrained weights at hand (no route): no copies. With" in capsys.readouterr().out
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
    assert features.pick_backbone(empty, "alexnet", None, "no copies") == ("alexnet", "imagenet")
