"""A user's pattern gets a second, in a process that can be ended."""

import re
import subprocess
import sys
import threading
import time

import pytest

import fiftyone_gradcam as fg
from fiftyone_gradcam.folders import patterns
from fiftyone_gradcam.folders.layout import Layout
from fiftyone_gradcam.folders.patterns import check_pattern, search_all

READY = "print('\"ready\"', flush=True)"
ENDLESS = r"(?P<label>([a-z]+)+)!$"


@pytest.fixture
def started(monkeypatch):
    """The processes that are started meanwhile."""
    found, popen = [], subprocess.Popen

    def remember(*args, **kwargs):
        found.append(popen(*args, **kwargs))
        return found[-1]

    monkeypatch.setattr(patterns.subprocess, "Popen", remember)
    patterns.check_pattern.cache_clear()
    return found


def test_groups_are_found_as_re_finds_them():
    paths = [f"train/cat_{i}.jpg" for i in range(2500)] + ["x", "a\n_1", "é_2"]
    found = search_all(r"(?P<label>[^/]+)_(?P<n>\d+)", paths)
    assert found == [("cat", None)] * 2500 + [(None, None), ("a\n", None), ("é", None)]
    assert search_all(r"(?P<split>\w+)/(?P<label>\w)?_", ["test/_", "val/a_"]) == [
        (None, "test"),
        ("a", "val"),
    ]


@pytest.mark.parametrize("paths", [["a" * 40], ["cat_1"] * 3000 + ["a" * 40]])
def test_an_endless_pattern_is_refused_within_a_second_or_so(paths, started):
    ticks, stop = [], threading.Event()

    def tick() -> None:  # as the App's server does in its other threads
        while not stop.wait(0.01):
            ticks.append(time.monotonic())

    other = threading.Thread(target=tick)
    other.start()
    start = time.monotonic()
    with pytest.raises(ValueError, match=r"pattern '\(\?P<label>.*' takes more than a second"):
        search_all(ENDLESS, paths)
    seconds = time.monotonic() - start
    stop.set()
    other.join()
    waited = sum(1 for _ in filter(lambda at: at > start, ticks))
    assert waited >= 20  # other threads went on
    assert 1.0 <= seconds < 10.0
    assert [process.poll() for process in started].count(None) == 0
    assert len(started) == 2  # one to check it, one to search


def test_a_pattern_that_is_slow_for_each_of_many_files_ends_too(started, monkeypatch):
    monkeypatch.setattr(patterns, "CHUNK", 1)
    monkeypatch.setattr(patterns, "SECONDS", 0.2)
    slow = r"(?P<label>.*.*.*.*=)"  # of these paths some hundredths of a second
    with pytest.raises(ValueError, match="takes more than a second"):
        search_all(slow, ["a" * 120] * 1000)
    assert all(process.poll() is not None for process in started)


def test_a_plan_names_the_pattern_that_does_not_end(tmp_path):
    (tmp_path / ("a" * 40)).write_bytes(b"x")
    with pytest.raises(ValueError, match=r"takes more than a second on these paths.*write \[a-z\]"):
        fg.plan_import(str(tmp_path), pattern=ENDLESS)


@pytest.mark.parametrize(
    ("pattern", "message"),
    [
        ("(", "is not a valid regular expression: missing \\), unterminated subpattern"),
        ("a", "has no group named 'label'"),
        ("", "A pattern is needed"),
        (None, "A pattern is needed"),
        (
            "(?P<label>a{99999999999999999999})",
            "is not a valid regular expression: the repetition number",
        ),
        ("(" * 4000 + "(?P<label>a)" + ")" * 4000, "is not a valid regular expression"),
        ("(?P<label>a)" + "x" * 10_000, "has 10012 characters. At most 10000"),
        # Upper and lower case of all of Unicode, many times over: reading it takes a minute.
        ("(?i)(?P<label>a)" + "".join(f"[{chr(i)}-\U0010fffe]" for i in range(93, 1600)), "second"),
    ],
)
def test_what_is_no_pattern_is_refused(pattern, message):
    start = time.monotonic()
    with pytest.raises(ValueError, match=message):
        Layout("pattern", pattern=pattern)
    assert time.monotonic() - start < 10.0


def test_a_good_pattern_is_checked_once_and_costs_little(started):
    check_pattern(r"(?P<label>once)_")
    check_pattern(r"(?P<label>once)_")
    assert len(started) == 1
    command = started[0].args
    assert command[0] == sys.executable
    assert "-I" in command  # nothing of the folder it runs in is imported
    assert started[0].poll() is not None


@pytest.mark.parametrize(
    ("helper", "seconds", "kind", "message"),
    [
        # A process that ends while it searches, or no longer reads, as for want of memory.
        (f"{READY}; input()", 60.0, ValueError, "'(?P<label>a)' needs too much memory"),
        (f"import os; os.close(0); {READY}", 60.0, ValueError, "needs too much memory"),
        ("", 60.0, RuntimeError, "The process that searches patterns did not start. Try again"),
        ("import time; time.sleep(60)", 0.0, RuntimeError, "did not start. Try again"),
    ],
)
def test_a_process_that_ends_or_does_not_start(
    started, monkeypatch, helper, seconds, kind, message
):
    monkeypatch.setattr(patterns, "HELPER", helper)
    monkeypatch.setattr(patterns, "READY_SECONDS", seconds)
    with pytest.raises(kind, match=re.escape(message)):
        check_pattern("(?P<label>a)")
    (process,) = started
    assert process.poll() is not None
    assert (process.stdin.closed, process.stdout.closed) == (True, True)
    assert not [x for x in threading.enumerate() if x.name == "gradcam-pattern"]


def test_a_pattern_of_the_longest_length_is_read(started):
    pattern = "(?P<label>a)" + "x" * (patterns.LONGEST - 12)
    check_pattern(pattern)
    with pytest.raises(ValueError, match=rf"^pattern '{re.escape(pattern[:40])}'\.\.\. has 10001 "):
        check_pattern(pattern + "x")
    assert len(started) == 1
