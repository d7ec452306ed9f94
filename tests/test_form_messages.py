"""Messages of forms, from plain values; nothing is trained or measured."""

from types import SimpleNamespace

import pytest
from conftest import save_digits
from fiftyone.operators import types
from PIL import Image
from pymongo.errors import OperationFailure
from reviewable import make_reviewable

import fiftyone_gradcam as fg
from fiftyone_gradcam.app.operators import (
    contact_sheet,
    import_plans,
    params,
    training_summary,
    verb,
)
from fiftyone_gradcam.app.operators.training_time import Images, Time
from fiftyone_gradcam.app.operators.verb import filled_in, with_defaults


@pytest.fixture
def dataset(name):
    """Four samples with labels, predictions and two suggestions."""
    dataset = make_reviewable(name)
    yield dataset
    dataset.delete()


@pytest.mark.parametrize(
    ("error", "words"),
    [
        (ValueError("a  b\n c"), "a b c"),
        (ValueError(), "ValueError"),
        (OSError("gone"), "gone"),
        (KeyError("x"), "The values of this request make no sense (KeyError: 'x')"),
        (TypeError("x"), "The values of this request make no sense (TypeError: x)"),
        (AttributeError("x"), "The values of this request make no sense (AttributeError: x)"),
        (RecursionError("x"), "The values of this request make no sense (RecursionError: x)"),
        (
            OperationFailure("all", details={"errmsg": "short"}),
            "The database cannot read the view or the filters of this request: short",
        ),
        (
            OperationFailure("x"),
            "The database cannot read the view or the filters of this request: x, full error: None",
        ),
    ],
)
def test_an_error_in_words(error, words):
    assert verb._words(error).split(", full error")[0] == words.split(", full error")[0]


def test_defaults_of_a_verb_and_values_of_a_form():
    def function(samples, key="k", epochs=None, *, seed=0):
        """Of four arguments."""

    usual = {"key": "k", "epochs": None, "seed": 0}
    assert with_defaults(function, {"samples": 1, "seed": 5}) == {**usual, "samples": 1, "seed": 5}
    assert with_defaults(function, {}) == usual
    for target, more in ((None, {}), ("CURRENT_VIEW", {"view_target": "CURRENT_VIEW"})):
        ctx = SimpleNamespace(params={"a": 1}, request_params={"view_target": target})
        assert filled_in(ctx) == {"a": 1, **more}
    assert filled_in(SimpleNamespace(params={"a": 1}, request_params={})) == {"a": 1}


@pytest.mark.parametrize("extended", [[{}], "x", {"Match": 3}, {"Match": {}, "Limit": []}])
def test_filters_that_are_no_filters_are_refused(dataset, extended):
    request = {"extended": extended, "view": None}
    ctx = SimpleNamespace(dataset=dataset, request_params=request, params={})
    with pytest.raises(ValueError, match="The view of the request cannot be read"):
        params.check_view(ctx)


def test_filters_and_views_are_checked_each(dataset):
    bad = [{"_cls": "Evil", "kwargs": []}]
    for request, own in (
        ({"extended": {"Evil": {}}}, {}), ({"view": bad}, {}), ({}, {"custom_view_target": bad}),
    ):  # fmt: skip
        ctx = SimpleNamespace(dataset=dataset, request_params=request, params=own)
        with pytest.raises(ValueError, match="'Evil' is not a stage"):
            params.check_view(ctx)
    for request in ({}, {"extended": None}, {"extended": {}, "view": []}):
        params.check_view(SimpleNamespace(dataset=dataset, request_params=request, params={}))


def test_parameters_of_a_wrong_kind():
    for given, words in (
        ([], "Parameters must be names and values, not a list"),
        ({"epochs": 1.5}, "epochs must be a whole number, not 1.5"),
        ({"scale": True}, None),
    ):
        if words is None:
            params.check_params("split", given)  # which has none of this name
            continue
        with pytest.raises(ValueError, match=f"^{words}$"):
            params.check_params("split", given)
    with pytest.raises(ValueError, match=r"^scale must be a string of at most 4096 characters"):
        params.check_params("predict", {"scale": 1})
    with pytest.raises(ValueError, match=r"^scale must be a number, not 'x'$"):
        params.check_params("fine_tune", {"scale": "x"})
    params.check_params("fine_tune", {"epochs": "", "scale": None, "scale_": [], "seed": 0})


def test_values_that_a_form_does_not_offer():
    inputs = types.Object()
    for name, count in (("few", 12), ("many", 13)):
        inputs.enum(name, [f"v{n}" for n in range(count)], label="" if name == "few" else "Many")
    inputs.int("count", min=2, max=5, label="Count")
    inputs.float("share", max=0.5)
    inputs.int("open")
    inputs.view("words", types.Notice(label="x"))
    listed = ", ".join(f"v{n}" for n in range(12))
    for value, words in (
        ({"few": "x"}, f"few: 'x' is not among {listed}"),
        ({"many": "x"}, f"Many: 'x' is not among {listed}, ..."),
        ({"many": "v12"}, None),
        ({"count": 1}, "Count must be at least 2, not 1"),
        ({"count": 6}, "Count must be at most 5, not 6"),
        ({"count": 2}, None),
        ({"count": 5}, None),
        ({"count": 2.5}, "Count must be a whole number, not 2.5"),
        ({"share": 0.5}, None),
        ({"share": 0.51}, "share must be at most 0.5, not 0.51"),
        ({"open": -3}, None),
        ({"few": "", "count": None, "share": "", "words": 3, "other": 3}, None),
    ):
        found = [message for _, message in params.faults(inputs, value)]
        assert found == ([] if words is None else [words])


