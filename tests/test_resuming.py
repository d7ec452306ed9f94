"""With which options and data a training is resumed, and when there is nothing to resume."""

import re

import pytest
from small_trainings import recipe

from fiftyone_gradcam.training.recipe import Recipe
from fiftyone_gradcam.training.resuming import (
    check_not_interrupted,
    check_same_data,
    is_recorded,
    resumed_recipe,
)


def test_an_interrupted_training_is_replaced_only_on_request(tmp_path):
    path = str(tmp_path / "state.pt")
    check_not_interrupted(path, "first", may_replace=False)
    (tmp_path / "state.pt").touch()
    check_not_interrupted(path, "first", may_replace=True)
    words = (
        "A training 'first' of this dataset was interrupted. Pass resume=True to resume it, or "
        "overwrite=True to start over"
    )
    with pytest.raises(ValueError, match=re.escape(words)):
        check_not_interrupted(path, "first", may_replace=False)


def test_a_run_with_all_epochs_of_a_state_has_recorded_it():
    rows = [{"epoch": n, "train_loss": 1 / n} for n in (1, 2, 3)]
    for count in (0, 2, 3):
        assert is_recorded(rows, {"history": rows[:count]})
    assert not is_recorded(rows[:2], {"history": rows})  # killed before it recorded the last one
    others = [rows[0], {**rows[1], "train_loss": 0.4}]
    assert not is_recorded(rows, {"history": others})  # it was about to replace this run
    assert is_recorded(rows, {"history": [dict(reversed(row.items())) for row in rows]})


def test_a_training_is_resumed_with_its_own_recipe_and_perhaps_more_epochs():
    began = recipe()
    state = {"recipe": began.to_dict(), "epoch": 4}
    assert resumed_recipe(state, None, {}, is_recorded=False) == began  # killed at its very end
    words = (
        "This training has completed its 4 epochs. To train longer, resume it with a larger number "
        "of epochs"
    )
    for choices in ({}, {"epochs": 3}, {"epochs": 4}):
        with pytest.raises(ValueError, match=words):
            resumed_recipe(state, None, choices, is_recorded=True)
    assert resumed_recipe(state, None, {"epochs": 5}, is_recorded=True) == recipe(epochs=5)
    state["epoch"] = 2
    assert resumed_recipe(state, None, {}, is_recorded=True) == began
    assert resumed_recipe(state, None, {"epochs": None}, is_recorded=True) == began
    found = resumed_recipe(state, recipe(epochs=9), {"early_stopping": 2}, is_recorded=True)
    assert found == recipe(epochs=9, early_stopping=2)
    words = (
        "This training started with batch_size=16, and cannot resume with 8. Leave it out, or "
        "start over with overwrite=True"
    )
    with pytest.raises(ValueError, match=words):
        resumed_recipe(state, None, {"batch_size": 8}, is_recorded=True)


def test_how_images_were_resized_is_not_chosen_again():
    given = {"backbone": "squeezenet1_1", "weights": "w.pt"}
    began = Recipe(**given, resize="letterbox")
    state = {"recipe": began.to_dict(), "epoch": 2}
    assert Recipe(**given).resize == "auto"
    assert resumed_recipe(state, Recipe(**given), {}, is_recorded=True) == began
    with pytest.raises(ValueError, match="started with resize='letterbox', .* with 'crop'"):
        resumed_recipe(state, Recipe(**given, resize="crop"), {}, is_recorded=True)


def test_other_classes_are_refused_and_other_images_are_reported(capsys):
    state = {"classes": ["ants", "bees"], "digest": "one"}
    check_same_data(state, ["ants", "bees"], "one")
    assert capsys.readouterr().out == ""
    check_same_data(state, ["ants", "bees"], "other")
    changed = "The images or labels have changed since this training started: it uses the new ones"
    assert capsys.readouterr().out == f"{changed}\n"
    words = (
        "This training started with the classes ants, bees; now there are bees, ants. Start over "
        "with overwrite=True"
    )
    with pytest.raises(ValueError, match=words):
        check_same_data(state, ["bees", "ants"], "one")
