"""One image explained on demand: values, sources, words, and what is refused."""

import base64
import io

import fiftyone as fo
import numpy as np
import pytest
import torch
from made_runs import CLASSES, SIZE, make_run, some_digits
from PIL import Image

import fiftyone_gradcam as fg
from fiftyone_gradcam.app.operators.explain_call import _map
from fiftyone_gradcam.dataset import ready_networks
from fiftyone_gradcam.dataset.evidence import issue_words
from fiftyone_gradcam.dataset.review_state import Columns
from fiftyone_gradcam.explain.cam import Forward, eval_mode
from fiftyone_gradcam.explain.contrast import CONTRASTS, contrast
from fiftyone_gradcam.explain.measures import Measures
from fiftyone_gradcam.explain.sentences import (
    heatmap_words,
    neighbor_words,
    prediction_words,
    seen_words,
    split_words,
)
from fiftyone_gradcam.images.batches import Images
from fiftyone_gradcam.model.backbones import get_backbone

ALL = ("predicted", "label", "contrast")


@pytest.fixture(scope="module")
def dataset(tmp_path_factory):
    """Eighteen digits, two thirds of them to train on, with predictions by a run."""
    for dataset in some_digits(tmp_path_factory.mktemp("explained"), "explained", per_class=6):
        for place, sample in enumerate(dataset):
            sample.tags.append("train" if place % 3 else "val")
            sample.save()
        make_run(dataset, "made", resize="crop")
        fg.predict(dataset, "made", heatmaps=ALL, progress=False, scale="pair")
        fg.predict(dataset, "made", "own", ALL, heatmap_field="own_cam", progress=False)
        yield dataset


def pixels_of(heatmap) -> np.ndarray:
    return np.asarray(Image.open(heatmap.map_path)).astype(int)


def test_values_are_those_that_predict_stores(dataset):
    wrong = 0
    for sample in dataset:
        found = fg.explain_sample(sample)
        assert found.predicted == sample.prediction.label
        assert found.label == sample.ground_truth.label
        assert np.abs(found.probabilities - sample.prediction_scores).max() <= 1e-5
        assert (found.width, found.height) == (16, 16)
        own, label = found.maps[0], found.map_of(found.label)
        for one, stored in ((own, sample.own_cam), (label, sample.own_cam_label)):
            assert one.label == stored.target
            assert np.abs(one.cam).max() == pytest.approx(stored.peak, rel=1e-5)
            if one.measures is not None:
                assert one.measures.focus == pytest.approx(stored.focus, abs=1e-5)
                assert one.measures.border == pytest.approx(stored.border, abs=1e-5)
        assert own.probability == pytest.approx(sample.prediction.confidence, abs=1e-5)
        # Both on one scale, as "pair" has them.
        for one, stored in ((own, sample.gradcam), (label, sample.gradcam_label)):
            assert np.abs(found.picture(one.label).astype(int) - pixels_of(stored)).max() <= 1
        if found.predicted != found.label:
            wrong += 1
            assert (found.contrast.label, found.contrast.other) == (found.predicted, found.label)
            both = found.contrast_pictures()
            stored = (sample.own_cam_contrast, sample.own_cam_contrast_against)
            for drawn, one in zip(both, stored, strict=True):
                assert np.abs(drawn.astype(int) - pixels_of(one)).max() <= 1
        else:  # the runner-up instead
            second = np.argsort(-np.array(sample.prediction_scores))[1]
            assert found.contrast.other == CLASSES[second]
    assert wrong >= 3  # or nothing was compared


def test_maps_equal_those_of_the_grad_cam_package(dataset):
    from pytorch_grad_cam import GradCAM
    from pytorch_grad_cam.utils.model_targets import ClassifierOutputTarget, FinerWeightedTarget

    sample = dataset.first()
    run = fg.load_run(dataset, "made")
    model, layer = run.load_model(), run.layer
    (batch,) = Images([sample.filepath], SIZE, resize="crop").batches(1)
    x = get_backbone("small_cnn").normalize(batch.images)
    with GradCAM(model, [model.get_submodule(layer)]) as package:

        def theirs(target) -> np.ndarray:
            package(x, [target])
            kept = package.activations_and_grads
            parts = kept.activations[0].detach().numpy(), kept.gradients[0].numpy()
            return package.get_cam_image(x, None, package.target_layers, *parts, False)[0]

        found = fg.explain_sample(sample, classes=CLASSES, way="finercam")
        for one in found.maps:
            expected = theirs(ClassifierOutputTarget(CLASSES.index(one.label))).clip(0)
            assert np.abs(one.cam - expected).max() <= 1e-5 * found.peak
        pair = [CLASSES.index(x) for x in (found.contrast.label, found.contrast.other)]
        expected = theirs(FinerWeightedTarget(pair[0], [pair[1]], 1.0))
    assert np.abs(expected).max() > 0.1 * found.peak
    assert np.abs(found.contrast.cam - expected).max() <= 1e-4 * np.abs(expected).max()


