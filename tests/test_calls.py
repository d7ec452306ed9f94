"""Calls within the package, read from its source: arguments in their places, none forgotten.

An argument that is called as another parameter of the same function is probably in the wrong
place. An option that a function has, and that it does not hand on to a function with an option of
the same name, is probably forgotten. Where it is meant, it is listed here.
"""

import ast
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cache

from conftest import REPOSITORY
from test_rooms import FREE

PACKAGE = REPOSITORY / "fiftyone_gradcam"
Functions = ast.FunctionDef | ast.Lambda
# Caller, function and parameter: an argument with the name of another one.
MEANT_ELSEWHERE = {
    ("head", "_Pass", "replace_at"),
    ("head", "_Pass", "by"),
    ("majority", "exceeds", "right"),
    ("verdict_by_probabilities", "_verdict", "robust"),
    ("_rename", "rename_run_in_fields", "key"),  # undoes a renaming
    ("_rename", "rename_run_in_fields", "new_key"),
    ("_rename", "rename_run_in_layouts", "key"),
    ("_rename", "rename_run_in_layouts", "new_key"),
    ("_evaluation", "Evaluation", "run"),
    ("_of_predictions", "_is_of", "prediction_field"),
    ("write_label_issues", "document", "label"),
    ("choose_predictions", "_stand", "value"),
}
# Options that a caller has, and for which the default of the function is meant.
NOT_HANDED_ON = {
    ("_by_label", "mistakes", "label_field"),
    ("_merged", "Labelling", "tables"),
    ("build", "SmallCNN", "dropout"),  # set_head adds it to all networks
    ("delegable", "delegable", "verb"),
    ("embeddings_for", "check_one_source", "weights"),
    ("export_overlays", "fit", "height"),
    ("folds_of", "folds_of", "groups"),
    ("head", "_Pass", "target"),
    ("image_facts", "make_recipe", "recipe"),
    ("plan_import", "Layout", "label_from"),  # of a plan that is empty yet
    ("plan_import", "Layout", "level"),
    ("plan_import", "Layout", "pattern"),
    ("plan_import", "Layout", "split_from"),
    ("probabilities_per_fold", "run_pass", "report"),
    ("queue", "queued", "limit"),
    ("record", "Run", "trained"),
    ("retrain", "fine_tune", "delegate"),
}
# Parameters of functions that others call, which pass more than is needed.
UNUSED = {
    ("_check", "samples"),  # of verbs: `check` of `delegable`
    ("_look", "mtime"),  # keys of a cache
    ("_look", "size"),
    ("no_report", "done"),
    ("no_report", "total"),
    ("no_report", "message"),
    ("_on_output", "inputs"),  # a hook
}
# Calls for their errors alone.
RESULTS_UNUSED = {
    ("__post_init__", "check_method"),
    ("_is_of_tokens", "as_map"),
    ("check_layer", "_find"),
    ("find_splitter", "trace_of"),
    ("make_recipe", "Recipe"),
    ("weights_at_hand", "load_weights"),
}


@dataclass(frozen=True)
class Function:
    """What a function, or a class, is called with.

    Attributes:
        places: names of the parameters that may be passed by place
        names: of all
        optional: of those with a default
        returns: what it returns, as it is annotated
    """

    places: tuple[str, ...]
    names: frozenset[str]
    optional: frozenset[str]
    returns: str | None = None


def parameters(node: Functions) -> list[str]:
    own = node.args
    return [one.arg for one in (*own.posonlyargs, *own.args, *own.kwonlyargs)]


def of_function(node: ast.FunctionDef, is_method: bool = False) -> Function:
    own = node.args
    placed = [one.arg for one in (*own.posonlyargs, *own.args)]
    optional = placed[len(placed) - len(own.defaults) :]
    pairs = zip(own.kwonlyargs, own.kw_defaults, strict=True)
    optional += [one.arg for one, default in pairs if default is not None]
    names = parameters(node)[is_method:]
    returns = None if node.returns is None else ast.unparse(node.returns)
    return Function(tuple(placed[is_method:]), frozenset(names), frozenset(optional), returns)


def of_class(node: ast.ClassDef) -> Function | None:
    """A class with an `__init__` of its own, or a dataclass without a base."""
    for part in node.body:
        if isinstance(part, ast.FunctionDef) and part.name == "__init__":
            return of_function(part, is_method=True)
    if node.bases or "dataclass" not in "".join(map(ast.unparse, node.decorator_list)):
        return None
    found = [part for part in node.body if isinstance(part, ast.AnnAssign)]
    names = [part.target.id for part in found]
    optional = [part.target.id for part in found if part.value is not None]
    return Function(tuple(names), frozenset(names), frozenset(optional), node.name)


@cache
def modules() -> dict[tuple[str, ...], ast.Module]:
    """All modules by their place in the package; that of the package itself is ()."""
    found = {}
    for path in PACKAGE.rglob("*.py"):
        place = path.relative_to(PACKAGE).with_suffix("").parts
        found[tuple(x for x in place if x != "__init__")] = ast.parse(path.read_text("utf-8"))
    return found


