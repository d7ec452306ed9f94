"""Descriptions of runs as others write them: refused in plain words, or good for all that is done
with a run."""

import copy
import json
import math
import os
import random
import re
from pathlib import Path

import fiftyone as fo
import pytest
from made_runs import HISTORY, make_run, some_digits, state_of

import fiftyone_gradcam as fg
from fiftyone_gradcam.app.panels.runs import describe_run, describe_runs
from fiftyone_gradcam.dataset import exported, run_facts, run_keys, runs
from fiftyone_gradcam.dataset.files import run_folder

HOSTILE = [
    *(None, True, False, 0, 1, -1, 2.5, 1e308, 10**30, -(10**400), math.nan, math.inf, -math.inf),
    *("", "x", "../../x", "a\0b", "\ud800", "x" * 5000, "$where", "a.b", "_id", "1", "nan"),
    *([], [[]], [None], ["a", "b"], [0] * 50, {}, {"": 1}, {"$gt": 1}, {"a.b": 1}, {"epoch": 1}),
    *(["a"] * 3, [1.5, math.nan], {"epoch": "1"}, [{"epoch": 1}], "<script>", "ключ", -0.0, 3),
]
NAMED = re.compile(r"run\.json|weights\.pt")


def deep(depth: int) -> object:
    """A list in a list in a list ..."""
    found: object = 1
    for _ in range(depth):
        found = [found]
    return found


def places(value: object, path: tuple = ()) -> list[tuple]:
    """Paths of all values of a tree, of lists the first and the last alone."""
    found = [path] if path else []
    if isinstance(value, dict):
        items = value.items()
    elif isinstance(value, list):
        items = {i: value[i] for i in (0, len(value) - 1) if value}.items()
    else:
        return found
    return found + [deeper for key, x in items for deeper in places(x, (*path, key))]


def mutations(facts: dict) -> list[tuple[str, dict]]:
    """Each value replaced by each hostile one, and left out, or doubled."""
    found = []
    for path in places(facts):
        for number, value in enumerate([*HOSTILE, "delete", deep(400)]):
            changed = copy.deepcopy(facts)
            home = changed
            for step in path[:-1]:
                home = home[step]
            if value == "delete":
                del home[path[-1]]
            else:
                home[path[-1]] = value
            found.append((f"{'.'.join(map(str, path))} {number}", changed))
    for size, name in ((10**6, "classes"), (2 * 10**5, "history"), (10**5, "watched")):
        item = facts[name][-1]
        many = [f"c{i}" for i in range(size)] if name == "classes" else [item] * size
        found.append((f"{name} x {size}", {**facts, name: many}))
    found.append(("too large", {**facts, "more": "x" * (run_facts.MOST_BYTES + 1)}))
    found.append(("unknown keys", {**facts, "more": {"$a.b": [deep(50)]}}))
    for name, value in (("image_size", 10**6), ("hidden", [10**6, 10**6])):
        recipe = {**facts["recipe"], name: value}
        both = {**facts["input"], **({name: value} if name == "image_size" else {})}
        found.append((f"large {name}", {**facts, "recipe": recipe, "input": both}))
    return found


@pytest.fixture
def dataset(tmp_path, name):
    """Some digits of three classes."""
    yield from some_digits(tmp_path / "digits", name, per_class=2)