def test_a_contrast_by_hand():
    """Two channels, each at a cell of its own; class 0 has weights (1, -2), class 1 (-1, 2)."""

    class Two(torch.nn.Module):
        def __init__(self):
            super().__init__()
            self.features = torch.nn.Identity()

        def forward(self, x):
            means = self.features(x).mean((2, 3))
            return means[:, :2] @ torch.tensor([[1.0, -1.0], [-2.0, 2.0]])

        def classifier(self, means):
            return means[:, :2] @ torch.tensor([[1.0, -1.0], [-2.0, 2.0]])

    from fiftyone_gradcam.model.splitting import splitter_of

    x = torch.tensor([[[[4.0, 0], [0, 0]], [[0.0, 0], [0, 8]], [[0.0, 0], [0, 0]]]])
    model = Two()
    with eval_mode(model):
        forward = Forward(model, splitter_of(get_backbone("small_cnn"), None), x)
        zero, one = torch.tensor([0]), torch.tensor([1])
        difference = contrast(forward, zero, one, "difference")
        finer = contrast(forward, zero, one, "finercam", alpha=1.0)
        half = contrast(forward, zero, one, "finercam", alpha=0.5)
    # Channel means count a quarter of each cell. Maps: (1, 0, 0, 0) of class 0, (0, 0, 0, 4) of 1.
    assert difference.flatten().tolist() == [1.0, 0.0, 0.0, -4.0]
    assert finer.flatten().tolist() == [2.0, 0.0, 0.0, -8.0]  # (1 + 1) and (-2 - 2) by cell
    assert half.flatten().tolist() == [1.5, 0.0, 0.0, -6.0]
    with pytest.raises(ValueError, match="way must be one of difference, finercam, not 'other'"):
        contrast(forward, zero, one, "other")
    with pytest.raises(ValueError, match="uses gradients, not 'eigencam'"):
        contrast(forward, zero, one, "finercam", "eigencam")


def test_neighbors_are_the_most_similar_training_images(dataset):
    run = fg.load_run(dataset, "made")
    model, kept = run.load_model(), []
    hook = model.get_submodule(run.layer).register_forward_hook(
        lambda _module, _inputs, out: kept.append(out.detach().mean((2, 3)))
    )
    ids, paths, tags = dataset.values(["id", "filepath", "tags"])
    (batch,) = Images(paths, SIZE, resize="crop").batches(len(paths))
    with torch.no_grad():
        model(get_backbone("small_cnn").normalize(batch.images))
    hook.remove()
    roots = np.sqrt(kept[0].double().numpy().clip(0))
    roots = roots[:, roots.std(0) > 1e-5]
    z = (roots - roots.mean(0)) / roots.std(0)
    z /= np.linalg.norm(z, axis=1, keepdims=True)
    for place in (0, 7):
        found = fg.explain_sample(dataset[ids[place]], neighbors=4)
        cosines = z @ z[place]
        expected = [i for i in np.argsort(-cosines) if i != place and "train" in tags[i]][:4]
        assert [x.sample_id for x in found.neighbors] == [ids[i] for i in expected]
        assert found.neighbors_are == "training images"
        got = np.array([x.cosine for x in found.neighbors])
        assert np.abs(got - cosines[expected]).max() <= 5e-3  # features are kept in 16 bits
        labels = [dataset[x.sample_id].ground_truth.label for x in found.neighbors]
        assert [x.label for x in found.neighbors] == labels


def test_neighbors_whose_files_have_changed_are_left_out(dataset):
    sample = dataset.match_tags("val").first()
    first, second, third = fg.explain_sample(sample, neighbors=3).neighbors
    with open(first.filepath, "rb") as file:
        before = file.read()
    Image.open(second.filepath).rotate(90).save(first.filepath)
    try:
        found = fg.explain_sample(sample, neighbors=2).neighbors
    finally:
        with open(first.filepath, "wb") as file:
            file.write(before)
    assert [x.sample_id for x in found] == [second.sample_id, third.sample_id]
    assert fg.explain_sample(sample, neighbors=0).neighbors == ()


