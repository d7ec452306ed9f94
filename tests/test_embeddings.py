"""Embeddings for the user, for FiftyOne and its Brain; and embeddings of the user's own."""

import re
from pathlib import Path

import fiftyone as fo
import fiftyone.brain as fob
import fiftyone.operators as foo
import numpy as np
import pytest
from conftest import save_digits
from kept import counting, fresh_of
from made_runs import make_run, some_digits
from sklearn.decomposition import PCA
from test_operators import execute, form

import fiftyone_gradcam as fg
from fiftyone_gradcam.app.operators.embeddings import color_field
from fiftyone_gradcam.app.showing import turn_panel
from fiftyone_gradcam.dataset.embeddings import given_embeddings
from fiftyone_gradcam.dataset.storing import Declared, declare
from fiftyone_gradcam.review import layout as layouts
from fiftyone_gradcam.review.layout import layout, pick_method
from fiftyone_gradcam.workflow import embedding, showing_embeddings

CLOSE = {"rel": 2**-10, "abs": 1e-5}


@pytest.fixture(scope="module")
def dataset(tmp_path_factory):
    """Some digits of three classes, with a run "a"."""
    made = some_digits(tmp_path_factory.mktemp("embedded") / "digits", "embedded", per_class=5)
    dataset = next(made)
    make_run(dataset, "a", files=False)
    yield dataset
    next(made, None)


def test_embeddings_are_what_the_network_sees_in_the_order_of_the_samples(dataset, monkeypatch):
    monkeypatch.setattr(embedding, "ROWS_AT_ONCE", 4)  # of 15
    run = fg.load_run(dataset, "a")
    found = fg.compute_embeddings(dataset, "a", "seen", progress=False)
    assert found == pytest.approx(fresh_of(dataset, run), **CLOSE)
    assert isinstance(dataset.get_field("seen"), fo.VectorField)
    assert np.stack(dataset.values("seen")).tolist() == found.tolist()
    assert dataset.get_field("seen").info["run"] == "a"
    view = dataset.sort_by("filepath", reverse=True).limit(4)
    with counting() as counts:
        again = fg.compute_embeddings(view, run, progress=False)
        by_network = fg.compute_embeddings(view, run.network("cpu"), progress=False)
    assert counts.forwarded == 0
    assert again.tolist() == by_network.tolist() == found[::-1][:4].tolist()


def test_fiftyone_computes_the_same_embeddings(dataset, tmp_path):
    model = fg.load_run(dataset, "a").as_fiftyone_model("cpu")
    found = fg.compute_embeddings(dataset, "a", progress=False)
    assert model.has_embeddings
    options = {"batch_size": 4, "num_workers": 0, "skip_failures": False}
    assert dataset.compute_embeddings(model, **options) == pytest.approx(found, **CLOSE)
    dataset.compute_embeddings(model, embeddings_field="by_fiftyone", **options)
    assert np.stack(dataset.values("by_fiftyone")) == pytest.approx(found, **CLOSE)
    path = dataset.first().filepath
    assert model.embed(path) == pytest.approx(found[0], **CLOSE)
    model.predict(path)
    assert model.get_embeddings() == pytest.approx(found[:1], **CLOSE)
    dataset.delete_sample_field("by_fiftyone")


def test_fiftyone_brain_works_on_them(dataset):
    found = fg.compute_embeddings(dataset, "a", "seen", progress=False)
    results = fob.compute_visualization(
        dataset, embeddings="seen", method="pca", brain_key="seen_2d"
    )
    assert np.abs(results.points) == pytest.approx(
        np.abs(PCA(2).fit_transform(found)), rel=1e-2, abs=1e-3
    )
    index = fob.compute_similarity(dataset, embeddings="seen", backend="sklearn", brain_key="alike")
    query = dataset.values("id")[7]
    nearest = dataset.sort_by_similarity(query, k=3, brain_key="alike").values("id")
    unit = found / np.linalg.norm(found, axis=1, keepdims=True)
    order = np.argsort(1 - unit @ unit[7], kind="stable")[:3]
    assert nearest == [dataset.values("id")[place] for place in order]
    assert index.total_index_size == len(dataset)
    for key in ("seen_2d", "alike"):
        dataset.delete_brain_run(key)


