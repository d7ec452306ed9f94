"""What a run says of itself, and the keys that runs may have."""

from dataclasses import replace

import fiftyone as fo
import pytest

from fiftyone_gradcam.dataset.run import Pretrained, Run
from fiftyone_gradcam.dataset.run_keys import check_key, key_on, next_key
from fiftyone_gradcam.dataset.runs import METHOD

RUN = Run(
    key="a",
    dataset_name="elsewhere",
    classes=["x", "y"],
    recipe={"backbone": "small_cnn", "epochs": 1, "resize": "crop"},
    history=[{"epoch": 0}, {"epoch": 1}],
    best_epoch=1,
    label_field="own",
    checkpoint="/model.pt",
)


@pytest.mark.parametrize(
    ("history", "planned", "words"),
    [
        ([0, 1], 1, "1 epoch"),
        ([1], 3, "1 of 3 epochs"),
        ([0], 1, "0 of 1 epochs"),
        ([], 2, "0 of 2 epochs"),
        ([0, 1, 2], 2, "2 epochs"),
    ],
)
def test_the_epochs_that_ran_in_words(history, planned, words):
    """The training of the new layers alone is none of them."""
    rows = [{"epoch": number} for number in history]
    recipe = {**RUN.recipe, "epochs": planned}
    assert replace(RUN, history=rows, recipe=recipe).epoch_words == words


def test_a_run_in_words():
    start = "run 'a': small_cnn, 2 classes, "
    assert str(RUN) == f"{start}1 epoch (best: epoch 1)"
    assert (
        str(replace(RUN, val_accuracy=0.0)) == f"{start}1 epoch (best: epoch 1), val accuracy 0.0%"
    )
    assert str(replace(RUN, history=[])) == f"{start}weights from a file"
    other = Pretrained(**vars(RUN))
    assert (str(other), other.version) == (
        "small_cnn with its 2 ImageNet classes", "/model.pt, crop"
    )  # fmt: skip


def test_labels_were_read_when_the_record_says_so_or_else_when_it_was_written():
    recorded = replace(RUN, trained="2026-02-02")
    assert (recorded.version, recorded.learned_at) == ("2026-02-02", "2026-02-02")
    assert (RUN.version, RUN.learned_at) == (None, None)
    for basis, at in (({}, "2026-02-02"), ({"at": "2026-01-01"}, "2026-01-01")):
        assert replace(recorded, basis=basis).learned_at == at


@pytest.fixture
def dataset(name):
    """No samples, and records of two trainings and of something else."""
    made = fo.Dataset(name)
    for key, method in (("a", METHOD), ("a_2", METHOD), ("other", "other")):
        made.register_run(key, made.init_run(method=method))
    return made


def test_numbers_of_keys_go_on(dataset):
    names = {"a": "a_3", "a_2": "a_3", "b": "b", "b_7": "b", "A": "A_3", "_2": "_2", "a_x": "a_x"}
    assert {name: next_key(dataset, name) for name in names} == names


def test_keys_that_cannot_be_used_are_refused_with_the_reason(dataset):
    taken = f"Run 'a' exists already on {dataset.name!r}. Choose another key, or pass overwrite="
    for key, overwrite, words in (
        ("", True, "'' is not a valid run key. Use letters, digits and underscores"),
        (3, True, "3 is not a valid run key. Use letters, digits and underscores"),
        ("a b", True, "'a b' is not a valid run key"),
        ("k" * 241, True, f"'{'k' * 40}…' is too long for a run key, which names a folder too"),
        ("other", False, f"Run 'other' of {dataset.name!r} is not a training. Choose another key"),
        ("other", True, f"Run 'other' of {dataset.name!r} is not a training. Choose another key"),
        ("a", False, f"{taken}True to replace it"),
    ):
        with pytest.raises(ValueError) as caught:  # noqa: PT011 (its whole words follow)
            check_key(dataset, key, overwrite)
        assert str(caught.value).startswith(words)
    check_key(dataset, "a", overwrite=True)
    check_key(dataset, "k" * 240, overwrite=False)


def test_a_run_is_that_of_its_dataset(dataset):
    own = replace(RUN, dataset_name=dataset.name)
    assert key_on(dataset, own) == key_on(dataset, "a") == "a"
    assert key_on(dataset, "not_there") == "not_there"  # whether it is there, others ask
    for run, words in (
        (RUN, "run 'a': small_cnn, 2 classes, 1 epoch (best: epoch 1)"),
        (Pretrained(**vars(own)), "small_cnn with its 2 ImageNet classes"),
    ):
        of = f"{words} is not a run of {dataset.name!r}, but of {run.dataset_name!r}. Pass the dat"
        with pytest.raises(ValueError) as caught:  # noqa: PT011
            key_on(dataset, run)
        assert str(caught.value).startswith(of)
    for key in ("../a", "", 3, None):
        with pytest.raises(ValueError, match=f"has no training run {key!r}. "):
            key_on(dataset, key)
