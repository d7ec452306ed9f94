"""Every verb, disturbed at its writes: nothing lost, nothing mixed, and it can be called again."""

from __future__ import annotations

import random
import shutil
from collections import Counter
from functools import cache

import comparing
import decided
import derived
import fiftyone as fo
import injecting
import pytest
import stories
from counted import counted, expect, repeating
from stories import Place, Story, as_stored, state_of

from fiftyone_gradcam.dataset.files import files_folder

EACH = 4  # faults of each kind for each story, in the slow suite
BY_NAME = {story.name: story for story in (*stories.STORIES, *decided.STORIES, *derived.STORIES)}


@pytest.fixture(autouse=True)
def _one_thread(one_thread):
    """Sums in one order, so that trainings are the same each time."""


@cache
def _undisturbed(name: str, root) -> tuple[dict, dict, Counter]:
    """What a story comes to by itself: the state before, and after; and its writes by kind."""
    story = BY_NAME[name]
    place = Place(root / "undisturbed", f"faults {name} alone")
    story.prepare(place)
    before = state_of(story, place)
    with injecting.faults(files_folder(), str(place.folder)) as injector:
        story.call(place)
    after = state_of(story, place)
    place.clean()
    return before, after, injector.counts


@pytest.fixture(scope="session")
def root(tmp_path_factory):
    fo.Dataset().delete()  # the first of a database takes more writes than others
    folder = tmp_path_factory.mktemp("faults")
    yield folder
    shutil.rmtree(folder, ignore_errors=True)


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
    exists = fo.dataset_exists(place.name)
    own = comparing.users_values(place.dataset, users_fields(story)) if exists else None
    try:
        with injecting.faults(files_folder(), str(place.folder), kind=kind, at=at) as injector:
            error = None
            try:
                story.call(place)
            except BaseException as raised:
                error = raised
        # A first call of a process makes folders that later ones find: it has more writes.
        if injector.happened is None and 0 < injector.count < at:
            place.clean()
            disturb(name, kind, injector.count, root)
            return
        what = f"{kind} before write {at}, {injector.happened}: {type(error).__name__}: {error}"
        with counted(name, kind):
            assert injector.happened, what
            if kind == "disk full":
                assert isinstance(error, OSError | None), what
            check_between(story, place, before, after, own, what)
            state = state_of(story, place)
            if not (state == after and story.is_done(place)):
                with repeating(what):
                    story.repeat(place)
                state = state_of(story, place)
            expect(state == after, "not repeated", f"{what}\n{comparing.difference(state, after)}")
            left = comparing.remains(place)
            expect(left == [], "left over", f"{what}: {left}")
    finally:
        place.clean()


def check_between(story: Story, place: Place, before: dict, after: dict, own, what: str) -> None:
    """After a fault: the dataset loads, the user's values are there, no two runs are mixed."""
    if own is not None:
        now = comparing.users_values(place.dataset, users_fields(story))
        if story.name == "replace by import":  # as it was, or as it is to be
            expect(now in (own, [x for x in now if "note" not in x[1]]), "lost", what)
        else:
            expect(set(own) <= set(now) or story.name == "relocate", "lost", what)
    if not fo.dataset_exists(place.name):
        return
    state = state_of(story, place)
    if story.decides:
        check_decided(story, before, after, state, what)
    if not story.writes_into:
        return
    rows = {}
    for when, found in (("before", before), ("after", after), ("now", state)):
        rows[when] = {path: _own(values, story.writes_into) for path, values in found["samples"]}
    # Values that are decided on wait whole on disk until all of them are written: between the
    # old ones, which go at once, and the last of the new ones, they are to be found there.
    waiting = as_stored(place, comparing.waiting_values(place.dataset, story.writes_into))
    wrong = [path for path, values in waiting.items() if values != rows["after"][path]]
    expect(not wrong, "lost", f"{what}: other values wait of {wrong}")
    lost = [p for p, x in rows["before"].items() if x and not (rows["now"].get(p) or p in waiting)]
    expect(not lost, "lost", f"{what}: {lost}")
    if before["schema"].get("prediction"):  # of one run, or of the other
        kinds = {
            "before" if x == rows["before"][p] else "after" if x == rows["after"][p] else "mixed"
            for p, x in rows["now"].items()
            if x or p not in waiting
        }
        expect(len(kinds) <= 1 and "mixed" not in kinds, "mixed", f"{what}: {kinds}")
        run = state["schema"]["prediction"][2]["run"]
        for kind in kinds:
            wanted = {"before": before, "after": after}[kind]["schema"]["prediction"][2]["run"]
            expect(run == wanted, "mixed", f"{what}: {kind} of {run}")


def users_fields(story: Story) -> tuple[str, ...]:
    """The user's own fields that a story leaves alone."""
    return tuple(name for name in ("mine", "ground_truth") if name not in story.decides)


def check_decided(story: Story, before: dict, after: dict, now: dict, what: str) -> None:
    """What a decision changes is as before in all samples, or as after in all of them."""
    states = ([_own(x, story.decides) for _, x in s["samples"]] for s in (before, after, now))
    old, new, found = states
    expect(found in (old, new), "mixed", f"{what}\n{comparing.difference(found, new)}")


def _own(values: dict, names: tuple[str, ...]) -> dict:
    return {name: values[name] for name in names if values.get(name) is not None}


@pytest.mark.parametrize("name", [name for name, story in BY_NAME.items() if story.is_sampled])
def test_a_fault_in_the_default_suite(name, root):
    """One fault of each story, of some kind and at some write."""
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
