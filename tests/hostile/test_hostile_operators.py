"""Parameters of operators, over Python and over HTTP, that no form would send."""

from __future__ import annotations

import json
import math
import os
import random
import re
import time
import urllib.error
import urllib.request
from collections.abc import Iterator

import fiftyone as fo
import fiftyone.operators as foo
import pytest
import torch
from comparing_hostile import restored, state_of
from fiftyone.operators.delegated import DelegatedOperationService
from fiftyone.operators.executor import ExecutionContext, Executor
from judging import (
    COUNTS,
    MARKER,
    SECONDS,
    Input,
    fault_of_words,
    judge_all,
    some,
    tree_of,
)
from made_runs import make_run, some_digits
from test_operators import OF_LABELS, OF_RUNS, URI, VERBS
from words import TEXTS

import fiftyone_gradcam as fg
from fiftyone_gradcam.app.operators.params import KINDS, KINDS_IN
from fiftyone_gradcam.dataset.files import files_folder
from fiftyone_gradcam.jobs.calls import encode

ALL = [*VERBS, "relocate", *OF_RUNS, *OF_LABELS]
STAGES = "fiftyone.core.stages."
OWN = ("_id", "filepath", "ground_truth")
QUICK = {"backbone": "small_cnn", "weights": "none", "epochs": 1, "image_size": 16, "batch_size": 4}
JSON = [
    *(None, True, False, 0, -1, 3, 2.5, 1e308, 10**400, math.nan, math.inf, "", "x", "x" * 100_000),
    *([], [[]], [None], ["a"] * 3, {}, {"$where": "1"}, {"a": {"b": []}}, [{}]),
    *("ground_truth", "a"),
]  # fmt: skip
# What FiftyOne says around our words, and how it says that nothing was executed.
AROUND = re.compile(r"Validation error|Failed to execute|Traceback", re.IGNORECASE)


class RefusedError(ValueError):
    """The words of a form, or of an execution, that refuse an input."""


@pytest.fixture(autouse=True)
def _nothing_at_hand(monkeypatch, tmp_path):
    """No weights are at hand, and none can be had; the home folder is the tests' own."""

    def fail(*_, **__):
        raise OSError("no network")

    monkeypatch.setattr(torch.hub, "_hub_dir", str(tmp_path / "hub"))
    # A report that says no file is written there.
    monkeypatch.setenv("HOME", str(tmp_path / "out"))
    monkeypatch.setattr(torch.hub, "download_url_to_file", fail)


@pytest.fixture(scope="module")
def place(tmp_path_factory):
    """A dataset with a run, another dataset, and their folder."""
    root = tmp_path_factory.mktemp("operators")
    made = some_digits(root / "digits", "hostile operators", per_class=2)
    dataset = next(made)
    make_run(dataset, "a", files=False)
    fg.split(dataset, {"train": 0.5, "val": 0.5})
    fg.predict(dataset, "a", device="cpu", progress=False)
    fg.export_run(dataset, "a", str(root / "exported"))
    other = dataset.clone("hostile other")
    yield dataset, other, root
    other.delete()
    next(made, None)


def usual(verb: str, root) -> dict:
    """Parameters with which a verb would work."""
    out = str(root / "out" / "new")
    own = {
        "import_folders": {"path": str(root / "digits"), "name": "hostile operators"},
        "split": {"label_field": "ground_truth"},
        "fine_tune": {"label_field": "ground_truth", "key": "b", **QUICK},
        "predict": {"run": "a", "label_field": "ground_truth"},
        "find_label_issues": {"label_field": "ground_truth", "folds": 2, **QUICK},
        "find_leaks": {"near": False},
        "find_anomalies": {"label_field": "ground_truth", "normal": "digit 0"},
        "show_embeddings": {"run": "a", "method": "pca"},
        "lowest_scores": {"prediction_field": "prediction", "count": 2},
        "highest_scores": {"prediction_field": "prediction", "count": 2},
        "mistakes": {"prediction_field": "prediction"},
        "export_folders": {"folder": out, "label_field": "ground_truth"},
        "export_overlays": {"heatmap_field": "gradcam", "folder": out},
        "mean_heatmaps": {"heatmap_field": "gradcam", "folder": out},
        "explanation_quality": {"heatmap_field": "gradcam", "steps": 2},
        "preview_augmentation": {"label_field": "ground_truth", **QUICK},
        "find_learning_rate": {"label_field": "ground_truth", **QUICK},
        "sanity_check": {"label_field": "ground_truth", **QUICK},
        "relocate": {"old": str(root / "gone"), "new": str(root / "digits")},
        "export_run": {"run": "a", "folder": out},
        "import_run": {"folder": str(root / "exported"), "key": "c"},
        "rename_run": {"key": "a", "new_key": "d"},
        "delete_run": {"key": "a"},
        "review": {"decision": "keep"},
        "undo_review": {"count": 1},
        "accept_sure": {"sure": True},
        "export_reviews": {"csv_path": out},
        "compare_runs": {"a": "a", "b": "a", "label_field": "ground_truth"},
        "retrain": {"run": "a", "key": "e"},
        "evaluate": {"run": "a", "label_field": "ground_truth"},
        "save_views": {"prediction_field": "prediction"},
        "report": {"out": f"{out}.html"},
    }
    return own[verb]


