"""What a call with delegate=True hands to the job, without a job."""

from pathlib import Path

import numpy as np
import pytest
from made_runs import make_run, some_digits

import fiftyone_gradcam as fg
from fiftyone_gradcam.jobs import calls, delegating
from fiftyone_gradcam.training.recipe import Recipe


@pytest.fixture
def submitted(monkeypatch) -> list[tuple]:
    found = []
    monkeypatch.setattr(delegating, "submit", lambda *given: found.append(given))
    return found


def verb(path: str, count: int = 3, progress: object = None, delegate: bool = False, **more):
    return path, count, progress, more


def test_all_arguments_but_those_of_this_process_are_handed_on(submitted):
    own = delegating.delegable(verb)
    assert own("x", progress=False, epochs=2) == ("x", 3, False, {"epochs": 2})
    assert submitted == []
    for progress in ({}, {"progress": True}, {"progress": False}, {"progress": None}):
        own("x", **progress, epochs=2, delegate=True)
        assert submitted.pop() == ("verb", {"path": "x", "epochs": 2}, None)
    own("x", 4, delegate=True)
    assert submitted.pop() == ("verb", {"path": "x", "count": 4}, None)


@pytest.mark.parametrize("progress", [print, 1.5, lambda *_: None])
def test_a_progress_function_is_refused(submitted, progress):
    with pytest.raises(ValueError, match="A job cannot call a progress function of this process"):
        delegating.delegable(verb)("x", progress=progress, delegate=True)
    assert submitted == []


def test_a_check_gets_the_arguments_of_the_verb_before_anything_is_queued(submitted):
    def check(path, **more):
        raise ValueError(f"{path} {more}")

    own = delegating.delegable(check=check)(verb)
    with pytest.raises(ValueError, match="x {'count': 5, 'epochs': 2}"):
        own("x", count=5, progress=True, epochs=2, delegate=True)
    assert submitted == []
    assert own("x") == ("x", 3, None, {})  # in this process, the verb checks by itself


@pytest.fixture(scope="module")
def dataset(tmp_path_factory):
    """Digits with one run."""
    for dataset in some_digits(tmp_path_factory.mktemp("delegating") / "digits", "delegating"):
        make_run(dataset, "made", files=False)
        yield dataset


VECTORS, SMALL = np.zeros((12, 2)), {"backbone": "small_cnn", "weights": "none"}


@pytest.mark.parametrize(
    ("name", "args", "options", "words"),
    [
        ("fine_tune", ["new"], SMALL, None),
        ("fine_tune", ["new", "matlab-cracks"], SMALL, None),
        ("fine_tune", ["new"], {**SMALL, "labels": "before_review"}, None),
        ("fine_tune", ["made"], {"overwrite": True}, None),
        ("fine_tune", ["made"], {"resume": True, "epochs": 9}, None),
        ("fine_tune", ["made"], SMALL, "'made' exists already"),
        ("fine_tune", ["a b"], SMALL, "'a b' is not a valid run key"),
        ("fine_tune", ["new"], {**SMALL, "labels": "older"}, "labels must be 'current' or"),
        ("fine_tune", ["new"], {**SMALL, "batch_size": 0}, "batch_size must be a whole number"),
        ("fine_tune", ["new", "no-such"], {}, "no-such"),
        ("fine_tune", ["made"], {"resume": True, "epoch": 9}, "There is no option 'epoch'"),
        ("fine_tune", ["new"], {"weights": "/gone.pth"}, "/gone.pth"),
        ("predict", ["made"], {"signed": True, "batch_size": 8}, None),
        ("predict", ["gone"], {}, "gone"),
        ("predict", ["made"], {"resolution": 7}, "resolution must be a whole number"),
        ("predict", ["made"], {"weights": "imagenet"}, "weights"),
        ("find_label_issues", [], {"embeddings": "seen"}, None),
        ("find_label_issues", [], {"probabilities": VECTORS}, "cannot be given probabilities"),
        *(
            (name, args, {"embeddings": VECTORS}, "embeddings")
            for name, args in (
                *(("find_leaks", []), ("show_embeddings", [])),
                *(("split", []), ("find_label_issues", [])),
            )
        ),
    ],
)
def test_wrong_arguments_of_a_job_are_refused_at_once(
    dataset, submitted, name, args, options, words
):
    """And right ones are handed on as they are."""
    call = getattr(fg, name)
    if words is None:
        call(dataset, *args, **options, delegate=True)
        verb, given, own = submitted.pop()
        assert (verb, own) == (name, dataset)
        assert [*given.values()][: 1 + len(args)] == [dataset, *args]
        assert dict([*given.items()][1 + len(args) :]) == options
    else:
        with pytest.raises((ValueError, FileNotFoundError), match=words):
            call(dataset, *args, **options, delegate=True)
    assert submitted == []


def test_a_job_gets_all_kinds_of_values_as_they_mean_the_same(dataset):
    view, recipe = dataset.limit(5).sort_by("filepath"), Recipe(epochs=2, hidden=(8, 4))
    given = {
        "plain": [None, True, 3, 0.5, "a b"],
        "run": fg.load_run(dataset, "made"),
        "recipe": recipe,
        "of_numpy": [np.float32(0.5), np.arange(4).reshape(2, 2)],
        "path": Path("/a") / "b",
        "within": {"runs": (fg.load_run(dataset, "made"),), "samples": [dataset, view], 3: {}},
    }
    found = calls.decode(calls.encode(given), dataset._doc.id)
    whole, part = found["within"].pop("samples")
    assert found == {
        "plain": given["plain"],
        "run": "made",
        "recipe": recipe,
        "of_numpy": [0.5, [[0, 1], [2, 3]]],
        "path": "/a/b",
        "within": {"runs": ["made"], "3": {}},
    }
    assert (whole, part.values("id")) == (dataset, view.values("id"))
    for value in (object(), {1}, [print]):
        with pytest.raises(ValueError, match="argument 'own' cannot be passed to a job, because a"):
            calls.encode({"own": value})