def test_a_field_holds_embeddings_of_one_network(dataset, capsys):
    make_run(dataset, "b", seed=1, files=False)
    fg.compute_embeddings(dataset, "a", "one", progress=False)
    with pytest.raises(ValueError, match="for 13 samples that are not among these"):
        fg.compute_embeddings(dataset.limit(2), "b", "one", progress=False)
    fg.compute_embeddings(dataset.limit(2), "a", "one", progress=False)
    assert len(dataset.exists("one")) == 15
    fg.compute_embeddings(dataset.limit(2), "b", "one", overwrite=True, progress=False)
    assert len(dataset.exists("one")) == 2
    fg.delete_run(dataset, "b")
    assert dataset.get_field("one") is None
    with pytest.raises(ValueError, match="'filepath' of .* has values of another type"):
        fg.compute_embeddings(dataset, "a", "filepath", overwrite=True)
    with pytest.raises(
        ValueError, match="no training run 'mobilnet_v2'. Did you mean 'mobilenet_v2'"
    ):
        fg.compute_embeddings(dataset, "mobilnet_v2")
    with pytest.raises(ValueError, match="'small_cnn' has no pretrained weights"):
        fg.compute_embeddings(dataset, "small_cnn")
    with pytest.raises(ValueError, match="a network has its own"):
        fg.compute_embeddings(dataset, fg.load_run(dataset, "a").network("cpu"), resize="crop")


def test_what_cannot_be_decoded_has_no_vector(tmp_path, name, capsys):
    for dataset in some_digits(tmp_path / "d", name):
        make_run(dataset, "a", files=False)
        broken = dataset.first()
        with open(broken.filepath, "wb") as file:
            file.write(b"x")
        found = fg.compute_embeddings(dataset, "a", "seen", progress=False)
        assert np.flatnonzero(np.isnan(found).any(1)).tolist() == [0]
        assert len(dataset.exists("seen")) == len(dataset) - 1
        assert "Left out 1 image:" in capsys.readouterr().out
        results = fg.show_embeddings(dataset, "a", method="pca", progress=False)
        assert results.sample_ids.tolist() == dataset.values("id")[1:]


WRONG = {
    "one row less": (lambda x: x[1:], "has 14 rows, and there are 15 samples"),
    "one dimension": (lambda x: x[:, 0], r"must have two dimensions.* shape \(15,\)"),
    "three dimensions": (lambda x: x[:, :, None], r"shape \(15, 4, 1\)"),
    "no numbers": (lambda x: x[:, :0], r"shape \(15, 0\)"),
    "NaN": (
        lambda x: np.where(np.arange(15)[:, None] == 3, np.nan, x),
        "NaN or infinity in 1 of 15",
    ),
    "infinity": (lambda x: x / np.arange(15)[:, None], "such as row 0, of .*000.png"),
    "words": (lambda x: [["a"]] * 15, "must be numbers"),
    "ragged": (lambda x: [[1.0]] * 14 + [[1.0, 2.0]], "a row of the same length"),
    "no such field": (lambda x: "sen", "'sen' is not a field of .*Fields of vectors: .*own"),
    "not vectors": (lambda x: "filepath", "'filepath' holds StringFields, not vectors"),
    "empty": (lambda x: "nothing", "'nothing' is empty in all 15 samples"),
    "lengths": (lambda x: "ragged", "'ragged' of .* has 3 numbers, not 2. Compute it again"),
    "NaN in a field": (lambda x: "nan", "'nan' of .* holds NaN or infinity"),
}


@pytest.fixture
def with_fields(dataset):
    """The dataset with fields of vectors, good and bad."""
    values = np.arange(1, 61, dtype=float).reshape(15, 4) ** 1.5
    dataset.set_values("own", list(values))
    dataset.add_sample_field("nothing", fo.VectorField)
    dataset.set_values("ragged", [np.ones(2 + (place == 7)) for place in range(15)])
    dataset.set_values("nan", [np.array([1.0, np.nan if place == 9 else 2]) for place in range(15)])
    yield dataset, values
    dataset.delete_sample_fields(["own", "nothing", "ragged", "nan"])


