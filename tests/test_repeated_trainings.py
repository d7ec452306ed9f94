"""Which training `retrain` repeats, resumes or starts, and what it compares on."""

import os
from itertools import islice

import pytest
from made_runs import make_run, some_digits

import fiftyone_gradcam as fg
from fiftyone_gradcam.dataset.files import run_folder
from fiftyone_gradcam.dataset.run import BEFORE_REVIEW, CURRENT, pretrained
from fiftyone_gradcam.training.recipe import Recipe
from fiftyone_gradcam.workflow.retraining import _find_repeat, _held_out, _numbered, _Repeat
from fiftyone_gradcam.workflow.retraining import _state_of as state_of


@pytest.fixture
def dataset(tmp_path, name):
    """Twelve digits, and a run "a"."""
    for dataset in some_digits(tmp_path / "digits", name):
        make_run(dataset, "a", files=False)
        yield dataset


def test_a_dataset_without_a_split_is_trained_on_under_a_free_key(dataset):
    run = fg.load_run(dataset, "a")
    recipe = Recipe(**run.recipe)

    def found(samples, key=None, labels=CURRENT) -> _Repeat:
        return _find_repeat(samples, run, recipe, key, labels, False)

    assert found(dataset) == _Repeat("a_corrected")
    assert found(dataset, "mine") == _Repeat("mine")
    assert found(dataset, labels=BEFORE_REVIEW) == _Repeat("a_before_review")
    make_run(dataset, "a_corrected", seed=1, files=False)
    assert found(dataset) == _Repeat("a_corrected_2")
    # A view is trained on as it is, and a run that was not trained here is nothing to resume.
    assert found(dataset.limit(9)) == _Repeat("a_corrected_2")
    fg.split(dataset)
    assert found(dataset) == _Repeat("a_corrected_2")
    assert found(dataset, "a_corrected") == _Repeat("a_corrected")  # which fine_tune refuses


def test_a_training_whose_state_cannot_be_read_keeps_its_key(dataset):
    fg.split(dataset)
    run = fg.load_run(dataset, "a")
    given = (dataset, run, Recipe(**run.recipe))
    assert state_of(dataset, "a_corrected") is None
    assert _find_repeat(*given, None, CURRENT, False) == _Repeat("a_corrected")
    folder = run_folder(dataset, "a_corrected")
    os.makedirs(folder)
    with open(os.path.join(folder, "state.pt"), "wb") as file:
        file.write(b"no state")
    assert state_of(dataset, "a_corrected") == {}
    # `fine_tune` would refuse this key, and `retrain` cannot be told to start over.
    assert _find_repeat(*given, None, CURRENT, False) == _Repeat("a_corrected_2")
    assert _find_repeat(*given, "a_corrected", CURRENT, False) == _Repeat("a_corrected")
    with pytest.raises(ValueError, match="training 'a_corrected' of .* interrupted"):
        fg.retrain(dataset, "a", "a_corrected")


def test_keys_are_numbered_from_two_and_never_that_of_the_run():
    assert [*islice(_numbered("x", "other"), 3)] == ["x", "x_2", "x_3"]
    assert [*islice(_numbered("x", "x_2"), 3)] == ["x", "x_3", "x_4"]


def test_runs_on_a_view_are_compared_on_its_own_test_samples(dataset):
    view = dataset.limit(8)
    assert _held_out(view) == dataset  # it has neither
    dataset.skip(8).tag_samples("test")  # not in the view
    dataset.limit(3).tag_samples("val")
    assert _held_out(view).values("id") == dataset.values("id")[:3]
    dataset.skip(6).limit(1).tag_samples("test")
    assert _held_out(view).values("id") == dataset.values("id")[6:7]


def test_only_what_was_trained_here_is_repeated(dataset):
    network = pretrained(dataset, "squeezenet1_1", "imagenet", "squash")
    with pytest.raises(ValueError, match=r"was not trained here. Pass a run of fine_tune\(\)"):
        fg.retrain(dataset, network)