JOINED = {"dataset": "hostile other", "stages": []}


def stages(source: random.Random, marker: str, most: int | None = None) -> object:
    """A view that does more than to choose samples, or is none; the first 8 are never taken."""
    code = f"open({marker!r}, 'w')"
    script = f"function() {{ return {json.dumps(code)} }}"
    evil = {"$function": {"body": script, "args": [], "lang": "js"}}
    found = [
        [{"_cls": "os.system", "kwargs": [["command", f"touch {marker}"]]}],
        [{"_cls": "subprocess.Popen", "kwargs": [["args", ["touch", marker]]]}],
        [{"_cls": "builtins.exec", "kwargs": [["source", code]]}],
        [{"_cls": f"{STAGES}Match", "kwargs": [["filter", {"$where": script}]]}],
        [{"_cls": f"{STAGES}Match", "kwargs": [["filter", {"$expr": evil}]]}],
        [{"_cls": f"{STAGES}Mongo", "kwargs": [["pipeline", [{"$out": "datasets"}]]]}],
        [{"_cls": f"{STAGES}Mongo", "kwargs": [["pipeline", [{"$match": {"$expr": evil}}]]]}],
        [{"_cls": f"{STAGES}Mongo", "kwargs": [["pipeline", [{"$lookup": {"from": "datasets"}}]]]}],
        [{"_cls": f"{STAGES}Mongo", "kwargs": [["pipeline", "x"]]}],
        [{"_cls": f"{STAGES}Mongo", "kwargs": [["pipeline", [{"$nonsense": 1}]]]}],
        [{"_cls": f"{STAGES}Limit", "kwargs": [["limit", "many"]]}],
        [{"_cls": f"{STAGES}Limit", "kwargs": [["unknown", 3]]}],
        [{"_cls": f"{STAGES}Limit", "kwargs": []}],
        [{"_cls": f"{STAGES}Limit"}],
        [{"_cls": f"{STAGES}Exists", "kwargs": [["field", "$where"], ["bool", True]]}],
        [{"_cls": f"{STAGES}Select", "kwargs": [["sample_ids", ["x"]], ["ordered", False]]}],
        [{"_cls": f"{STAGES}SortBy", "kwargs": [["field_or_expr", evil], ["reverse", False]]}],
        [{"_cls": f"{STAGES}ToPatches", "kwargs": [["field", "ground_truth"]]}],
        [{"_cls": f"{STAGES}Concat", "kwargs": [["samples", JOINED]]}],
        [{"_cls": STAGES, "kwargs": []}], [{"_cls": 3}], [3], ["x"], [None], "x", 3, {"a": 1}, [[]],
        [{"_cls": f"{STAGES}Match", "kwargs": [["filter", nested(80)]]}],
        [{"_cls": f"{STAGES}Limit", "kwargs": [["limit", 1]]}] * 300,
    ]  # fmt: skip
    return source.choice(found[:most])


def nested(depth: int) -> dict:
    found: dict = {"x": 1}
    for _ in range(depth):
        found = {"$and": [found]}
    return found


