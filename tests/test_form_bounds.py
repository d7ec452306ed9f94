"""Each field of each form: its label, and the range of numbers that its verb accepts."""

import math
import re
from decimal import Decimal
from pathlib import Path

import fiftyone as fo
import fiftyone.operators as foo
import pytest
from conftest import save_digits
from fiftyone.operators import types
from form_fields import FILE, FOLDER, FORMS, MORE, OPENED, arguments, context, fields
from made_runs import digits_with_two_runs
from test_operators import URI

from fiftyone_gradcam.app.operators import embeddings, predict, training_time
from fiftyone_gradcam.app.operators.labels import label_of
from fiftyone_gradcam.app.operators.params import MOST_NUMBER, check_params, faults
from fiftyone_gradcam.dataset.watched import choose_watched

LISTED = Path(__file__).parent / "forms.txt"
# What lets a verb end, with these words, as soon as it has checked its numbers.
LAST_OPTION = ({"gradual_unfreezing": "?"}, "gradual_unfreezing must be one of")
NONE = {"samples": "none"}
ENDS: dict[str, tuple[dict, str]] = {
    "import_folders": ({"path": "/gone"}, "No folder at '/gone'"),
    "split": (NONE, "has a label in"),
    **dict.fromkeys(("fine_tune", "find_learning_rate", "sanity_check"), LAST_OPTION),
    "preview_augmentation": LAST_OPTION,
    "predict": ({"precision": "?"}, "precision must be one of"),
    "find_label_issues": ({"label_field": "pair", **LAST_OPTION[0]}, LAST_OPTION[1]),
    "find_anomalies": ({}, "20"),
    "lowest_scores": ({}, ""),
    "highest_scores": ({}, ""),
    "export_overlays": (NONE, "No sample here has a heatmap"),
    "explanation_quality": (NONE, "No sample here has a heatmap"),
    "import_run": ({"classes": ["a", "a"]}, "'a'"),
    "undo_review": ({}, "There is no decision"),
}
# Fields whose largest value depends on another one, which only the verb knows.
OPEN = {"translation"}
SHARES = ("train", "val", "test")
# Of fields that are not an argument, or only a part of one.
OWN_LABELS = {
    "split": {
        "way": "Split by",
        "count_train": "Training images per class",
        "count_val": "Validation images per class",
        "count_test": "Test images per class",
    },
    "predict": {
        "predicted": "Heatmap of the predicted class",
        "label": "Heatmap of the sample's own label",
        "runner_up": "Heatmap of the second most likely class",
        "contrast": "Contrast: predicted class minus own label, where they differ",
        **dict.fromkeys(("prediction_to", "imagenet_to"), "Field for predictions"),
        **dict.fromkeys(("gradcam_to", "imagenet_cam_to"), "Field for heatmaps"),
    },
    "find_anomalies": {"heatmaps": "Draw heatmaps of what is unusual"},
    "import_run": {"way": "What to import", "class_names": "Classes"},
    "rename_run": {"key": "Run"},
    "delete_run": {
        "key": "Run",
        "fields": "Delete its fields too: prediction, prediction_scores, gradcam",
    },
    "retrain": {"key": "Name of the new run"},
    "review": {"new_class": "Or a new class"},
}


@pytest.fixture(scope="module")
def dataset(tmp_path_factory):
    """Six digits of each of two classes, with predictions, heatmaps and a field of vectors."""
    for dataset in digits_with_two_runs(tmp_path_factory.mktemp("bounds") / "digits", "bounds"):
        count = len(dataset)
        dataset.set_values("pair", [fo.Classification(label="ab"[i % 2]) for i in range(count)])
        dataset.set_values("seen", [[1.0, i] for i in range(count)])
        yield dataset


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    """A folder to import, and in it a file in place of weights."""
    folder = save_digits(tmp_path_factory.mktemp("bounds") / "digits", per_class=1)
    (folder / "weights.pth").write_bytes(b"PK")
    return folder


def step(bound: float) -> float:
    """One in the last digit of a limit, at most .01."""
    digits = Decimal(repr(bound)).as_tuple().exponent
    return float(Decimal(1).scaleb(min(digits, -2)))


def beyond(kind: types.Number) -> list[float]:
    """The values just outside of the range of a field."""
    ends = [(end, sign) for end, sign in ((kind.min, -1), (kind.max, 1)) if end is not None]
    return [end + sign * (1 if kind.int else step(end)) for end, sign in ends]


def within(kind: types.Number) -> list[float]:
    """The smallest and the largest value of a field."""
    most = MOST_NUMBER if kind.max is None else kind.max
    return [kind.min, most] if kind.int else [float(kind.min), float(most)]


def odd(kind: types.Number) -> list:
    """Values that are no number of this kind."""
    return [True, "1", [1], math.nan, math.inf, -math.inf, *([1.5] if kind.int else [])]


