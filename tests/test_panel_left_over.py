"""Nothing of a dataset is left in the panel when another one is opened."""

from copy import deepcopy

import fiftyone as fo
import numpy as np
import pytest
from panel_contexts import context, make_dataset

from fiftyone_gradcam.app.panels.classifier import ClassifierPanel
from fiftyone_gradcam.dataset.fields import describe_field
from fiftyone_gradcam.dataset.run import Run
from fiftyone_gradcam.dataset.runs import save_run

TABS = ("jobs", "review", "runs", "evaluate", "scores")
RECIPE = {
    "backbone": "small_cnn", "epochs": 1, "optimizer": "sgd", "learning_rate": 0.1,
    "batch_size": 4, "image_size": 32, "resize": "squash",
}  # fmt: skip


def add_runs(dataset, *keys: str) -> None:
    for key in keys:
        save_run(dataset, Run(key, dataset.name, ["a", "b"], RECIPE, [], 1, "own", "/none"))


@pytest.fixture(scope="module")
def before():
    """A dataset with everything: predictions of two runs with scores, and three runs."""
    dataset = make_dataset("left over, before")
    classes = ["a", "b", "c", "d"]
    describe_field(dataset, "found", "Of r", run="r", label_field="own", classes=classes)
    scores = np.eye(4)[np.arange(len(dataset)) % 4].tolist()
    dataset.set_values("found_scores", scores)
    add_runs(dataset, "r", "o", "q")
    yield dataset
    dataset.delete()


@pytest.fixture(scope="module")
def others():
    """One with other classes and predictions, and one with labels alone."""
    made = {name: fo.Dataset(f"left over, {name}") for name in ("other", "labels")}
    for number, label in enumerate("xyxyxx"):
        sample = fo.Sample(f"/{number}.png", own=fo.Classification(label=label))
        made["labels"].add_sample(sample.copy())
        sample["guess"] = fo.Classification(label="xyyxxy"[number], confidence=0.5)
        sample["second"] = fo.Classification(label="x", confidence=0.5)
        sample.tags = ["val"]
        made["other"].add_sample(sample)
    for field, run in (("guess", "r"), ("second", "o")):
        describe_field(made["other"], field, "", run=run, label_field="own", classes=["x", "y"])
    made["other"].set_values("guess_scores", [[0.75, 0.25]] * 6)
    add_runs(made["other"], "n", "m")
    yield made
    for dataset in made.values():
        dataset.delete()


def use_everything(panel, dataset, state: dict) -> None:
    """Choose something in every list of every tab that is about this dataset."""
    for event, params in (
        ("on_load", {}),
        ("on_all_actions", {}),
        *(("on_tab", {"value": tab}) for tab in TABS),
        ("on_scored", {"value": "1"}),
        ("on_threshold", {"value": 0.25}),
        ("on_bar_search", {"value": "b"}),
        ("on_tab", {"value": "runs"}),
        ("on_show_run", {"value": "o"}),
        ("on_tab", {"value": "evaluate"}),
        ("on_prediction_field", {"value": "other"}),
        ("on_part", {"value": "test"}),
        ("on_other", {"value": "found"}),
        ("on_search", {"value": "a"}),
    ):
        getattr(panel, event)(context(dataset, state, **params))
    state |= {"own": "1" * 24, "turning": {"left": 1}, "repainting": True, "colored": ["cam"]}


def drawn(panel, dataset, state: dict) -> dict:
    return panel.render(context(dataset, state)).to_json()


@pytest.fixture(scope="module")
def state(before) -> dict:
    """The panel's state after all of that."""
    used: dict = {}
    use_everything(ClassifierPanel(), before, used)
    assert (used["shown_run"], used["other"], used["scored"]) == ("o", "found", "b")
    return used


@pytest.mark.parametrize("name", ["other", "labels"])
def test_a_dataset_that_is_opened_looks_as_if_it_were_the_first(panel, state, others, name):
    used = deepcopy(state)
    panel.on_change_dataset(context(others[name], used))
    for tab in TABS:
        fresh = {"tab": tab}
        panel.on_load(context(others[name], fresh))
        panel.on_tab(context(others[name], used, value=tab))
        assert drawn(panel, others[name], used) == drawn(panel, others[name], fresh), tab
        left = {"own", "turning", "repainting", "turns_to", "colored"} & {
            key for key, value in used.items() if value
        }
        assert left == set()