@cache
def known() -> dict[tuple, Function]:
    """All functions, classes and methods by module and name."""
    found = {}
    for place, tree in modules().items():
        for node in tree.body:
            if isinstance(node, ast.FunctionDef):
                found[place, node.name] = of_function(node)
            if not isinstance(node, ast.ClassDef):
                continue
            if (made := of_class(node)) is not None:
                found[place, node.name] = made
            for part in node.body:
                if isinstance(part, ast.FunctionDef):
                    is_static = "staticmethod" in map(ast.unparse, part.decorator_list)
                    found[place, node.name, part.name] = of_function(part, not is_static)
    return found


def imported(place: tuple, tree: ast.Module) -> dict[str, tuple]:
    """The place of each module or function of this package that has a name in a module."""
    is_folder = any(other[:-1] == place for other in modules())
    names = {key[1]: key for key in known() if key[0] == place and len(key) == 2}
    for node in ast.walk(tree):
        if not (isinstance(node, ast.ImportFrom) and node.level):
            continue
        up = node.level - is_folder
        base = (*place[: len(place) - up], *(node.module or "").split("."))
        base = tuple(filter(None, base))
        for alias in node.names:
            whole = (*base, alias.name)
            names[alias.asname or alias.name] = (
                (whole,) if whole in modules() else (base, alias.name)
            )
    return names


@dataclass(frozen=True)
class Call:
    """A call of a function of this package.

    Attributes:
        caller: the name of the function that calls, "" at the top of a module
        options: names of the parameters of the functions around
        name: of the function that is called
        function: what it takes
        given: the argument of each parameter
        is_whole: whether there are no others, such as **options
        is_statement: whether nothing is done with the result
        place: of the module
    """

    caller: str
    options: frozenset[str]
    name: str
    function: Function
    given: dict[str, ast.expr]
    is_whole: bool
    is_statement: bool
    place: tuple


@cache
def calls() -> tuple[Call, ...]:
    return tuple(
        call
        for place, tree in modules().items()
        for call in _calls(tree, place, imported(place, tree), "", frozenset(), ())
    )


def _calls(node, place, names, caller, options, of_class) -> Iterator[Call]:
    for part in ast.iter_child_nodes(node):
        inner = caller, options, of_class
        if isinstance(part, ast.ClassDef):
            inner = caller, options, (part.name,)
        elif isinstance(part, Functions):
            own = getattr(part, "name", caller)
            inner = own, options | set(parameters(part)), of_class
        yield from _calls(part, place, names, *inner)
        if not isinstance(part, ast.Call):
            continue
        function, args = part.func, part.args
        if name_of(function) == "partial" and args:
            function, *args = args
        key = _key(function, place, names, of_class)
        if key in known():
            found = known()[key]
            starred = [n for n, one in enumerate(args) if isinstance(one, ast.Starred)]
            placed = args[: starred[0]] if starred else args
            given = dict(zip(found.places, placed, strict=False))
            given |= {one.arg: one.value for one in part.keywords if one.arg is not None}
            is_whole = not starred and None not in [one.arg for one in part.keywords]
            is_statement = isinstance(node, ast.Expr)
            yield Call(caller, options, key[-1], found, given, is_whole, is_statement, place)


def _key(function: ast.expr, place: tuple, names: dict, of_class: tuple) -> tuple | None:
    """The key in `known` of what is called."""
    if isinstance(function, ast.Name):
        return names.get(function.id)
    if isinstance(function, ast.Attribute) and isinstance(function.value, ast.Name):
        if function.value.id == "self":
            return (place, *of_class, function.attr)
        module = names.get(function.value.id, ())
        return (*module, function.attr) if len(module) == 1 else None
    return None


def name_of(value: ast.expr) -> str | None:
    if isinstance(value, ast.Name):
        return value.id
    return value.attr if isinstance(value, ast.Attribute) else None


def test_arguments_are_in_their_places():
    assert len(calls()) > 2000
    assert sum(len(call.given) for call in calls()) > 4000
    found = {
        (call.caller, call.name, parameter)
        for call in calls()
        for parameter, value in call.given.items()
        if name_of(value) in call.function.names - {parameter}
    }
    assert found == MEANT_ELSEWHERE


def test_options_are_handed_on():
    found = {
        (call.caller, call.name, option)
        for call in calls()
        if call.is_whole
        for option in (call.function.optional - set(call.given)) & call.options
    }
    assert found == NOT_HANDED_ON


def test_every_argument_of_a_function_is_used():
    found = set()
    for tree in modules().values():
        for node in tree.body:
            if isinstance(node, ast.FunctionDef):
                used = {
                    x.id for part in node.body for x in ast.walk(part) if isinstance(x, ast.Name)
                }
                left = {x for x in set(parameters(node)) - used if x[0] != "_"}
                found |= {(node.name, name) for name in left - {"delegate"}}
    assert found == UNUSED


def test_no_result_is_lost_in_the_rooms_that_only_compute():
    found = {
        (call.caller, call.name)
        for call in calls()
        if call.is_statement and call.place[:1] and call.place[0] in FREE
        and call.function.returns not in (None, "None", "Iterator[None]")
    }  # fmt: skip
    assert found == RESULTS_UNUSED
