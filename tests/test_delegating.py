"""What a call with delegate=True hands to the job, without a job."""

import pytest

from fiftyone_gradcam.jobs import delegating


@pytest.fixture
def submitted(monkeypatch) -> list[tuple]:
    found = []
    monkeypatch.setattr(delegating, "submit", lambda *given: found.append(given))
    return found


def verb(path: str, count: int = 3, progress: object = None, delegate: bool = False, **more):
    return path, count, progress, more


def test_all_arguments_but_those_of_this_process_are_handed_on(submitted):
    own = delegating.delegable(verb)
    assert own("x", progress=False, epochs=2) == ("x", 3, False, {"epochs": 2})
    assert submitted == []
    for progress in ({}, {"progress": True}, {"progress": False}, {"progress": None}):
        own("x", **progress, epochs=2, delegate=True)
        assert submitted.pop() == ("verb", {"path": "x", "epochs": 2}, None)
    own("x", 4, delegate=True)
    assert submitted.pop() == ("verb", {"path": "x", "count": 4}, None)


@pytest.mark.parametrize("progress", [print, 1.5, lambda *_: None])
def test_a_progress_function_is_refused(submitted, progress):
    with pytest.raises(ValueError, match="A job cannot call a progress function of this process"):
        delegating.delegable(verb)("x", progress=progress, delegate=True)
    assert submitted == []


def test_a_check_gets_the_arguments_of_the_verb_before_anything_is_queued(submitted):
    def check(path, **more):
        raise ValueError(f"{path} {more}")

    own = delegating.delegable(check=check)(verb)
    with pytest.raises(ValueError, match="x {'count': 5, 'epochs': 2}"):
        own("x", count=5, progress=True, epochs=2, delegate=True)
    assert submitted == []
    assert own("x") == ("x", 3, None, {})  # in this process, the verb checks by itself