@pytest.mark.filterwarnings("ignore:divide by zero")
@pytest.mark.parametrize("wrong", WRONG)
def test_embeddings_that_cannot_be_are_refused_by_name(with_fields, wrong):
    dataset, values = with_fields
    given, message = WRONG[wrong]
    fg.split(dataset, {"train": 0.5, "val": 0.5})
    with pytest.raises(ValueError, match=message):
        fg.find_leaks(dataset, embeddings=given(values), progress=False)
    assert dataset.get_field("leak") is None


def test_embeddings_are_read_from_arrays_lists_and_fields(with_fields, capsys):
    dataset, values = with_fields
    view = dataset.limit(3)
    for given in (values[:3], values[:3].tolist(), list(values[:3]), "own"):
        found = given_embeddings(view, given)
        assert found.dtype == np.float32
        assert found == pytest.approx(values[:3])
    dataset.set_values("list", {dataset.first().id: [1.0, 2.5]}, key_field="id")
    found = given_embeddings(view, "list")
    assert found[0].tolist() == [1.0, 2.5]
    assert np.isnan(found[1:]).all()
    assert "2 of 3 samples have no vector in 'list'" in capsys.readouterr().out
    dataset.delete_sample_field("list")
    with pytest.raises(ValueError, match="Pass embeddings or backbone='resnet18', not both"):
        fg.find_leaks(dataset, embeddings=values, backbone="resnet18")
    with pytest.raises(ValueError, match="pass groups='near duplicates' too"):
        fg.split(dataset, embeddings=values)
    with pytest.raises(ValueError, match="A job takes embeddings from a field"):
        fg.find_leaks(dataset, embeddings=values, delegate=True)


@pytest.mark.parametrize("from_field", [False, True])
def test_leaks_and_groups_are_found_by_the_users_embeddings(tmp_path, name, from_field):
    """Two images that look nothing alike are twins because the embeddings say so."""
    dataset = fg.import_folders(
        str(save_digits(tmp_path / "d", per_class=10)), name, progress=False
    )
    random = np.random.default_rng(0)
    values = random.normal(size=(len(dataset), 16))
    ids = dataset.values("id")
    dataset.select(ids[:15]).tag_samples("train")
    dataset.select(ids[15:]).tag_samples("val")
    before = set(fg.find_leaks(dataset, embeddings=values, progress=False).values("id"))
    assert not before & {ids[2], ids[25]}
    values[25] = values[2] + 0.001 * random.normal(size=16)
    given = values
    if from_field:
        dataset.set_values("own", list(values))
        given = "own"
    found = fg.find_leaks(dataset, embeddings=given, progress=False)
    assert set(found.values("id")) == before | {ids[2], ids[25]}
    twins = dataset.select([ids[2], ids[25]]).values("leak.group")
    assert twins[0] == twins[1]
    for seed in range(3):
        options = {"seed": seed, "groups": "near duplicates", "progress": False}
        fg.split(dataset, {"a": 0.5, "b": 0.5}, embeddings=given, **options)
        tags = [{"a", "b"} & set(x) for x in dataset.select([ids[2], ids[25]]).values("tags")]
        assert tags[0] == tags[1]


