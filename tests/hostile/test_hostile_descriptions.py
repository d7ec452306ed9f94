"""Exported runs from anywhere: refused in words, or as good as any run."""

from __future__ import annotations

import hashlib
import json
import os
import random
import shutil

import pytest
from judging import MARKER, Input, judge_all, some, tree_of
from made_runs import make_run, some_digits
from test_hostile_weights import contents
from test_run_facts import mutations
from words import TEXTS

import fiftyone_gradcam as fg
from fiftyone_gradcam.app.panels.runs import describe_run, describe_runs
from fiftyone_gradcam.dataset.files import dataset_folder

KEY = "imported"


@pytest.fixture(scope="module")
def exported(tmp_path_factory):
    """A dataset, a folder with an exported run, and its description."""
    root = tmp_path_factory.mktemp("descriptions")
    made = some_digits(root / "digits", "hostile descriptions", per_class=2)
    dataset = next(made)
    folder = root / "exported"
    fg.export_run(dataset, make_run(dataset, "a", hidden=(5,)), str(folder))
    fg.delete_run(dataset, "a")
    yield dataset, folder, json.loads((folder / "run.json").read_text())
    next(made, None)


def texts(facts: dict, seed: int, count: int) -> list[tuple[str, bytes]]:
    """What a run.json holds that is not valid JSON, or not of this plugin, or has no end."""
    source, good = random.Random(f"texts {seed}"), json.dumps(facts).encode()
    found = [
        ("empty", b""),
        ("deep lists", b"[" * 10**6),
        ("deep objects", b'{"a":' * 10**5),
        (
            "deep in the recipe",
            good.replace(b'"hidden": [5]', b'"hidden": ' + b"[" * 900 + b"]" * 900),
        ),
        (
            "a number without end",
            good.replace(b'"val_images": 10', b'"val_images": ' + b"9" * 10**5),
        ),
        ("a number too large", good.replace(b'"val_accuracy": 0.9', b'"val_accuracy": 1e99999')),
        ("twice the same key", good[:-1] + b', "classes": ["a", "b", "c"], "recipe": {}}'),
        ("UTF-16", json.dumps(facts).encode("utf-16")),
        ("a BOM", b"\xef\xbb\xbf" + good),
        ("no UTF-8", good.replace(b"digit 0", b"digit \xff")),
        ("a list", b"[" + good + b"]"),
        ("a text", b'"$where"'),
        ("zeros", bytes(1000)),
        ("surrogates", good.replace(b"digit 0", b"digit \\ud800")),
        ("a zero in a name", good.replace(b"digit 0", b"digit \\u0000")),
    ]
    while len(found) < count:
        data = bytearray(good)
        for _ in range(source.choice((1, 2, 8))):
            at, way = source.randrange(len(data)), source.randrange(3)
            if way == 0:
                data[at] = source.randrange(256)
            elif way == 1:
                del data[at : at + source.randint(1, 60)]
            else:
                data[at:at] = source.choice(TEXTS)[:200].encode("utf-8", "replace")
        found.append(("changed bytes", bytes(data)))
    return found[:count]


def prepared(root, number: int, folder, data: bytes, weights: bytes | None = None):
    """A folder with an exported run in it."""
    home = root / str(number)
    shutil.copytree(folder, home)
    (home / "run.json").write_bytes(data)
    if weights is not None:
        (home / "weights.pt").write_bytes(weights)
    return home


def inputs(exported, root, seed: int, count: int) -> list[Input]:
    """Run descriptions, changed in one value or in bytes, and weights that go with them."""
    dataset, folder, facts = exported
    source = random.Random(f"descriptions {seed}")
    # What takes tens of MB to write is tried in tests/test_run_facts.py.
    changed = [(w, x) for w, x in mutations(facts) if " x " not in w and "large" not in w]
    made = [(w, json.dumps(x).encode(), None) for w, x in source.sample(changed, count // 2)]
    made += [(w, x, None) for w, x in texts(facts, seed, count // 4)]
    weights = contents(seed, str(root / MARKER))
    for what, data in source.sample(weights, min(count // 4, len(weights))):
        own = {**facts, "sha256": hashlib.sha256(data).hexdigest()}
        made.append((f"weights: {what}", json.dumps(own).encode(), data))
    found = []
    for number, (what, data, state) in enumerate(made):
        home = prepared(root, number, folder, data, state)

        def call(home=home):
            return fg.import_run(dataset, str(home), key=KEY)

        found.append(
            Input(
                "import_run",
                "weights" if state else "descriptions",
                what,
                call,
                ("run.json", "weights.pt"),
                lambda run: check_run(dataset, run),
            )
        )
    return found


def check_run(dataset, run) -> None:
    """A run that was accepted can be loaded, shown, used and deleted."""
    assert repr(fg.load_run(dataset, KEY)) == repr(run)
    assert [row["key"] for row in describe_runs(dataset)] == [KEY]
    words, traces, _ = describe_run(dataset, KEY)
    assert "cannot be shown" not in words
    json.dumps(traces, allow_nan=False)
    run.load_model()
    fg.delete_run(dataset, KEY)


def check(items: list[Input], dataset, root) -> None:
    home = dataset_folder(dataset)
    before = tree_of(root)

    def is_clean(item: Input, error: Exception | None) -> None:
        runs = os.path.join(home, "runs")
        left = os.listdir(runs) if os.path.isdir(runs) else []
        assert left == [], f"{item.what} leaves {left}"
        assert fg.list_runs(dataset) == [], item.what
        assert dataset.list_runs() == [], item.what

    values = (
        dataset.values("ground_truth.label"),
        list(dataset.get_field_schema()),
        dict(dataset.info),
    )
    judge_all(items, [home], is_clean)
    dataset.reload()
    assert (
        dataset.values("ground_truth.label"),
        list(dataset.get_field_schema()),
        dict(dataset.info),
    ) == values
    assert tree_of(root) == before


def test_hostile_descriptions_in_the_default_suite(exported, tmp_path):
    check(some(inputs(exported, tmp_path, 0, 24), 0, 12), exported[0], tmp_path)


@pytest.mark.slow
@pytest.mark.parametrize("seed", range(1, 5))
def test_hostile_descriptions(seed, exported, tmp_path):
    check(inputs(exported, tmp_path, seed, 140), exported[0], tmp_path)