def request(verb: str, place, root, source: random.Random) -> tuple[str, dict]:
    """A request that is wrong somewhere, and what about it is."""
    dataset, other, _ = place
    params: object = usual(verb, root)
    selected = {"selected": [dataset.first().id]} if verb == "review" else {}
    asked = {"dataset_name": dataset.name, "params": params, **selected}
    known, marker = [*(KINDS | KINDS_IN.get(verb, {})), *params], str(root / MARKER)
    way = source.randrange(12)
    if way < 5:
        for name in source.sample([*params, *params, *known], source.choice((1, 1, 2, 4))):
            params[name] = source.choice((*JSON, *(x[:3000] for x in TEXTS)))
    elif way == 5:
        gone = source.sample(list(params), source.randint(1, len(params)))
        # Another network and more epochs would take longer, rightly.
        params = {name: x for name, x in params.items() if name not in gone or name in QUICK}
        asked["params"] = params
    elif way == 6:
        params["call"] = source.choice((
            encode({"samples": dataset}), encode({"samples": other}), *JSON, "{}", "[" * 10**5,
            json.dumps({"samples": {"__view__": {"id": str(other._doc.id), "stages": "[]"}}}),
        ))  # fmt: skip
        if source.random() < 0.5:
            asked |= {"delegated": True, "run_doc": "0" * 24}
    elif way == 7:
        asked["view"] = stages(source, marker)
        if source.random() < 0.3:
            params["view_target"] = source.choice(("CUSTOM_VIEW_TARGET", "DATASET_VIEW", *JSON))
            params["custom_view_target"] = stages(source, marker)
    elif way == 8:  # of anything but names and values FiftyOne itself makes no context
        asked["params"] = source.choice(({}, {"": {}}, {"params": params}, {"delegated": True}))
    elif way == 9:
        asked["dataset_name"] = source.choice((None, "gone", *TEXTS[:60], 3, [], {"$ne": None}))
    elif way == 10:
        name = source.choice(("selected", "selected_labels", "extended", "filters", "form_view",
                              "current_sample", "extended_selection", "active_fields",
                              "group_slice", "spaces", "query_performance", "results",
                              "prompt_id"))  # fmt: skip
        asked[name] = source.choice(
            (*JSON, {"fiftyone.core.stages.Match": {"filter": {"$where": "1"}}})
        )
    else:
        params |= {
            source.choice(TEXTS)[:500]: source.choice(JSON),
            "view_target": source.choice(JSON),
        }
    return f"{verb} {json.dumps(asked, default=repr)[:400]}", asked


def forms(verb: str, asked: dict) -> None:
    """Build the form as FiftyOne does before it executes anything.

    Raises:
        RefusedError: with the words of the first field that refuses
    """
    context = ExecutionContext(asked, Executor(), operator_uri=URI + verb)
    fields = foo.get_operator(URI + verb).resolve_input(context).type.properties
    json.dumps(context.params, default=repr)
    for field in fields.values():
        if field.invalid:
            raise RefusedError(field.error_message)


def execute(verb: str, asked: dict) -> None:
    """Build the form and execute, as FiftyOne does.

    Raises:
        RefusedError: with the words of the form
    """
    forms(verb, asked)
    context = ExecutionContext(asked, Executor(), operator_uri=URI + verb)
    result = foo.get_operator(URI + verb).execute(context)
    if isinstance(result, Iterator):
        list(result)


def inputs(place, root, seed: int, count: int) -> list[Input]:
    source, found = random.Random(f"operators {seed}"), []
    (root / "digits").symlink_to(place[2] / "digits", target_is_directory=True)
    (root / "exported").symlink_to(place[2] / "exported", target_is_directory=True)
    (root / "out").mkdir()
    for number in range(count):
        verb = ALL[number % len(ALL)]
        what, asked = request(verb, place, root, source)
        call = source.choice((forms, execute))

        def judged(call=call, verb=verb, asked=asked):
            call(verb, asked)

        found.append(Input(verb, f"parameters, {call.__name__}", what, judged))
    return found


def is_unchanged(place, before):
    """After each input: the dataset is as it was, or as the verb that was accepted has made it."""
    dataset, other, root = place
    others = state_of(other)

    def look(item: Input, error: Exception | None) -> None:
        if item.verb == "import_folders" and error is None:
            # Without a name, it takes that of the folder.
            for name in {*fo.list_datasets()} - {*before["datasets"]}:
                fo.delete_dataset(name)
        now = state_of(dataset)
        if error is not None:
            assert now == before, f"{item.what}: {error}: the dataset has changed"
        elif now != before:
            own = [{k: x[k] for k in ("_id", "filepath", "ground_truth")} for x in now["samples"]]
            was = [
                {k: x[k] for k in ("_id", "filepath", "ground_truth")} for x in before["samples"]
            ]
            assert own == was, item.what
            if fg.list_runs(dataset) != ["a"]:
                for key in fg.list_runs(dataset):
                    fg.delete_run(dataset, key)
                fg.import_run(dataset, str(root / "exported"), "a")  # whose files the clone shows
            fg.predict(dataset, "a", device="cpu", progress=False, overwrite=True)
            restored(dataset, before)
            before.clear()
            before.update(state_of(dataset))
        assert state_of(other) == others, item.what

    return look


