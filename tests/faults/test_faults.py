"""Every verb, disturbed at its writes: nothing lost, nothing mixed, and it can be called again."""

from __future__ import annotations

import random
import shutil
from collections import Counter
from functools import cache

import comparing
import fiftyone as fo
import injecting
import pytest
from stories import STORIES, Place, Story, state_of

from fiftyone_gradcam.dataset.files import files_folder

EACH = 4  # faults of each kind for each story, in the slow suite
COUNTS: Counter = Counter()
BY_NAME = {story.name: story for story in STORIES}


@pytest.fixture(autouse=True)
def _one_thread(one_thread):
    """Sums in one order, so that trainings are the same each time."""


@cache
def _undisturbed(name: str, root) -> tuple[dict, dict, dict[str, int]]:
    """What a story comes to by itself: the state before, and after; and its writes by kind."""
    story, counts = BY_NAME[name], {}
    for kind in ("interrupt", "disk full", "no database"):
        place = Place(root / "undisturbed" / kind.replace(" ", "_"), f"faults {name} alone")
        story.prepare(place)
        before = state_of(story, place)
        with injecting.faults(files_folder(), str(place.folder), kind=kind, at=10**9) as injector:
            story.call(place)
        after, counts[kind] = state_of(story, place), injector.count
        place.clean()
    return before, after, counts | {"killed": counts["interrupt"]}


@pytest.fixture(scope="session")
def root(tmp_path_factory):
    fo.Dataset().delete()  # the first of a database takes more writes than others
    return tmp_path_factory.mktemp("faults")


def chosen(name: str, kind: str, count: int, most: int) -> list[int]:
    """Numbers of writes: the first, the last, and some between."""
    source = random.Random(f"{name} {kind}")
    inner = source.sample(range(2, count), min(max(most - 2, 0), max(count - 2, 0)))
    return sorted({1, count, *inner}) if count > 1 else [1] * count


def disturb(name: str, kind: str, at: int, root) -> None:
    """Let a story go wrong, and see what is left; then call again."""
    story = BY_NAME[name]
    before, after, _ = _undisturbed(name, root)
    place = Place(root / "disturbed", f"faults {name}")
    story.prepare(place)
    own = comparing.users_values(place.dataset) if fo.dataset_exists(place.name) else None
    try:
        with injecting.faults(files_folder(), str(place.folder), kind=kind, at=at) as injector:
            error = None
            try:
                story.call(place)
            except BaseException as raised:
                error = raised
        what = f"{kind} before write {at}, {injector.happened}: {type(error).__name__}: {error}"
        assert injector.happened, what
        if kind == "disk full":
            assert isinstance(error, OSError | None), what
        check_between(story, place, before, after, own, what)
        state = state_of(story, place)
        if not (state == after and story.is_done(place)):
            story.repeat(place)
            state = state_of(story, place)
        assert state == after, what
        left = comparing.files_of_nobody(place.dataset)
        assert left == [], what
        COUNTS[name, kind] += 1
    finally:
        place.clean()


def check_between(story: Story, place: Place, before: dict, after: dict, own, what: str) -> None:
    """After a fault: the dataset loads, the user's values are there, no two runs are mixed."""
    if own is not None:
        now = comparing.users_values(place.dataset)
        if story.name == "replace by import":  # as it was, or as it is to be
            assert now in (own, [x for x in now if "note" not in x[1]]), what
        else:
            assert set(own) <= set(now) or story.name == "relocate", what
    if not fo.dataset_exists(place.name):
        return
    state = state_of(story, place)
    if not story.writes_into:
        return
    rows = {"before": {}, "after": {}, "now": {}}
    for when, found in (("before", before), ("after", after), ("now", state)):
        rows[when] = {path: _own(values, story.writes_into) for path, values in found["samples"]}
    lost = [p for p, x in rows["before"].items() if x and not rows["now"].get(p)]
    assert not lost, f"{what}: lost {lost}"
    if before["schema"].get("prediction"):  # of one run, or of the other
        kinds = {
            "before" if x == rows["before"][p] else "after" if x == rows["after"][p] else "mixed"
            for p, x in rows["now"].items()
        }
        assert len(kinds) == 1, f"{what}: {kinds}"
        assert "mixed" not in kinds, what
        run = state["schema"]["prediction"][2]["run"]
        assert run == (before if kinds == {"before"} else after)["schema"]["prediction"][2]["run"]


def _own(values: dict, names: tuple[str, ...]) -> dict:
    return {name: values[name] for name in names if values.get(name) is not None}


@pytest.mark.parametrize("name", BY_NAME)
def test_a_fault_in_the_default_suite(name, root):
    """One fault of each kind, each at another write."""
    counts = _undisturbed(name, root)[2]
    source = random.Random(name)
    kind = source.choice([kind for kind in injecting.KINDS if counts[kind]])
    disturb(name, kind, source.randint(1, counts[kind]), root)


@pytest.mark.slow
@pytest.mark.parametrize("kind", injecting.KINDS)
@pytest.mark.parametrize("name", BY_NAME)
def test_faults(name, kind, root):
    """Some faults of a kind, the first and the last write among them."""
    failed = []
    for at in chosen(name, kind, _undisturbed(name, root)[2][kind], EACH):
        try:
            disturb(name, kind, at, root)
        except Exception as error:
            failed.append(f"at {at}: {error}")
    assert not failed, "\n\n".join(failed)


@pytest.fixture(scope="session", autouse=True)
def _summary(root):
    yield
    shutil.rmtree(root, ignore_errors=True)
    print("\nFaults that were survived, by verb and kind:")
    for (name, kind), count in sorted(COUNTS.items()):
        print(f"  {name:24} {kind:12} {count}")
    print(f"  {sum(COUNTS.values())} in all")
