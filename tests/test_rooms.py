"""The house: which rooms know FiftyOne, and who imports from whom."""

import ast
import subprocess
import sys
from pathlib import Path

import pytest
from conftest import REPOSITORY

PACKAGE = REPOSITORY / "fiftyone_gradcam"
ORDER = (
    *("images", "folders", "model", "review", "explain", "passes", "training"),
    *("dataset", "jobs", "workflow", "app"),
)
FREE = ORDER[: ORDER.index("dataset")]
WITHOUT = """
import importlib, sys
sys.modules["fiftyone"] = None  # any import of it fails
for name in {names!r}:
    importlib.import_module(name)
"""


def modules(room):
    return sorted(
        f"fiftyone_gradcam.{room}.{path.stem}"
        for path in (PACKAGE / room).glob("*.py")
        if path.stem != "__init__"
    )


def test_rooms_up_to_training_need_no_fiftyone():
    names = [name for room in FREE for name in modules(room)]
    assert len(names) > 70
    subprocess.run(
        [sys.executable, "-c", WITHOUT.format(names=names)], check=True, cwd=REPOSITORY, timeout=300
    )


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
