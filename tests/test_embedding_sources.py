"""Where embeddings and layouts come from: what is recorded of it, and what is not mixed up."""

import fiftyone as fo
import numpy as np
import pytest
from fiftyone.brain.visualization import ManualVisualizationConfig
from kept import fresh_of
from made_runs import make_run, some_digits

import fiftyone_gradcam as fg
from fiftyone_gradcam.dataset.layouts import RESTS_ON

QUIET = {"progress": False, "device": "cpu"}


@pytest.fixture
def dataset(tmp_path, name):
    """Nine digits with a run "a"."""
    for dataset in some_digits(tmp_path / "digits", name, per_class=3):
        make_run(dataset, "a", files=False)
        yield dataset


def test_a_backbone_with_weights_is_not_the_run_of_its_name(dataset):
    run = make_run(dataset, "small_cnn", seed=1, files=False)
    network = fg.load_run(dataset, "a").network("cpu")
    own = fg.compute_embeddings(dataset, "small_cnn", **QUIET)
    assert own == pytest.approx(fresh_of(dataset, run), rel=2**-10, abs=1e-5)
    weights = fg.load_run(dataset, "a").checkpoint
    other = fg.compute_embeddings(dataset, "small_cnn", "other", weights=weights, **QUIET)
    assert np.isfinite(other).all()
    assert np.abs(other - own).max() > 0.01
    assert "run" not in dataset.get_field("other").info
    for name in ("small_cnn", "squeezenet1_1"):  # which would be features by chance
        with pytest.raises(ValueError, match="of a network with pretrained weights, not of weigh"):
            fg.compute_embeddings(dataset, name, weights="none")
    for option in ({"weights": weights}, {"resize": "crop"}):
        with pytest.raises(ValueError, match="weights and resize are for a backbone; a network"):
            fg.compute_embeddings(dataset, network, **option)


@pytest.fixture
def other(name):
    """Another dataset."""
    other = fo.Dataset(f"{name} other")
    yield other
    other.delete()


def test_of_a_run_of_another_dataset_no_version_is_recorded(dataset, other):
    run = fg.load_run(dataset, "a")
    fg.compute_embeddings(dataset, run, "seen", **QUIET)
    info = dataset.get_field("seen").info
    assert (info["run"], info["version"]) == ("a", run.version)
    other.add_samples([fo.Sample(path) for path in dataset.limit(4).values("filepath")])
    fg.compute_embeddings(other, run, "seen", **QUIET)
    info = other.get_field("seen").info
    assert (info["run"], "version" in info) == ("a", False)
    fg.show_embeddings(other, run, "pca", **QUIET)
    config = other.get_brain_info("embeddings").config
    assert config.model == "run 'a', pca (gradcam)"
    assert {"run", "version", "given"} & {*getattr(config, RESTS_ON)} == set()


def test_a_field_of_the_user_is_not_replaced_and_one_of_all_samples_is(dataset):
    vectors = np.random.default_rng(0).normal(size=(9, 4))
    dataset.set_values("mine", list(vectors))
    with pytest.raises(ValueError, match="'mine' .* not written by this plugin"):
        fg.compute_embeddings(dataset, "a", "mine", **QUIET)
    make_run(dataset, "b", seed=1, files=False)
    fg.compute_embeddings(dataset, "a", "seen", **QUIET)
    found = fg.compute_embeddings(dataset, "b", "seen", **QUIET)  # no sample keeps those of "a"
    assert np.stack(dataset.values("seen")).tolist() == found.tolist()


def test_a_layout_records_what_it_rests_on(dataset, capsys):
    run = fg.load_run(dataset, "a")

    def rests_on(**options) -> dict:
        fg.show_embeddings(dataset, method="pca", **options, **QUIET)
        return dict(getattr(dataset.get_brain_info("embeddings").config, RESTS_ON))

    found = rests_on()
    words = "9 images in a pca layout by run 'a': 'embeddings' in the Embeddings panel\n"
    assert capsys.readouterr().out == words
    assert isinstance(dataset.load_brain_view("embeddings"), fo.Dataset)  # no list of samples
    assert (found["run"], found["version"]) == ("a", run.version)
    given = {"method": "pca", "seed": 0}
    assert found["given"] == {**given, "run_or_backbone": "a"}
    assert found.keys() == {"samples", "run", "version", "given"}
    assert rests_on(run_or_backbone=run.network("cpu")).keys() == {"samples"}
    fg.compute_embeddings(dataset, "a", "seen", **QUIET)
    found = rests_on(embeddings="seen")
    assert (found["field"], found["facts"]["run"]) == ("seen", "a")
    assert found["given"] == {**given, "embeddings": "seen"}
    vectors = np.random.default_rng(0).normal(size=(9, 4))
    assert rests_on(embeddings=vectors).keys() == {"samples"}
    for other in ({"run_or_backbone": "a"}, {"weights": "imagenet"}, {"resize": "crop"}):
        with pytest.raises(ValueError, match=f"Pass embeddings or {next(iter(other))}="):
            fg.show_embeddings(dataset, embeddings=vectors, **other)


def test_a_layout_is_of_the_images_that_can_be_decoded_in_their_order(dataset):
    view = dataset.sort_by("filepath", reverse=True)
    ids = view.values("id")
    fg.show_embeddings(view, "a", "pca", **QUIET)
    assert dataset.load_brain_view("embeddings").values("id") == ids
    with open(dataset[ids[4]].filepath, "wb") as file:
        file.write(b"x")
    ids.pop(4)
    results = fg.show_embeddings(view, "a", "pca", **QUIET)
    assert results.sample_ids.tolist() == ids
    assert dataset.load_brain_view("embeddings").values("id") == ids


def test_a_layout_that_was_cut_off_is_replaced(dataset):
    config = ManualVisualizationConfig(num_dims=2, model="of another function")
    config.build().register_run(dataset, "cut")  # its results are missing
    fg.show_embeddings(dataset, "a", "pca", brain_key="cut", **QUIET)
    assert dataset.get_brain_info("cut").config.model == "run 'a', pca (gradcam)"
