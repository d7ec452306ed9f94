"""A call that is cut short at any of its writes loses nothing, mixes nothing, and can be repeated."""

import fiftyone as fo
import pytest
from interrupting import Cut, cut_at, facts_of, loose_files, values_of
from made_runs import make_run, some_digits

import fiftyone_gradcam as fg
from fiftyone_gradcam.dataset import predictions, spool
from fiftyone_gradcam.dataset.fields import field_info

FIELDS = ["prediction", "prediction_scores", "gradcam", "gradcam_contrast"]
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


# What is there before the call, and the call.
STORIES = {
    "into new fields": ([], ("second", {})),
    "over its own": ([("second", {})], ("second", {})),
    "over another run's": ([("first", {})], ("second", {})),
    "with other heatmaps": ([("second", {})], ("second", {"method": "layercam"})),
    "with one scale": ([("first", {})], ("second", {"scale": "run"})),
    "with more heatmaps": ([("second", {"heatmaps": ("predicted",)})], ("second", {})),
}


def begin(dataset, story):
    clear(dataset)
    for run, options in STORIES[story][0]:
        predict(dataset, run, **options)


def call(dataset, story, **more):
    run, options = STORIES[story][1]
    return predict(dataset, run, **options, **more)


def check_kept(dataset, old, new, note):
    """After a cut: what is there is of one run alone, and nothing is gone but for what is whole."""
    assert dataset.values("note") == note
    now = values_of(dataset, FIELDS)
    missing = False
    for name in FIELDS:
        rows = now.get(name, [None] * len(note))
        before, after = (values.get(name, [None] * len(note)) for values in (old, new))
        is_old = [x == a and x is not None for x, a in zip(rows, before, strict=True)]
        is_new = [x == b and x is not None for x, b in zip(rows, after, strict=True)]
        assert all(a or b or x is None for x, a, b in zip(rows, is_old, is_new, strict=True)), name
        only_old = any(a and not b for a, b in zip(is_old, is_new, strict=True))
        only_new = any(b and not a for a, b in zip(is_old, is_new, strict=True))
        assert not (only_old and only_new), f"{name} holds values of two calls"
        missing |= any(x is None and a is not None for x, a in zip(rows, before, strict=True))
        assert rows == [None] * len(note) or field_info(dataset, name)["run"]
    if missing:  # then all new values are on disk
        (waiting,) = spool.spools(dataset, spool.READY)
        assert {i for i, _ in waiting.rows()} == set(dataset.values("id"))


@pytest.mark.parametrize("story", STORIES)
def test_a_prediction_can_be_cut_at_any_write(dataset, story):
    note = dataset.values("note")
    begin(dataset, story)
    old = values_of(dataset, FIELDS)
    with cut_at(None) as writes:
        call(dataset, story)
    new, facts = values_of(dataset, FIELDS), facts_of(dataset, FIELDS)
    assert set(new) == set(FIELDS)
    assert loose_files(dataset) == set()
    count = len(writes)
    assert writes.count("bulk_write") >= 3
    for number in range(count):
        begin(dataset, story)
        with pytest.raises(Cut), cut_at(number, after=bool(number % 2)):
            call(dataset, story)
        dataset.reload()
        check_kept(dataset, old, new, note)
        found = call(dataset, story, resume=bool(number % 3))
        assert len(found) == len(note), number
        assert values_of(dataset, FIELDS) == new, number
        assert facts_of(dataset, FIELDS) == facts, number
        assert loose_files(dataset) == set(), number
        for name in ("margin", "entropy", "label_score"):
            assert isinstance(dataset.get_field(f"prediction.{name}"), fo.FloatField)