def test_each_mutation_is_refused_in_words_or_gives_a_sound_run(dataset, tmp_path):
    run = make_run(dataset, "a", hidden=(5,))
    folder = fg.export_run(dataset, run, str(tmp_path / "exported"))
    fg.delete_run(dataset, "a")
    path = Path(folder, "run.json")
    facts = json.loads(path.read_text())
    facts["history"] = [{**row, "train_accuracy": 0.5, "seconds": 1.0} for row in facts["history"]]
    before = state_of(dataset)
    accepted, refused = [], {}
    for name, changed in mutations(facts):
        try:
            if name.startswith(("format", "sha256", "too large", "more")):
                path.write_text(json.dumps(changed))
                exported.read_export(folder)
            else:
                run_facts.check_facts(changed, str(path))
            accepted.append((name, changed))
        except (ValueError, FileNotFoundError) as error:
            refused[name] = str(error)
    assert [name for name, error in refused.items() if not NAMED.search(error)] == []
    assert max(map(len, refused.values())) < 2000
    assert state_of(dataset) == before
    assert len(refused) > 2000
    fit, unfit = [], []
    for name, changed in accepted:
        is_fit = changed["recipe"].get("hidden") == [5] and len(changed["classes"]) == 3
        (fit if is_fit else unfit).append((name, changed))
    for _, changed in random.Random(1).sample(unfit, 6):
        path.write_text(json.dumps(changed))
        with pytest.raises(ValueError, match="do not fit 'small_cnn'"):
            fg.import_run(dataset, folder, key="unfit")
    assert state_of(dataset) == before
    chosen = random.Random(0).sample(fit, 24)
    kept = []
    for number, (name, changed) in enumerate(chosen):
        path.write_text(json.dumps(changed))
        key = f"k{number}"
        check_imported(dataset, folder, key, name, predicts=number % 6 == 0)
        if number % 6 or not fg.list_runs(dataset):
            fg.delete_run(dataset, key)
        else:
            kept.append(key)
    rows = describe_runs(dataset)
    assert [row["key"] for row in rows] == kept[::-1]
    assert {row["backbone"] for row in rows} == {"small_cnn"}
    print(f"{len(refused)} mutations refused, {len(accepted)} taken")


def check_imported(dataset, folder, key, name, predicts):
    """A mutation that is taken gives a run with which all can be done."""
    found = fg.import_run(dataset, folder, key=key)
    assert repr(fg.load_run(dataset, key)) == repr(found), name
    assert str(found).startswith(f"run {key!r}: small_cnn"), name
    words, traces, _ = describe_run(dataset, key)
    assert "cannot be shown" not in words, name
    json.dumps(traces, allow_nan=False)
    if predicts:
        view = fg.predict(dataset, found, "p", heatmaps=(), overwrite=True, progress=False)
        assert len(view) == 6, name


def test_what_is_not_known_is_left_out(dataset, tmp_path):
    folder = fg.export_run(dataset, make_run(dataset, "a"), str(tmp_path / "exported"))
    path = Path(folder, "run.json")
    facts = json.loads(path.read_text())
    facts["more"] = facts["recipe"]["more"] = facts["history"][0]["more"] = {"$x": 1}
    path.write_text(json.dumps(facts))
    found = fg.import_run(dataset, folder, "b")
    assert found.history == HISTORY
    assert found.recipe == fg.load_run(dataset, "a").recipe


def test_the_best_epoch_is_one_of_the_history(dataset, tmp_path):
    folder = fg.export_run(dataset, make_run(dataset, "a"), str(tmp_path / "exported"))
    facts = json.loads(Path(folder, "run.json").read_text())
    facts["history"] = [row for row in facts["history"] if row["epoch"] != 2]
    for best, is_good in ((0, True), (1, True), (2, False), (3, True), (4, False)):
        changed = {**facts, "best_epoch": best}
        if is_good:
            assert run_facts.check_facts(changed, folder)["best_epoch"] == best
        else:
            words = re.escape(f"epochs [0, 1, 3], and {best} as the best of them")
            with pytest.raises(ValueError, match=words):
                run_facts.check_facts(changed, folder)