def with_value(given: dict, name: str, value: float) -> dict:
    """The arguments of a verb with a value of a field; another test compares them with the form."""
    part = name.removeprefix("count_")
    if part not in SHARES:
        return given | {name: value}
    others = {} if name in SHARES and value != 0 else given["fractions"]  # or they are above 1
    return given | {"fractions": {n: x for n, x in {**others, part: value}.items() if x}}


def answer(verb: str, dataset, given: dict) -> str:
    """The words of the error with which a verb ends."""
    changes, _ = ENDS[verb]
    if verb != "import_folders":
        given["samples"] = dataset
    changes = {"samples": dataset.limit(0)} if changes is NONE else changes
    try:
        if "watch" in given:  # is checked when the training data are there
            choose_watched(dataset, given["watch"], "ground_truth", ["digit 0"], 0)
        foo.get_operator(URI + verb).function(**{**given, **changes})
    except (ValueError, OSError) as error:
        return str(error)
    return ""


@pytest.fixture
def measured(monkeypatch):
    """How fast this computer is, so that no form measures it."""
    speed = {"device": "cpu", "decode": 0.01, "learn": 0.01, "look": 0.01}
    monkeypatch.setattr(training_time, "measured", lambda *_: {"speed": speed, "image_size": 16})


@pytest.mark.parametrize("verb", FORMS)
def test_fields_have_the_label_of_their_argument_and_take_the_numbers_that_it_takes(
    dataset, folder, verb, measured
):
    paths, seen = {FOLDER: str(folder), FILE: str(folder / "weights.pth")}, set()
    for opened in [x | MORE for x in OPENED.get(verb, [{}])]:
        params = {name: paths.get(x, x) for name, x in opened.items()}
        inputs, given = types.Object(), arguments(verb, context(verb, dataset, {}), params)
        inputs.properties = fields(verb, context(verb, dataset, params))
        for name, field in inputs.properties.items():
            label = OWN_LABELS.get(verb, {}).get(name) or label_of(name, verb)
            assert field.view.label == label  # which messages name
            if not isinstance(field.type, types.Number) or name in seen:
                continue
            seen.add(name)
            for value in within(field.type):
                assert [*faults(inputs, {name: value})] == []
                if not (name in OPEN and value == MOST_NUMBER):
                    said = answer(verb, dataset, with_value(given, name, value))
                    assert ENDS[verb][1] in said, (name, value, said)
            for value in (*beyond(field.type), *odd(field.type)):
                assert [n for n, _ in faults(inputs, {name: value})] == [name]
                said = answer(verb, dataset, with_value(given, name, value))
                assert name.removeprefix("count_") in said, (name, value, said)
    assert bool(seen) == (verb in ENDS)


def listed(verb: str, dataset, folder) -> list[str]:
    """The fields of a form in their order, in each way to open it, and their choices if few."""
    paths, lines = {FOLDER: str(folder), FILE: str(folder / "weights.pth")}, []
    for opened in OPENED.get(verb, [{}]):
        params = {name: paths.get(x, x) for name, x in opened.items()}
        lines.append(f"{verb} {', '.join(f'{n}={x}' for n, x in opened.items())}".rstrip())
        for name, field in fields(verb, context(verb, dataset, params)).items():
            view = type(field.view).__name__.removesuffix("View")
            choices = getattr(field.type, "values", None) or []
            few = f" {', '.join(choices)}" if 0 < len(choices) <= 10 else ""
            words = few + (f": {field.view.description}" if field.view.description else "")
            lines.append(f"  {name} {type(field.type).__name__} {view}{words}".rstrip())
    return [line.replace(str(folder), "FOLDER").replace(str(Path.home()), "~") for line in lines]


def test_each_form_has_these_fields_and_choices(dataset, folder, measured, monkeypatch):
    """A change of `forms.txt` is one for users. Another test compares the labels."""
    monkeypatch.setattr(predict, "has_torchcodec", lambda: True)  # whatever is installed here
    monkeypatch.setattr(embeddings, "has_umap", lambda: False)
    found = [line for verb in FORMS for line in listed(verb, dataset, folder)]
    assert found == LISTED.read_text().splitlines()


def test_fields_that_were_cleared_are_as_if_they_were_never_filled_in(dataset, folder):
    paths = {FOLDER: str(folder), FILE: str(folder / "weights.pth")}
    forms = [(verb, opened) for verb in FORMS for opened in OPENED.get(verb, [{}])]
    blocks = re.split(r"\n(?=\S)", LISTED.read_text())
    for (verb, opened), lines in zip(forms, blocks, strict=True):
        names = re.findall(r"^  (\w+) (?:Number|String|File)\b", lines, re.MULTILINE)
        shares = {*SHARES, *(f"count_{name}" for name in SHARES)}  # none means no such part
        cleared = dict.fromkeys({*names} - shares)  # the App sends null
        ctx, params = context(verb, dataset, {}), {n: paths.get(x, x) for n, x in opened.items()}
        before = arguments(verb, ctx, params)
        check_params(verb, cleared | params)
        assert arguments(verb, ctx, cleared | params) == before, (verb, opened)
