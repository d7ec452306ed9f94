"""Patterns that are none, or that never end: each gets a second to be read and one to search."""

from __future__ import annotations

import os
import random
import resource

import pytest
from judging import Input, judge_all, some, tree_of
from words import TEXTS

import fiftyone_gradcam as fg

FILES = (
    *("a" * 60, "x" * 200 + "!", "cat_1", "aaaa bbbb", "0" * 80, "ab" * 40, "ab" * 40 + "c"),
    *("train/" + "a" * 50 + "_1", "\u0130" * 40, " " * 60 + "x", "a.b.c.d.e", "_" * 100, "é" * 60),
)
# A name, something that repeats itself, and an end that is not there.
PARTS = ("a", "[a-z]", r"\w", ".", r"\d", "[^/]", "(?:a|a)", "(?:a|aa)", "(?:ab|a|b)", r"\s", "a?",
         r"\S", "(?:.|a)", "(?i:A)", "[0-9a-f]", r"(?:\w|_)")  # fmt: skip
SHAPES = ("({p}+)+", "({p}*)*", "({p}+)*", "(({p}+)+)+", "{p}*{p}*{p}*{p}*{p}*{p}*",
          "({p}{{1,60}}){{1,60}}", "({p}+|{p})+", r"({p}+)\1+", "(?:{p}+?)+?", "(?=({p}+)+!){p}",
          "(?:{p}{{2,}})+", "({p}+.?)+")  # fmt: skip
ENDS = ("!$", "=", r"\Z!", "(?!x)y$", r"\b\B", "")
SOUP = [
    *"()[]{}*+?|\\^$.-,:=!<>P#&'\"/ axzAZ019_é\n",
    *("(?P<label>", "(?P=label)", "(?:", "(?=", "(?<=", "(?<!", "(?i)", "(?x)", "(?P<"),
    *("\\1", "\\", "(?(1)a|b)", "(?#", "{1,", "[^", "[[:alpha:]]", "\\N{DIGIT ONE}", "\\U00110000"),
    "{9999999999}",
]  # fmt: skip
BY_HAND = (
    "(" * 5000 + "(?P<label>a)" + ")" * 5000,
    "(?P<label>" * 300 + "a" + ")" * 300,
    "(?P<label>a)(?P<label>b)",
    "(?P<label>a{4294967296})",
    "(?P<label>(?:a{0,60000}){0,60000})!",
    "(?P<label>a)|" * 2000 + "b",
    "(?P<label>[" + "".join(map(chr, range(0x100, 0x1500))) + "]+)+!",
    "(?i)(?P<label>(?:[\u0100-\U000fffff]+)+)!",
    "(?P<label>" + "(?:" * 50 + "a?" + ")*" * 50 + ")!",
    "(?P<label>(?<=a+)b)",
    "(?P<label>.{2000000000})",
    "(?P<label>)" * 1,
    "(?P<label>a)" + "(b)" * 500,
    "(?P<label>.*)",
    r"(?P<label>\w+)_\d",
    "(?P<split>.*)/(?P<label>.*)",
    "(?P<where>.)(?P<label>.)",
)


def patterns(seed: int, count: int) -> list[str]:
    """Patterns by hand, patterns that never end, and rubbish."""
    source = random.Random(seed)
    found = list(BY_HAND) if seed == 0 else []
    while len(found) < count * 2 // 3:
        core = source.choice(SHAPES).format(p=source.choice(PARTS))
        found.append(f"(?P<label>{core}){source.choice(ENDS)}")
    while len(found) < count:
        soup = "".join(source.choices(SOUP, k=source.randint(1, 40)))
        found.append(source.choice((soup, f"(?P<label>{soup})", source.choice(TEXTS))))
    return found


def files(root) -> str:
    """A folder of names for which patterns have to try much."""
    for name in FILES:
        path = root / f"{name[:200]}.png"
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(b"x")
    return str(root)


def inputs(root: str, seed: int, count: int) -> list[Input]:
    return [
        Input(
            "plan_import",
            "patterns",
            pattern[:100],
            lambda p=pattern: fg.plan_import(root, label_from="pattern", pattern=p),
            ("pattern", "label_from"),
            lambda plan: check_plan(plan, root),
        )
        for pattern in patterns(seed, count)
    ]


def check_plan(plan, root: str) -> None:
    """What was accepted are the files of the folder."""
    assert len(plan.items) + len(plan.skipped) == len(FILES)
    assert all(item.path.startswith(root + os.sep) for item in plan.items)


def seconds_of_others() -> float:
    """Seconds for which the processes that have ended were busy: a busy machine adds none."""
    used = resource.getrusage(resource.RUSAGE_CHILDREN)
    return used.ru_utime + used.ru_stime


def check(items: list[Input], root: str) -> None:
    before, used = tree_of(root), [seconds_of_others()]

    def is_short(item: Input, error: Exception | None) -> None:
        used.append(seconds_of_others())
        assert used[-1] - used[-2] < 2.5, f"{item.what}: busy for {used[-1] - used[-2]:.1f} s"

    judge_all(items, [], is_short)
    assert tree_of(root) == before


def test_hostile_patterns_in_the_default_suite(tmp_path):
    check(some(inputs(files(tmp_path), 0, 60), 1, 4), str(tmp_path))


@pytest.mark.slow
@pytest.mark.parametrize("seed", range(4))
def test_hostile_patterns(seed, tmp_path):
    check(inputs(files(tmp_path), seed, 40), str(tmp_path))
