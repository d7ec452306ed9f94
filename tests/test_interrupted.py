"""A call that is cut at any of its writes loses nothing, mixes nothing, and can be repeated."""

import random

import fiftyone as fo
import pytest
from interrupting import Cut, cut_at, facts_of, loose_files, values_of
from made_runs import make_run, some_digits

import fiftyone_gradcam as fg
from fiftyone_gradcam.dataset import predictions, spool
from fiftyone_gradcam.dataset.fields import field_info, refresh

FIELDS = [
    *("prediction", "prediction_scores"),
    *("gradcam", "gradcam_contrast", "gradcam_contrast_against"),
]
KINDS = ("predicted", "contrast")


@pytest.fixture(scope="module")
def dataset(tmp_path_factory):
    made = some_digits(tmp_path_factory.mktemp("cut") / "digits", "cut short", per_class=2)
    dataset = next(made)
    dataset.set_values("note", [f"of {i}" for i in range(len(dataset))])
    make_run(dataset, "first", seed=0, files=False)
    make_run(dataset, "second", seed=3, files=False)
    yield dataset
    next(made, None)


@pytest.fixture(autouse=True)
def small_steps(monkeypatch, one_thread):
    monkeypatch.setattr(predictions, "FLUSH_SAMPLES", 2)
    monkeypatch.setattr(spool, "ROWS_AT_ONCE", 2)


def clear(dataset):
    dataset.reload()
    dataset.delete_sample_fields([name for name in FIELDS if dataset.get_field(name)])


def predict(dataset, run, **options):
    given = {"heatmaps": KINDS, "batch_size": 2, "progress": False, **options}
    return fg.predict(dataset, run, **given)


# Two calls, each of which is cut over what the other one wrote; None for new fields.
STORIES = {
    "into new fields": (None, ("second", {})),
    "over another run's": (("first", {}), ("second", {})),
    "over its own": (("second", {}), ("second", {})),
    "with other heatmaps": (("second", {}), ("second", {"method": "layercam"})),
    "with one scale": (("first", {"scale": "run"}), ("second", {"scale": "run"})),
    "with more heatmaps": (("second", {"heatmaps": ("predicted",)}), ("second", {})),
}
# Of how many writes a call is cut at by default: of all, in the slow tests.
MOST = {"into new fields": 10, "over another run's": 10}
FEW = 5  # of the others, which have few writes of their own


def check_kept(dataset, old, new, note):
    """After a cut: what is there is of one run alone, and nothing is gone but for what is whole."""
    assert dataset.values("note") == note
    now = values_of(dataset, FIELDS)
    missing = False
    for name in FIELDS:
        rows, before, after = (v.get(name, [None] * len(note)) for v in (now, old, new))
        is_old = [x == a and x is not None for x, a in zip(rows, before, strict=True)]
        is_new = [x == b and x is not None for x, b in zip(rows, after, strict=True)]
        assert all(a or b or x is None for x, a, b in zip(rows, is_old, is_new, strict=True)), name
        only_old = any(a and not b for a, b in zip(is_old, is_new, strict=True))
        only_new = any(b and not a for a, b in zip(is_old, is_new, strict=True))
        assert not (only_old and only_new), f"{name} holds values of two calls"
        gone = zip(rows, before, after, strict=True)
        missing |= any(x is None and a is not None and b is not None for x, a, b in gone)
        lacks = any(x is None and b is not None for x, b in zip(rows, after, strict=True))
        # What is neither empty nor what was there before says that it holds a part.
        if lacks and rows not in ([None] * len(note), before):
            assert field_info(dataset, name)["partial"]["of"] == len(note)
        assert rows == [None] * len(note) or field_info(dataset, name)["run"]
    if missing:  # then all new values are on disk
        (waiting,) = spool.spools(dataset, spool.READY)
        assert {i for i, _ in waiting.rows()} == set(dataset.values("id"))


@pytest.mark.parametrize("is_whole", [False, pytest.param(True, marks=pytest.mark.slow)])
@pytest.mark.parametrize("story", STORIES)
def test_a_prediction_can_be_cut_at_any_write(dataset, story, is_whole):
    note, calls, known = dataset.values("note"), STORIES[story], []
    clear(dataset)
    for one in calls:
        with cut_at(None) as writes:
            if one is not None:
                predict(dataset, one[0], **one[1])
        known.append((values_of(dataset, FIELDS), facts_of(dataset, FIELDS)))
        assert loose_files(dataset) == set()
    assert set(known[1][0]) == set(FIELDS)
    numbers, turn = range(len(writes)), 1
    if not is_whole:
        count = min(MOST.get(story, FEW), len(numbers))
        numbers = sorted(random.Random(0).sample(numbers, count))
    for number in numbers:
        if None in calls:
            clear(dataset)
        else:
            turn = 1 - turn  # what is there now is what the last turn's call wrote
        (old, _), (new, facts) = known[1 - turn], known[turn]
        run, options = calls[turn]
        cut = False
        with cut_at(number, after=bool(number % 2)):
            try:
                predict(dataset, run, **options)
            except Cut:
                cut = True
        refresh(dataset)  # as a new process would see it
        if cut:
            check_kept(dataset, old, new, note)
        found = predict(dataset, run, **options, resume=bool(number % 3))
        assert len(found) == len(note), number
        assert {n: v for n, v in values_of(dataset, FIELDS).items() if n in new} == new, number
        assert {n: v for n, v in facts_of(dataset, FIELDS).items() if n in new} == facts, number
        assert loose_files(dataset) == set(), number
        for name in ("margin", "entropy", "label_score"):
            assert isinstance(dataset.get_field(f"prediction.{name}"), fo.FloatField)
