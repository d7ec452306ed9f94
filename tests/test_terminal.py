"""What a terminal or a log file shows of progress, and of files that were left out."""

import sys

import fiftyone as fo
import pytest

from fiftyone_gradcam.images.decode import ImageError
from fiftyone_gradcam.progress import (
    _Step,
    counted,
    counted_as,
    report_failures,
    report_left_out,
    reporting,
    shares_of,
    some,
)


@pytest.mark.parametrize(
    ("progress", "setting", "shown"),
    [(True, False, True), (None, True, True), (None, False, False), (False, True, False)],
)
def test_progress_is_shown_if_asked_or_by_fiftyones_setting(
    monkeypatch, capsys, progress, setting, shown
):
    monkeypatch.setattr(fo.config, "show_progress_bars", setting)
    with reporting(progress, "Working") as report:
        for done in (0, 1, 2, 2, 5, 6, 8):
            report(done, 8, "unused")
    # In a log file, a line for each quarter but the last, and none twice.
    lines = ["Working", "  25%", "  50%", "  75%"] if shown else []
    assert capsys.readouterr().out.splitlines() == lines


def test_quarters_that_were_passed_at_once_are_one_line(capsys):
    with reporting(True, "Working") as report:
        report(0, 0, "")
        report(7, 9, "")
        report(3, 9, "")
        report(9, 9, "")
    assert capsys.readouterr().out.splitlines() == ["Working", "  75%"]


def test_a_terminal_has_one_bar_that_ends_whatever_happens(monkeypatch, capsys):
    made = []

    class Bar:
        def __init__(self, **given):
            made.append(given)

        def __enter__(self):
            made.append("start")

        def __exit__(self, *error):
            made.append(error)

        set_iteration = staticmethod(made.append)

    monkeypatch.setattr(fo.core.utils, "ProgressBar", Bar)
    monkeypatch.setattr(sys.stdout, "isatty", lambda: True)
    with reporting(True, "Working"):
        pass
    assert made == []  # nothing was reported

    def interrupted() -> None:
        with reporting(True, "Working") as report:
            report(1, 8, "a")
            report(2, 8, "b")
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        interrupted()
    bar = {"total": 8, "iters_str": "images", "progress": True}
    assert made == [bar, "start", 1, 2, (None, None, None)]
    assert capsys.readouterr().out == "Working\nWorking\n"


def test_a_function_is_called_and_nothing_is_printed(capsys):
    reported = []
    with reporting(lambda *given: reported.append(given), "Working") as report:
        report(1, 2, "a")
    assert reported == [(1, 2, "a")]
    assert capsys.readouterr().out == ""


def test_steps_of_no_size_and_shares_out_of_range():
    reported = []
    one, two = shares_of(lambda *given: reported.append(given), 0, 0)
    assert (type(one), type(two)) == (_Step, _Step)
    one(1, 2, "a")
    two(2, 2, "b")
    assert reported == [(0, 1000, "a"), (0, 1000, "b")]
    reported.clear()
    (only,) = shares_of(lambda *given: reported.append(given), 2000)
    for done, total in ((-1, 4), (1, 4), (9, 4), (0, 0)):
        only(done, total, "")
    assert [done for done, *_ in reported] == [0, 500, 2000, 2000]
    # Of what is skipped twice, the last counts; a step without images has nothing to skip.
    reported.clear()
    one, two = shares_of(lambda *given: reported.append(given), 3000, 1000)
    one.skip(0, 0)
    one(1, 2, "")
    assert reported == [(1500, 4000, "")]


@pytest.mark.parametrize(
    ("what", "one", "two"),
    [
        (".xml files", "1 .xml file", "2 .xml files"),
        ("hidden or system files", "1 hidden or system file", "2 hidden or system files"),
        (
            *("images with a label of their own", "1 image with a label of its own"),
            "2 images with a label of their own",
        ),
        ("masks of images", "1 mask of images", "2 masks of images"),
        ("broken links", "1 broken link", "2 broken links"),
        ("in the table, but images", "1 in the table, but images", "2 in the table, but images"),
        ("of files", "1 of files", "2 of files"),
        ("a b c d files", "1 a b c d files", "2 a b c d files"),
    ],
)
def test_a_phrase_agrees_with_its_number(what, one, two):
    assert (counted_as(1, what), counted_as(2, what)) == (one, two)


def test_nouns_agree_with_their_numbers():
    assert [counted(n, "image") for n in (0, 1, 2)] == ["0 images", "1 image", "2 images"]
    assert [counted(n, "class", "classes") for n in (1, 2)] == ["1 class", "2 classes"]
    names = [f"n{i}" for i in range(11)]
    assert some([]) == ""
    assert some(names[:10]) == ", ".join(names[:10])
    assert some(names) == f"{', '.join(names[:10])} and 1 more"
    assert some([1, 2, 3], 2) == "1, 2 and 1 more"


def test_what_was_left_out_is_printed_by_reason_with_examples(capsys):
    report_left_out("files", {}, [])
    assert capsys.readouterr().out == ""
    report_left_out("files", {"hidden files": 1}, ["a"])
    assert capsys.readouterr().out.splitlines() == [
        *("Left out 1 file:", "  1 hidden file", "  such as a"),
    ]
    errors = {
        n: ImageError(f"/{n}.png", "too large" if n == 2 else "empty files") for n in range(5)
    }
    report_failures(errors)
    assert capsys.readouterr().out.splitlines() == [
        *("Left out 5 images:", "  4 empty files", "  1 too large"),
        "  such as /0.png, /1.png, /2.png and 2 more",
    ]
    report_failures({})
    assert capsys.readouterr().out == ""