def test_the_network_stays_in_memory_until_the_run_is_another(dataset):
    ready_networks.forget_networks()
    run = fg.load_run(dataset, "made")
    assert not ready_networks.is_ready(dataset, run)
    first = ready_networks.ready_network(dataset, run)
    assert ready_networks.ready_network(dataset, fg.load_run(dataset, "made")) is first
    for key in ("another", "third"):
        make_run(dataset, key, seed=1, files=False)
        ready_networks.ready_network(dataset, fg.load_run(dataset, key))
    assert not ready_networks.is_ready(dataset, run)  # two stay
    # Those that were asked last, not those that were loaded last.
    third, other = (fg.load_run(dataset, key) for key in ("third", "another"))
    ready_networks.ready_network(dataset, other)
    ready_networks.ready_network(dataset, run)
    assert ready_networks.is_ready(dataset, other)
    assert not ready_networks.is_ready(dataset, third)
    again = fg.explain_sample(dataset.first(), run="another")
    assert again.run == "another"
    for key in ("another", "third"):
        fg.delete_run(dataset, key)


def test_a_pretrained_network_is_asked_as_predict_asked_it(dataset, tmp_path):
    import torchvision

    path = str(tmp_path / "random.pth")
    torch.manual_seed(0)
    torch.save(torchvision.models.squeezenet1_1(weights=None).state_dict(), path)
    few = dataset.limit(2)
    fg.predict(
        few, "squeezenet1_1", "imagenet", (), weights=path, resize="letterbox", progress=False
    )
    sample = few.first()
    found = fg.explain_sample(sample, prediction_field="imagenet")
    assert found.run == "squeezenet1_1/imagenet"
    assert np.abs(found.probabilities - sample.imagenet_scores).max() <= 1e-5
    assert [x.label for x in found.maps] == [sample.imagenet.label]  # it knows no digits
    assert f"does not know the label {found.label!r}" in found.words[0]
    dataset.delete_sample_fields(["imagenet", "imagenet_scores"])


def test_without_predictions_the_newest_run_is_asked(dataset):
    found = fg.explain_sample(dataset.first(), prediction_field="nothing")
    assert found.run == "made"
    assert found.notes == (
        "There are no predictions in 'nothing'. The newest run, 'made', is used.",
    )
    sample = dataset.first()
    before, sample.prediction.label = sample.prediction.label, "other"
    sample.save()
    assert "The stored prediction is 'other'" in fg.explain_sample(sample).notes[0]
    sample.prediction.label = before
    sample.save()
    assert fg.explain_sample(sample).notes == ()


def test_what_cannot_be_explained_is_refused(dataset, name, tmp_path):
    sample = dataset.first()
    with pytest.raises(TypeError, match="Expected a sample, such as dataset.first"):
        fg.explain_sample(dataset)
    with pytest.raises(TypeError, match="is not in a dataset"):
        fg.explain_sample(fo.Sample("x.png"))
    with pytest.raises(ValueError, match="'made' has no class 'digit 4'. Did you mean 'digit 2'"):
        fg.explain_sample(sample, classes=["digit 4"])
    with pytest.raises(ValueError, match="'made' has no class 'x'"):
        fg.explain_sample(sample, against="x")
    with pytest.raises(ValueError, match="neighbors must be a whole number of at least 0, not -1"):
        fg.explain_sample(sample, neighbors=-1)
    with pytest.raises(ValueError, match="weights are for a pretrained backbone"):
        fg.explain_sample(sample, weights="x.pth")
    bare = fo.Dataset(name)
    (tmp_path / "x.png").write_bytes(b"no image")
    bare.add_sample(fo.Sample(str(tmp_path / "x.png")))
    with pytest.raises(ValueError, match=r"There is no classifier to explain.*no predictions"):
        fg.explain_sample(bare.first())
    make_run_of = fg.load_run(dataset, "made")
    with pytest.raises(ValueError, match=r"x\.png cannot be decoded"):
        fg.explain_sample(bare.first(), run=make_run_of)


