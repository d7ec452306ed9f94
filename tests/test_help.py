"""`help(fg.<verb>)` is complete: what it does in a line, every argument, result and errors."""

import ast
import inspect
import re
from pathlib import Path

import pytest
from conftest import REPOSITORY

import fiftyone_gradcam as fg

VERBS = sorted(name for name in fg.__all__ if inspect.isfunction(getattr(fg, name)))
HEADS = ("Args:", "Returns:", "Raises:")
NAMES = re.compile(r"^    (\*{0,2}\w+(?:, \*{0,2}\w+)*): (.*)")
RAISES = re.compile(r"^    (\w+(?:Error)(?:, \w+Error)*): .+")


def sections(verb: str) -> dict[str, list[str]]:
    """Lines of a docstring by heading; "" is what comes first."""
    found: dict[str, list[str]] = {"": []}
    head = ""
    for line in inspect.getdoc(getattr(fg, verb)).splitlines():
        if line in HEADS:
            head = line
            found[head] = []
        elif line and not line.startswith(" ") and head:
            raise AssertionError(f"{verb}: {line!r} stands below {head}")
        else:
            found[head].append(line)
    return found


@pytest.mark.parametrize("verb", VERBS)
def test_help_describes_every_argument(verb):
    found, signature = sections(verb), inspect.signature(getattr(fg, verb))
    purpose = found[""]
    assert purpose[0].endswith((".", ":")) or purpose[1:2] not in ([], [""]), purpose[0]
    assert len(purpose[0]) >= 20
    described = {}
    for line in found.get("Args:", []):
        if matched := NAMES.match(line):
            for name in matched[1].split(", "):
                assert name not in described, f"{name} twice"
                described[name] = matched[2]
    wanted = {
        {"VAR_KEYWORD": "**", "VAR_POSITIONAL": "*"}.get(one.kind.name, "") + name
        for name, one in signature.parameters.items()
    }
    assert set(described) == wanted
    assert not [name for name, words in described.items() if words.startswith("see `")]
    annotated = signature.return_annotation
    assert ("Returns:" in found) == (annotated not in (None, "None")), annotated
    raised = found.get("Raises:")
    assert raised, "no word of errors"
    assert RAISES.match(raised[0]), raised[0]


def test_all_verbs_are_known():
    assert len(VERBS) >= 37
    assert {"predict", "fine_tune", "report", "review", "mistakes"} <= set(VERBS)
    for name in set(fg.__all__) - set(VERBS):
        assert inspect.isclass(getattr(fg, name)), name
        assert len(inspect.getdoc(getattr(fg, name))) > 40, name


def signatures() -> str:
    """Public functions, and classes to create, with arguments and defaults, without annotations."""
    lines = []
    for name in sorted([*VERBS, "Network", "Recipe"]):
        found = inspect.signature(getattr(fg, name))
        bare = [x.replace(annotation=x.empty) for x in found.parameters.values()]
        lines.append(f"{name}{found.replace(parameters=bare, return_annotation=found.empty)}")
    return "\n".join(lines) + "\n"


def test_a_default_of_an_argument_changes_only_on_purpose():
    """A change of `signatures.txt` is one for users, and belongs in the docstring too."""
    assert signatures() == (Path(__file__).parent / "signatures.txt").read_text()


def test_the_list_of_functions_has_their_arguments_and_defaults():
    text, described = (REPOSITORY / ".github/docs/python.md").read_text(), set()
    table = text[: text.index("| `samples` |")]
    for name, words in re.findall(r"`(\w+)\(([^`]*)\)`", table):
        if name not in fg.__all__:
            continue
        described.add(name)
        parameters = inspect.signature(getattr(fg, name)).parameters
        call = ast.parse(f"{name}({', '.join(x for x in words.split(', ') if x != '...')})").body[0]
        for own in call.value.args:
            assert parameters[own.id].default is inspect.Parameter.empty, (name, own.id)
        for own in call.value.keywords:
            assert parameters[own.arg].default == ast.literal_eval(own.value), (name, own.arg)
    assert described == {*VERBS, "Network", "Recipe"}