def check(items: list[Input], place, folder) -> None:
    own = tree_of(place[2])
    judge_all(
        items,
        [files_folder(), folder / "out", folder / "hub"],
        is_unchanged(place, state_of(place[0])),
    )
    assert tree_of(place[2]) == own
    assert not os.path.lexists(folder / MARKER)


def test_hostile_parameters_in_the_default_suite(place, tmp_path):
    check(some(inputs(place, tmp_path, 0, 42), 0, 8), place, tmp_path)


@pytest.mark.slow
@pytest.mark.parametrize("seed", range(1, 5))
def test_hostile_parameters(seed, place, tmp_path):
    check(inputs(place, tmp_path, seed, 110), place, tmp_path)


def answer(url: str, route: str, asked: dict) -> tuple[int, str]:
    """What the server of an App says to a request."""
    data = json.dumps(asked, default=repr).encode()
    post = urllib.request.Request(url + route, data, {"Content-Type": "application/json"})
    try:
        with urllib.request.urlopen(post, timeout=SECONDS * 6) as reply:
            return reply.status, reply.read().decode()
    except urllib.error.HTTPError as error:
        return error.code, error.read().decode()


def said(text: str) -> list[str]:
    """The words of an answer that say what is wrong: of its form, its error, or its messages."""
    found = []

    def search(value: object) -> None:
        if isinstance(value, dict):
            for name, inner in value.items():
                if name in ("error_message", "reason") and isinstance(inner, str):
                    found.append(inner)
                elif name in ("error", "stack") and isinstance(inner, str):
                    own = "fiftyone_gradcam" in inner or "Validation error" in inner
                    last = (inner.strip().splitlines() or [""])[-1]
                    found.append(last if own else "FiftyOne itself refuses the request")
                else:
                    search(inner)
        elif isinstance(value, list):
            for inner in value:
                search(inner)

    for line in text.splitlines() or [""]:
        try:
            search(json.loads(line))
        except ValueError:
            found.append(line)
    return [x for x in found if x]


@pytest.mark.slow
@pytest.mark.parametrize("seed", range(2))
def test_hostile_requests(seed, place, tmp_path, app_server):
    _, url = app_server
    source = random.Random(f"requests {seed}")
    dataset, other, root = place
    inputs(place, tmp_path, 0, 0)
    before, others, own, faults = state_of(dataset), state_of(other), tree_of(root), []
    count_of_jobs = len(DelegatedOperationService().list_operations())
    answer(url, "operators/resolve-type", {"operator_uri": URI + "split", "params": {}})  # it loads
    for number in range(110):
        verb = ALL[number % len(ALL)]
        what, asked = request(verb, place, tmp_path, source)
        route = source.choice(("operators/resolve-type", "operators/execute"))
        if route == "operators/execute":  # only what cannot be taken, for jobs take long
            if source.random() < 0.5:
                asked["view"] = stages(source, str(tmp_path / MARKER), 8)
            else:
                asked["params"] = {**usual(verb, tmp_path), "call": source.choice(JSON)}
        asked |= {"operator_uri": URI + verb, "target": "inputs"}
        start = time.monotonic()
        status, text = answer(url, route, asked)
        seconds = time.monotonic() - start
        if seconds > SECONDS:  # once more: the machine may have been busy
            start = time.monotonic()
            status, text = answer(url, route, asked)
            seconds = time.monotonic() - start
        words = said(text)
        outcome = "refused" if words or status >= 400 else "accepted"
        COUNTS[verb, f"requests to {route}", outcome] += 1
        if seconds > SECONDS:
            faults.append(f"{route} {what}: took {seconds:.1f} s")
        for said_words in words:
            if fault := fault_of_words(said_words.split("Error: ", 1)[-1]):
                faults.append(f"{route} {what}: {fault}: {said_words[:300]}")
        if route == "operators/execute" and not words and status < 400:
            faults.append(f"{route} {what}: executed: {text[:300]}")
    assert not faults, f"{len(faults)} faults:\n" + "\n".join(faults[:40])
    assert len(DelegatedOperationService().list_operations()) == count_of_jobs
    assert (state_of(dataset), state_of(other), tree_of(root)) == (before, others, own)
    assert not os.path.lexists(tmp_path / MARKER)
    assert os.listdir(tmp_path / "out") == []