def test_a_network_of_the_user_is_named_where_it_is_needed(dataset):
    torch.manual_seed(0)
    module = torch.nn.Sequential(
        torch.nn.Conv2d(3, 4, 3),
        torch.nn.ReLU(),
        torch.nn.AdaptiveAvgPool2d(1),
        torch.nn.Flatten(),
        torch.nn.Linear(4, 3),
    )
    network = fg.Network(module, CLASSES, image_size=16, name="mine")
    few = dataset.limit(2)
    fg.predict(few, network, "by_mine", (), progress=False)
    with pytest.raises(ValueError, match=r"your own network 'mine'.*explain_sample\(sample, run="):
        fg.explain_sample(few.first(), prediction_field="by_mine")
    found = fg.explain_sample(few.first(), run=network, prediction_field="by_mine")
    assert np.abs(found.probabilities - few.first().by_mine_scores).max() <= 1e-5
    dataset.delete_sample_fields(["by_mine", "by_mine_scores"])


def test_words():
    top = [("ant", 0.62), ("bee", 0.3)]
    assert prediction_words(top, "bee", 0.3, "truth") == [
        "The network predicts 'ant' with a probability of 62.0%. The label 'bee' gets 30.0%.",
        "It is fairly confident that this is 'ant' rather than 'bee'.",
    ]
    assert prediction_words([("ant", 0.5), ("bee", 0.4)], "ant", 0.5, "truth") == [
        "The network predicts 'ant' with a probability of 50.0%, which is the label.",
        "The decision between 'ant' and 'bee' was close: 'bee' gets 40.0%.",
    ]
    assert prediction_words([("ant", 0.969), ("bee", 0.031)], "wasp", None, "truth") == [
        "The network predicts 'ant' with a probability of 96.9%. It does not know the label "
        "'wasp'.",
        "It is confident that this is 'ant' rather than 'bee': 'bee' gets 3.1%.",
    ]
    assert prediction_words([("ant", 1.0)], None, None, "truth") == [
        "The network predicts 'ant' with a probability of 100.0%. There is no label in 'truth'."
    ]
    learns = "This image is in the split 'train', from which the network learns."
    assert split_words(["mine", "train", "test"]) == [learns]
    nothing = "This image is in the split 'val': the network learns nothing from it."
    assert split_words(["val"]) == [nothing]
    assert split_words(["mine"]) == []
    assert heatmap_words("ant", None) == [
        "There is no evidence for 'ant' in this image: its heatmap is empty."
    ]
    assert heatmap_words("ant", Measures(0.42, (0.5, 0.5), 0.2)) == [
        "The evidence for 'ant' is concentrated: 42% of it lies in a tenth of the image."
    ]
    assert heatmap_words("ant", Measures(0.29, (0.5, 0.5), 0.61)) == [
        "The evidence for 'ant' is spread out: 29% of it lies in a tenth of the image.",
        "61% of the evidence for 'ant' lies near the border, which covers 36% of the image. The "
        "network may judge by the background.",
    ]
    near = ["ant", "bee", "ant", None]
    plain = ["Labels of the 4 most similar training images: 2 'ant', 1 'bee'."]
    assert neighbor_words(near, "training images", "ant") == plain
    assert neighbor_words(near, "training images", "bee") == plain  # no more than half of them
    assert neighbor_words(["ant", "ant", "bee"], "images", "bee") == [
        "But most of the 3 most similar images have another label than 'bee': 2 'ant', 1 'bee'."
    ]
    assert neighbor_words([], "images", "ant") == []
    assert seen_words((0.0, 0.0, 1.0, 1.0)) == []
    assert seen_words((0.0, -0.5, 1.0, 1.5)) == []  # a letterbox
    assert seen_words((0.25, 0.0, 0.75, 1.0)) == [
        "The network saw the outlined 50% of the image. The rest had no influence."
    ]


@pytest.mark.parametrize(
    ("peaks", "expected"),
    # 255 stands for the strongest evidence: a tenth of it is 25.5.
    [((255, 26, 25, 0), ["some", "some", "little", "none"]), ((0, 0, 0, 0), ["none"] * 4)],
)
def test_a_heatmap_without_evidence_says_so(peaks, expected):
    class Found:
        def picture(self, label: int) -> np.ndarray:
            return np.array([[0, label]], np.uint8)

    assert [_map(Found(), peak)["evidence"] for peak in peaks] == expected


