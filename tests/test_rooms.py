"""The house: which rooms know FiftyOne, and who imports from whom."""

import ast
from pathlib import Path

import pytest
from conftest import REPOSITORY

PACKAGE = REPOSITORY / "fiftyone_gradcam"
ORDER = (
    *("images", "folders", "model", "review", "explain", "passes", "training"),
    *("reports", "dataset", "jobs", "workflow", "app"),
)
FREE = ORDER[: ORDER.index("dataset")]


def imports_at_top(path: Path):
    """Modules that are imported when a module is."""
    for node in ast.parse(path.read_text(encoding="utf-8")).body:
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        if isinstance(node, ast.ImportFrom):
            yield "." * node.level + (node.module or "")


def test_rooms_up_to_training_need_no_fiftyone():
    """They run on a machine without it; what they import of this project does too."""
    paths = [path for room in FREE for path in (PACKAGE / room).rglob("*.py")]
    assert len(paths) > 100
    beside = ("progress", "disk", "downloads", "similar", "locks", "arguments")
    for path in paths:
        assert not [one for one in imports_at_top(path) if one.split(".")[0] == "fiftyone"], path
        from_beside = [one[2:] for one in imports_at_top(path) if one[:2] == ".." and one[2:]]
        assert {one.split(".")[0] for one in from_beside} <= {*FREE, *beside}, path
    for name in beside:
        found = list(imports_at_top(PACKAGE / f"{name}.py"))
        assert not [one for one in found if one.split(".")[0] == "fiftyone"], name


def imported_rooms(path: Path):
    """Rooms that a module imports from at its top, or anywhere in it."""
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.ImportFrom) and node.level == 2:
            names = [node.module] if node.module else [alias.name for alias in node.names]
            yield from (name.split(".")[0] for name in names if name.split(".")[0] in ORDER)


@pytest.mark.parametrize("room", FREE)
def test_a_room_imports_from_those_left_of_it(room):
    own = ORDER.index(room)
    for path in (PACKAGE / room).rglob("*.py"):
        later = [name for name in imported_rooms(path) if ORDER.index(name) > own]
        assert not later, f"{path.name} imports from {later}"