def test_each_part_of_a_description_has_a_limit(dataset, tmp_path, monkeypatch):
    """What is as large as a limit is taken, and what is larger is refused in words."""
    folder = fg.export_run(dataset, make_run(dataset, "a", hidden=(5,)), str(tmp_path / "exported"))
    path = Path(folder, "run.json")
    facts = json.loads(path.read_text())

    def refused(what, words: str) -> None:
        with pytest.raises(ValueError, match="^" + re.escape(f"{str(path)!r} {words}")):
            what()

    def check(**changed) -> dict:
        return run_facts.check_facts({**facts, **changed}, str(path))

    size = path.stat().st_size
    for most, is_good in ((size, True), (size - 1, False)):
        monkeypatch.setattr(run_facts, "MOST_BYTES", most)
        if is_good:
            assert run_facts.read_json(str(path)) == facts
        else:
            words = "has 0 MB, and a description of a run has at most 0. Export the run again"
            refused(lambda: run_facts.read_json(str(path)), words)
    monkeypatch.setattr(run_facts, "MOST_BYTES", 2**20)
    for text, words in (
        (b'{"a": ', "is damaged (Expecting value: line 1 column 7 (char 6)). Export the run again"),
        (b"\xff", "is damaged (it is not UTF-8 text). Export the run again"),
        (b"[" * 100_000, "is damaged (it is nested too deep). Export the run again"),
    ):
        path.write_bytes(text)
        refused(lambda: run_facts.read_json(str(path)), words)
    path.write_text("[1]")
    assert run_facts.read_json(str(path)) == {}
    letters = sum(map(len, facts["classes"]))
    for most, words in ((letters, ""), (letters - 1, "has class names that are too long. Export")):
        monkeypatch.setattr(run_facts, "MOST_LETTERS", most)
        refused(check, words) if words else check()
    monkeypatch.setattr(run_facts, "MOST_LETTERS", letters)
    for classes in (["a"], [], ["a", "b", "a"]):
        refused(lambda c=classes: check(classes=c), "does not name two or more classes. Export the")
    assert check(history=[], best_epoch=9)["best_epoch"] == 9
    for limit, own in (("LARGEST_IMAGE", 32), ("MOST_HIDDEN", 1)):
        with monkeypatch.context() as patch:
            patch.setattr(run_facts, limit, own)
            assert check()["recipe"]["hidden"] == [5]
            patch.setattr(run_facts, limit, own - 1)
            refused(check, "has image_size=32 and 1 hidden layers; at most ")
    for name in ("backbone", "weights", "image_size", "epochs", "batch_size"):
        recipe = {key: value for key, value in facts["recipe"].items() if key != name}
        words = f"is inconsistent: its recipe has no {name!r}. Export the run again"
        refused(lambda r=recipe: check(recipe=r), words)
    for changed in ({"backbone": "resnet18"}, {"input": {**facts["input"], "image_size": 33}}):
        refused(lambda c=changed: check(**c), "is inconsistent, or does not fit this version of")


def test_a_diverged_run_travels(dataset, tmp_path):
    make_run(dataset, "a")
    folder = fg.export_run(dataset, "a", str(tmp_path / "exported"))
    path = Path(folder, "run.json")
    facts = json.loads(path.read_text())
    facts["history"][-1]["train_loss"] = math.nan
    path.write_text(json.dumps(facts))
    assert math.isnan(fg.import_run(dataset, folder, "b").history[-1]["train_loss"])
    assert "cannot be shown" not in describe_run(dataset, "b")[0]


def test_weights_that_are_no_numbers_are_refused(dataset, tmp_path):
    run = make_run(dataset, "a")
    with pytest.MonkeyPatch.context() as patch:
        model = run.load_model()
        next(model.parameters()).data.view(-1)[0] = math.nan
        patch.setattr(runs.Run, "load_model", lambda self: model)
        folder = fg.export_run(dataset, "a", str(tmp_path / "exported"))
    with pytest.raises(ValueError, match="holds values that are not finite numbers"):
        fg.import_run(dataset, folder, "b")
    assert not os.path.exists(run_folder(dataset, "b"))


def test_a_damaged_record_does_not_hide_the_other_runs(dataset):
    for key in "abcd":
        make_run(dataset, key)
    table = fo.core.odm.get_db_conn().runs
    own = {"_dataset_id": dataset._doc.id}
    table.update_one({**own, "key": "b"}, {"$unset": {"config.recipe": 1}})
    table.update_one({**own, "key": "c"}, {"$set": {"config.history": 7, "config.trained": 3}})
    dataset.reload()
    rows = {row["key"]: row for row in describe_runs(dataset)}
    assert {key: row["backbone"] for key, row in rows.items()} == {
        "a": "small_cnn",
        "b": "damaged record",
        "c": "damaged record",
        "d": "small_cnn",
    }
    assert rows["a"]["val_accuracy"].startswith("90")
    for key in "bc":
        with pytest.raises(ValueError, match=rf"record of run '{key}' .* is damaged .*delete_run"):
            fg.load_run(dataset, key)
        assert "cannot be shown" in describe_run(dataset, key)[0]
        fg.delete_run(dataset, key)
    assert fg.list_runs(dataset) == ["a", "d"]


def test_long_keys_are_refused_before_training(dataset):
    refused = "too long for a run key, which names a folder too and may have 240 bytes"
    for key in ("k" * 241, "ж" * 121):
        with pytest.raises(ValueError, match=refused):
            run_keys.check_key(dataset, key, overwrite=False)
    run_keys.check_key(dataset, "k" * 240, overwrite=False)