def test_a_layout_shows_groups_and_is_what_scikit_learn_gives(monkeypatch):
    random = np.random.default_rng(0)
    centers = 20 * np.eye(3, 60)
    groups = np.repeat(np.arange(3), 20)
    features = centers[groups] + random.normal(size=(60, 60))
    for method in ("pca", "tsne"):
        points = layout(features, method)
        assert points.shape == (60, 2)
        middles = np.stack([points[groups == g].mean(0) for g in range(3)])
        nearest = np.linalg.norm(points[:, None] - middles, axis=2).argmin(1)
        assert nearest.tolist() == groups.tolist()
        assert layout(features, method).tolist() == points.tolist()
    pca = PCA(2, random_state=0).fit_transform(features.astype(np.float32))
    assert layout(features, "pca") == pytest.approx(pca, abs=1e-3)
    assert layout(features[:4, :1], "tsne").shape == (4, 2)
    with pytest.raises(ValueError, match="at least 3 images, not 2"):
        layout(features[:2], "pca")
    with pytest.raises(ValueError, match="pca, tsne, umap, not 't-sne'"):
        pick_method("t-sne", 5)
    with pytest.raises(ImportError, match="needs umap-learn"):
        pick_method("umap", 5)
    assert [pick_method(None, count) for count in (5000, 5001)] == ["tsne", "pca"]
    monkeypatch.setattr(layouts, "has_umap", lambda: True)
    assert (pick_method("umap", 5), pick_method(None, 5)) == ("umap", "umap")


def test_a_layout_is_a_visualization_of_the_brain(dataset):
    results = fg.show_embeddings(dataset, "a", method="pca", progress=False)
    found = fg.compute_embeddings(dataset, "a", progress=False)
    loaded = dataset.load_brain_results("embeddings")
    assert loaded.points == pytest.approx(layout(found, "pca"))
    assert loaded.sample_ids.tolist() == dataset.values("id")
    assert dataset.get_brain_info("embeddings").config.model == "run 'a', pca (gradcam)"
    assert results.key == "embeddings"
    with counting() as counts:
        fg.show_embeddings(dataset.limit(6), method="tsne", progress=False)  # the newest run
    assert counts.forwarded == 0
    assert len(dataset.load_brain_results("embeddings").points) == 6
    assert dataset.get_brain_info("embeddings").config.model == "run 'a', tsne (gradcam)"
    make_run(dataset, "newest", seed=2, files=False)
    fg.show_embeddings(dataset, method="pca", progress=False)
    assert dataset.get_brain_info("embeddings").config.model == "run 'newest', pca (gradcam)"
    fg.delete_run(dataset, "newest")
    fob.compute_visualization(dataset, embeddings=found, method="pca", brain_key="mine")
    with pytest.raises(ValueError, match="has no run, and no pretrained weights are available"):
        fg.show_embeddings(dataset, weights="none", progress=False)
    with pytest.raises(ValueError, match="'mine' .* was not made by show_embeddings"):
        fg.show_embeddings(dataset, "a", brain_key="mine")
    for key in ("no key", Path("key")):
        with pytest.raises(ValueError, match=f"{re.escape(repr(key))} is not a valid key of a"):
            fg.show_embeddings(dataset, "a", brain_key=key)
    fg.show_embeddings(dataset, embeddings=found, brain_key="mine", method="pca", overwrite=True)
    model = dataset.get_brain_info("mine").config.model
    assert model == "your embeddings, pca (gradcam)"
    for key in ("mine", "embeddings"):
        dataset.delete_brain_run(key)


def test_a_layout_follows_the_seed(dataset, monkeypatch):
    """What t-SNE makes of a seed depends on the data; that it gets the seed does not."""
    seeds = []

    def recorded(found, method, seed=0):
        seeds.append((method, seed))
        return layout(found, "pca", seed)

    monkeypatch.setattr(showing_embeddings, "layout", recorded)
    fg.show_embeddings(dataset, "a", method="tsne", seed=7, progress=False)
    assert seeds == [("tsne", 7)]
    dataset.delete_brain_run("embeddings")