# The summary of a training


@pytest.fixture
def time(monkeypatch):
    """The estimate of a training, to be set."""
    own = SimpleNamespace(is_known=None)
    monkeypatch.setattr(training_summary, "training_time", lambda *_: own.is_known)
    return own


def test_an_estimate_is_waited_for_once(dataset, time):
    images, given = Images({"a": 2, "b": 1}, 0, []), {"samples": dataset, "recipe": "default"}
    about = repr(["default", {}])
    said = (
        "3 training images (a 2, b 1). No validation images: tag some as val to see how well it "
        "learns. All layers are trained"
    )
    busy = f"{said}. No estimate of the time: the machine is busy"
    for known, answer, words, waits in (
        (None, None, said, True),
        (None, {}, said, True),
        (None, {"data": {"about": "another", "is_there": False}}, said, True),
        (None, {"data": {"about": about, "is_there": True}}, said, True),
        (None, {"data": {"about": about, "is_there": False}}, busy, False),
        (Time(3.0), None, f"{said}. About 3 s", False),
    ):
        time.is_known, inputs = known, types.Object()
        ctx = SimpleNamespace(params={"training_estimate": answer})
        training_summary.summary_view(ctx, inputs, given, images)
        assert inputs.properties["summary"].view.label == words
        assert ("training_estimate" in inputs.properties) == waits
    assert training_summary.was_in_vain(SimpleNamespace(params={}), about) is False
    inputs, first = types.Object(), Images({"a": 2, "b": 1}, 1, [], is_split=False)
    training_summary.summary_view(ctx, inputs, given, first)
    assert inputs.properties["summary"].view.label.startswith(
        "Not split yet: the images are split into train, val and test first. 3 training images"
    )
    inputs = types.Object()
    training_summary.summary_view(ctx, inputs, given, Images({"a": 2}, 1, []))
    assert [*inputs.properties] == ["few_classes"]
    assert inputs.properties["few_classes"].invalid


def test_a_job_knows_what_its_form_has_estimated(time, monkeypatch):
    monkeypatch.setattr(training_summary, "images_of", lambda given: None)
    for known, seconds in ((None, None), (Time(error="x"), None), (Time(3.5), 3.5)):
        time.is_known = known
        assert training_summary.expected_seconds({}) == seconds
    asked = []
    monkeypatch.setattr(
        training_summary, "wait_for_measurement", lambda longest: asked.append(longest) or True
    )
    estimate = training_summary.TrainingEstimate()
    found = estimate.execute(SimpleNamespace(params={"about": "this"}))
    assert (found, asked) == ({"is_there": True, "about": "this"}, [20.0])
    assert (estimate.config.name, estimate.config.unlisted) == ("training_estimate", True)


def test_epochs_that_a_training_would_have():
    def words(count: int, repeated=None, **given) -> str:
        images = Images({"a": count} if count else {}, 0, [])
        return training_summary.epochs_words({"recipe": "default", **given}, images, repeated)

    assert words(108, repeated=7) == "7"
    assert words(0) == ""
    assert words(108) == words(108, epochs=3) == "22 for 108 training images"
    assert words(1).endswith(" for 1 training image")
    assert words(108, repeated=0) == words(108)


# Pictures


def test_names_in_pictures_are_cut_off():
    found = [contact_sheet._cut(name) for name in ("x" * 14, "x" * 15, "", None)]
    assert found == ["x" * 14, f"{'x' * 13}…", "", ""]


def test_examples_are_three_of_each_of_eight_classes(tmp_path, monkeypatch):
    shown = []

    def sheet(pictures, captions, *sizes, clear):
        shown.append((captions, len(pictures), *sizes, clear))
        return Image.new("RGB", (8, 8))

    monkeypatch.setattr(import_plans, "sheet", sheet)
    root = save_digits(tmp_path / "d", per_class=4)
    (root / "digit 0" / "000.png").write_bytes(b"no image")
    picture = import_plans._examples(fg.plan_import(str(root)))
    assert "/media?filepath=" in picture
    ((captions, count, in_row, side, clear),) = shown
    assert count == len(captions)
    assert captions.count("digit 1") == captions.count("digit 2") == 3
    assert captions.count("digit 0") in (2, 3)
    assert (in_row, side, clear) == (6, 96, True)
    for path in root.glob("*/*.png"):
        path.write_bytes(b"no image")
    assert import_plans._examples(fg.plan_import(str(root))) is None
    plan = SimpleNamespace(examples=lambda most: {f"c{n}": [real] * 3 for n in range(9)})
    real = str(tmp_path / "real.png")
    Image.new("RGB", (8, 8)).save(real)
    import_plans._examples(plan)
    assert shown[-1][0] == [f"c{n}" for n in range(8) for _ in range(3)]
