"""Stages of views as a request may describe them, by hand."""

import re

import fiftyone as fo
import pytest

from fiftyone_gradcam.dataset.stages import build_view, check_stages

STAGES = "fiftyone.core.stages."
READ = "has no readable arguments"


def stage(kind: str, *pairs: list) -> dict:
    return {"_cls": STAGES + kind, "kwargs": list(pairs)}


def joined(other: object) -> dict:
    return stage("Concat", ["samples", other])


def nested(levels: int) -> dict:
    """A stage with lists in lists."""
    value: object = 1
    for _ in range(levels):
        value = [value]
    return stage("Mongo", ["pipeline", value])


@pytest.mark.parametrize(
    ("stages", "words"),
    [
        ("x", "A view is a list of stages, not a str"),
        (None, "A view is a list of stages, not a NoneType"),
        ([{"_cls": "x" * 100, "kwargs": []}], f"'{'x' * 80}' is not a stage of a FiftyOne view"),
        ([stage("Limit", ["limit", 3, 4])], f"The stage '{STAGES}Limit' of the view {READ}"),
        ([stage("Limit", [3, "limit"])], f"The stage '{STAGES}Limit' of the view {READ}"),
        ([stage("Limit", "ab")], f"The stage '{STAGES}Limit' of the view {READ}"),
        ([nested(59)], "The view is nested more than 60 levels deep"),
        ([joined(3)], "A view is joined with something that is not a view"),
        ([joined({"dataset_id": "2", "stages": []})], "A view of 'own' is joined with one of anot"),
        ([joined({"dataset_id": "1", "dataset": "other", "stages": []})], "A view of 'own' is joi"),
        (
            [joined({"dataset_id": "2", "dataset": "own", "stages": []})],
            "A view of 'own' is joined",
        ),
        ([joined({"dataset": "own"})], "A view is a list of stages, not a NoneType"),
        (
            [joined({"dataset": "own", "stages": [joined({"dataset": "b"})]})],
            "A view of 'own' is jo",
        ),
        (
            [stage("Limit", ["limit", 3]), stage("Mongo", ["pipeline", [{"a": [{"$out": 1}]}]])],
            "A view with '$out' is refused: it would run code in the database, or reach other data",
        ),
        (
            [stage("Match", ["filter", {"$where": 1, "$function": 2}])],
            "A view with '$function' is refused",
        ),
    ],
)
def test_stages_that_are_refused(stages, words):
    with pytest.raises(ValueError, match=f"^{re.escape(words)}"):
        check_stages(stages, "1", "own")


def test_stages_that_are_taken(name):
    dataset = fo.Dataset(name)
    dataset.add_samples([fo.Sample(f"/{number}.png") for number in range(4)])
    own, limit = str(dataset._doc.id), stage("Limit", ["limit", 2])
    for named in ({"dataset": name}, {"dataset_id": own}, {"dataset": name, "dataset_id": own}):
        check_stages([limit, joined({**named, "stages": [limit]})], own, name)
    check_stages([nested(58), stage("Match", ["filter", {"$eq": 1}])], own, name)
    check_stages([], own, name)
    assert build_view(dataset, dataset.skip(1).limit(2)._serialize()).values("filepath") == [
        "/1.png", "/2.png"
    ]  # fmt: skip