ROW = {"epoch": 1}
STEP = {"iteration": 1, "epoch": 1}
FOUND = {"name": "x", "severity": "error", "message": "x"}
ID = "0123456789abcdef01234567"
BIG = {str(i): 0 for i in range(1000)}
# The smallest and largest values of each part of run.json, and those just beyond.
AT_LIMITS = {
    **{
        name: (["x", "x" * most], ["", "x" * (most + 1), None, 1, "\0", "\udfff", "\ud800"])
        for name, most in (("package_version", 100), ("key", 200), ("backbone", 100))
    },
    "label_field": (["x", "x" * 200, "a_$"], ["", "x" * 201, "a.b", "_a", "$a", None]),
    "classes": (
        [[], ["x" * 1000], ["x"] * 100_000],
        [[""], ["x" * 1001], ["x"] * 100_001, "x", None],
    ),
    **dict.fromkeys(("recipe", "input"), ([{}, BIG], [{**BIG, "more": 0}, [], None])),
    "history": (
        [
            *([], [ROW] * 100_000, [{"epoch": 0}, {"epoch": 10**9}]),
            *([ROW | {"val_accuracy": x}] for x in (None, 0, 1, 0.0, 1.0)),
            *([ROW | {"train_loss": x}] for x in (None, -(2**53), math.nan, math.inf)),
            *([ROW | {"learning_rate": x}] for x in (None, 0, 1e6)),
            *([ROW | {"seconds": x, "images_per_second": x}] for x in (None, 0, 10**12, 1e12)),
        ],
        [
            *(None, [ROW] * 100_001, [{}], [None], [{"epoch": -1}], [{"epoch": 10**9 + 1}]),
            *([{"epoch": True}], [{"epoch": 1.0}]),
            *([ROW | {"train_accuracy": x}] for x in (-0.01, 1.01, -1, 2, True, math.nan)),
            *([ROW | {"val_loss": x}] for x in (2**53 + 1, -(2**53) - 1, True, "1")),
            *([ROW | {"learning_rate": x}] for x in (-0.1, 1e6 + 1)),
            *([ROW | {name: 1e13}] for name in ("seconds", "images_per_second")),
        ],
    ),
    "validations": (
        [[], [STEP] * 100_000, [STEP | {"iteration": 0}], [STEP | {"iteration": 10**12}]],
        [[STEP] * 100_001, [ROW], [{"iteration": 1}], [STEP | {"iteration": 10**12 + 1}]],
    ),
    "findings": (
        [[], [FOUND] * 100, [{**FOUND, "name": "x" * 100, "severity": "warning"}],
         [{**FOUND, "message": "x" * 10_000}]],
        [[FOUND] * 101, [{**FOUND, "name": "x" * 101}], [{**FOUND, "severity": "info"}],
         [{**FOUND, "message": "x" * 10_001}], [{"name": "x", "severity": "error"}]],
    ),
    "best_epoch": ([0, 10**9], [-1, 10**9 + 1, None, 1.0, True]),
    "val_accuracy": ([None, 0, 1, 0.5], [-0.01, 1.01, "1", True]),
    "val_images": ([None, 0, 10**12], [-1, 10**12 + 1, 1.0]),
    "watched": (
        [None, [], [ID] * 10_000],
        [[ID] * 10_001, [ID[1:]], [f"{ID}0"], [ID.upper()], [f"{ID}\n"], [1], ID],
    ),
    "sha256": ([""], [None, 1]),
}  # fmt: skip


def test_values_of_a_description_at_their_limits():
    assert {*AT_LIMITS} == {*run_facts._RULES}
    for name, (good, bad) in AT_LIMITS.items():
        rule = run_facts._RULES[name]
        assert [repr(x)[:60] for x in good if not rule(x)] == [], name
        assert [repr(x)[:60] for x in bad if rule(x)] == [], name
    most = 2**53
    for value in (None, True, "", "x" * 4096, 0.5, most, -most, [0] * 100, [2**31], []):
        assert run_facts._is_choice(value), value
    for value in ("x" * 4097, most + 1, -most - 1, math.nan, [0] * 101, [2**31 + 1], [-1], {}):
        assert not run_facts._is_choice(value), value