def test_the_server_answers_with_pictures_and_words(dataset):
    import fiftyone.operators as foo

    def ask(**params) -> dict:
        operator = foo.get_operator("@gradcam/classifier/explain_sample")
        request = {"dataset_name": dataset.name, "params": params}
        ctx = foo.executor.ExecutionContext(request, operator_uri=operator.uri)
        return operator.execute(ctx)

    sample = dataset.first()
    answer, found = ask(id=sample.id, classes=CLASSES), fg.explain_sample(sample, classes=CLASSES)
    assert [x["label"] for x in answer["bars"]] == [name for name, _ in found.top()]
    assert answer["box"] == list(found.box)
    # What is said of a heatmap goes with it, and with no other.
    assert any("evidence for" in x for x in found.words)
    assert answer["words"] == [x for x in found.words if "evidence for" not in x]
    for one in answer["maps"]:
        assert one["words"] == list(found.map_of(one["label"]).words)
        assert f"evidence for '{one['label']}'" in one["words"][0]
    assert answer["prediction_fields"] == ["prediction", "own"]
    assert {x["evidence"] for x in answer["maps"]} <= {"some", "little", "none"}
    addresses = [(x["picture"], found.picture(x["label"])) for x in answer["maps"]]
    pair = answer["contrast"]["own"], answer["contrast"]["against"]
    addresses += list(zip(pair, found.contrast_pictures(), strict=True))
    assert len(addresses) == 5
    for address, expected in addresses:
        data = base64.b64decode(address.removeprefix("data:image/png;base64,"))
        assert np.array_equal(np.asarray(Image.open(io.BytesIO(data))), expected)
    for field, used in (("own", "own"), ("prediction", "prediction"), ("gone", "prediction")):
        assert ask(id=sample.id, prediction_field=field)["prediction_field"] == used
    for other in set(CLASSES) - {found.predicted}:
        for way in CONTRASTS:
            shown = ask(id=sample.id, against=other, way=way)["contrast"]
            assert (shown["other"], shown["way"]) == (other, way)
    assert "is not the ID of a sample" in ask(id="x")["error"]
    assert "There is no sample" in ask(id="0" * 24)["error"]
    assert "classes must be a list of texts" in ask(id=sample.id, classes=3)["error"]
    assert "way must be one of" in ask(id=sample.id, way="x")["error"]


def test_scripts_name_what_there_is():
    """What one of them changes would leave the others without an answer."""
    import re

    import fiftyone.operators as foo
    import yaml
    from conftest import REPOSITORY

    app = REPOSITORY / "fiftyone_gradcam" / "app"
    bundle = yaml.safe_load((REPOSITORY / "fiftyone.yml").read_text())["js_bundle"]
    text = (REPOSITORY / bundle).read_text()
    listed = re.findall(r'"(\w+\.js)"', re.search(r"SCRIPTS = \[(.*?)\]", text)[1])
    assert sorted(listed) == sorted(x.name for x in app.glob("*.js") if x.name != "bundle.js")
    checked = re.findall(r'"(\w+)"', re.search(r"missing = \[(.*?)\]", text)[1])
    for name in listed:
        script = (app / name).read_text()
        used = set(re.findall(r"window\.(__\w+__|React|recoil)", script)) - {"__gradcam__"}
        assert used <= set(checked), name
        assert len(script.splitlines()) < 330
        for operator in re.findall(r'call\("(\w+)"', script):
            assert foo.get_operator(f"@gradcam/classifier/{operator}").config.unlisted


def test_a_label_that_was_reviewed_is_not_called_wrong_any_more():
    columns = Columns("truth", "truth.label", {}, None, None, "issue", None)
    issue = {"label": "wrong label", "evidence": "a model predicts bee 1.00"}
    before = "wrong label: a model predicts bee 1.00"
    assert issue_words({"issue": None}, columns) == []
    assert issue_words({"issue": issue}, columns) == [f"W{before[1:]}."]
    decided = {"label": "accept", "label_field": "truth", "old_label": "ant", "new_label": "bee"}
    row = {"issue": issue, "review": decided | {"evidence": before}}
    assert issue_words(row, columns) == [
        "This label was reviewed (accept): 'ant' was changed to 'bee'.",
        f"Before the review: {before}.",
    ]
    row["review"] = decided | {
        "label": "keep",
        "new_label": "ant",
        "evidence": "of an earlier check",
    }
    assert issue_words(row, columns) == [
        "This label was reviewed (keep): 'ant' was kept.",
        f"W{before[1:]}.",
    ]
    row["review"] = decided | {"label_field": "other"}
    assert issue_words(row, columns) == [f"W{before[1:]}."]