def test_a_button_lays_the_images_out_and_opens_the_panel(dataset):
    fg.compute_embeddings(dataset, "a", "seen", progress=False)
    fields = form("show_embeddings", dataset)
    assert fields["run"]["type"]["values"] == ["a", "pretrained classifier", "field seen"]
    assert fields["method"]["type"]["values"] == ["automatic", "pca", "tsne"]
    assert "backbone" in form("show_embeddings", dataset, run="pretrained classifier")
    operator = foo.get_operator("@gradcam/classifier/show_embeddings")
    for run, of in (("a", "run 'a'"), ("field seen", "your embeddings")):
        ctx = foo.executor.ExecutionContext(
            request_params={
                "dataset_name": dataset.name,
                "params": {"run": run, "method": "pca"},
            },
            executor=foo.executor.Executor(),
        )
        reported = [message.body for message in operator.execute(ctx)]
        dataset.reload()
        assert dataset.get_brain_info("embeddings").config.model == f"{of}, pca (gradcam)"
    (view,) = [x.params for x in reported if x.operator_uri.endswith("set_view")]
    assert view["view"] == []  # all images, whatever was shown before
    (opened,) = [x.params for x in reported if x.operator_uri.endswith("open_panel")]
    assert opened["name"] == "Embeddings"
    assert opened["data"] == {"openKey": "embeddings", "colorField": "ground_truth.label"}
    assert len(dataset.load_brain_results("embeddings").points) == len(dataset)
    execute("compute_embeddings", dataset, run="a", field="by_form")
    assert np.stack(dataset.values("by_form")).tolist() == np.stack(dataset.values("seen")).tolist()
    fg.split(dataset, {"train": 0.5, "val": 0.5})
    offered = form("find_leaks", dataset)["embeddings"]["type"]["values"]
    assert offered == ["automatic", "seen", "by_form"]
    assert "backbone" not in form("find_leaks", dataset, embeddings="seen")
    execute("find_leaks", dataset, embeddings="seen")
    dataset.delete_brain_run("embeddings")
    dataset.delete_sample_fields(["by_form", "leak"])


def test_forms_take_a_network_or_a_field_of_embeddings_and_no_probabilities(dataset):
    fg.compute_embeddings(dataset, "a", "seen", progress=False)
    fg.predict(dataset, "a", heatmaps=(), progress=False)
    assert form("find_label_issues", dataset)["embeddings"]["type"]["values"] == [
        "automatic",
        "seen",
    ]
    assert form("show_embeddings", dataset)["run"]["type"]["values"][-1] == "field seen"
    assert "embeddings" not in form("find_anomalies", dataset)  # which takes none
    given = {}
    for chosen in ("automatic", "seen"):
        params = {"label_field": "ground_truth", "embeddings": chosen, "backbone": "small_cnn"}
        request = {"dataset_name": dataset.name, "params": {**params, "epochs": 3}}
        operator = foo.get_operator("@gradcam/classifier/find_label_issues")
        given[chosen] = operator.given(foo.executor.ExecutionContext(request))
        given[chosen].pop("samples")
    plain = {"label_field": "ground_truth", "folds": 5, "seed": 0}
    network = {"epochs": 3, "backbone": "small_cnn", "weights": "none"}
    assert given == {"automatic": plain | network, "seen": plain | {"embeddings": "seen"}}
    dataset.delete_sample_fields(["prediction", "prediction_scores"])


def test_the_panel_that_opens_is_reported_what_to_show(dataset):
    """It forgets what it is to show when it opens: a look later it is told once more."""
    asked = {"name": "Embeddings", "data": {"openKey": "embeddings", "colorField": "label_quality"}}
    space = fo.Space(children=[fo.Panel(type="Samples"), fo.Panel(type="Embeddings")])
    for spaces, ids in ((space, [space.children[1].component_id]), (fo.Space(), [])):
        ctx = foo.executor.ExecutionContext(
            request_params={"dataset_name": dataset.name, "spaces": spaces.to_dict()},
            executor=foo.executor.Executor(),
        )
        assert turn_panel(ctx, asked) is bool(ids)
        reported = [x["params"] for x in ctx.executor.to_json()["requests"]]
        assert [x["panel_id"] for x in reported] == ids
        assert all(x["data"] == asked["data"] and x["full_merge"] for x in reported)


def test_images_are_colored_by_labels_of_the_user(name):
    dataset = fo.Dataset(name)
    assert color_field(dataset) is None
    declare(dataset, "prediction", Declared("classification", "", {"run": "a"}, {}))
    assert color_field(dataset) == "prediction.label"
    for field in ("mine", "ground_truth"):
        kind = {"embedded_doc_type": fo.Classification}
        dataset.add_sample_field(field, fo.EmbeddedDocumentField, **kind)
        assert color_field(dataset) == f"{field}.label"
