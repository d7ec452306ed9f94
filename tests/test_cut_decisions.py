"""Reviews, embeddings and layouts that are cut short leave nothing half-done; they are repeated."""

import contextlib
import errno
import os
from itertools import product
from unittest.mock import patch

import numpy as np
import pytest
from interrupting import Cut, cut_at, loose_files
from made_runs import make_run, some_digits

import fiftyone_gradcam as fg
from fiftyone_gradcam.dataset.fields import refresh
from fiftyone_gradcam.dataset.spool import Spool


@pytest.fixture
def dataset(tmp_path, name):
    """Twelve digits of three classes, with a run "a"."""
    made = some_digits(tmp_path / "digits", name)
    dataset = next(made)
    make_run(dataset, "a", files=False)
    yield dataset
    next(made, None)


def test_a_review_with_a_new_class_is_made_once_and_its_class_is_listed(dataset):
    sample = dataset.limit(1)

    def decide(label: str) -> None:
        fg.review(sample, "relabel", label, new_class=True)

    decide("first")  # fields are made once
    with cut_at(None) as writes:
        decide("second")
    assert writes.index("update_one") < writes.index("bulk_write")  # its class, and then its label
    done = ["first", "second"]
    for number, after in product(range(len(writes)), (False, True)):
        label = f"class {number} {after}"
        with cut_at(number, after), contextlib.suppress(Cut):
            decide(label)
        refresh(dataset)
        if fg.list_reviews(dataset)[-1].new_label != label:
            decide(label)
        done.append(label)
        assert [one.new_label for one in fg.list_reviews(dataset)] == done, number
        assert dataset.values("ground_truth.label")[0] == label
        assert label in dataset.label_schemas["ground_truth"]["classes"], number


def test_embeddings_that_the_disk_has_no_room_for_leave_nothing(dataset):
    full = OSError(errno.ENOSPC, os.strerror(errno.ENOSPC), "waiting")
    with patch.object(Spool, "add", side_effect=full), pytest.raises(OSError, match="disk is full"):
        fg.compute_embeddings(dataset, "a", "seen", progress=False)
    assert loose_files(dataset) == set()
    assert dataset.get_field("seen") is None
    found = fg.compute_embeddings(dataset, "a", "seen", progress=False)
    assert np.stack(dataset.values("seen")).tolist() == found.tolist()
    assert loose_files(dataset) == set()


def test_a_layout_that_was_cut_at_any_write_is_made_again(dataset):
    found = np.random.default_rng(0).random((len(dataset), 4), np.float32)

    def lay_out() -> None:
        fg.show_embeddings(dataset, embeddings=found, method="pca", progress=False)

    lay_out()
    wanted = dataset.load_brain_results("embeddings").points.tolist()
    with cut_at(None) as writes:
        lay_out()
    for number in range(len(writes)):
        with cut_at(number, after=bool(number % 2)), contextlib.suppress(Cut):
            lay_out()
        refresh(dataset)
        lay_out()
        config = dataset.get_brain_info("embeddings").config
        assert config.model == "your embeddings, pca (gradcam)", number
        loaded = dataset.load_brain_results("embeddings", cache=False)
        assert loaded.points.tolist() == wanted, number
