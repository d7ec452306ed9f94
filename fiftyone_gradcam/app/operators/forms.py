"""Pieces that all forms share."""

from __future__ import annotations

from fiftyone.operators import types

from ..texts import markdown
from .labels import in_labels

AUTOMATIC = "automatic"
MARK = "data-gradcam-form"


def choice_input(
    inputs: types.Object,
    name: str,
    choices: dict[str, str],
    default: str | None,
    label: str,
    description: str = "",
) -> None:
    """A drop-down list: values with what is shown for them.

    None is required: FiftyOne would call it missing, in red, until it has filled the default in.
    """
    view = types.Dropdown()
    _add_choices(inputs, name, view, choices, default, label, description)


def search_input(
    inputs: types.Object,
    name: str,
    choices: dict[str, str],
    default: str | None,
    label: str,
    description: str = "",
) -> None:
    """A list to type into, which shows what has the letters that are typed."""
    view = types.AutocompleteView(allow_user_input=False, allow_clearing=default is None)
    _add_choices(inputs, name, view, choices, default, label, description)


def _add_choices(
    inputs: types.Object,
    name: str,
    view: types.Choices,
    choices: dict[str, str],
    default: str | None,
    label: str,
    description: str,
) -> None:
    for value, shown in choices.items():
        view.add_choice(value, label=shown)
    inputs.enum(
        name, view.values(), default=default, label=label, description=description, view=view
    )


def text_input(
    ctx,
    inputs: types.Object,
    name: str,
    label: str,
    example: str = "",
    description: str = "",
    required: bool = False,
) -> None:
    """A field for a text.

    Args:
        ctx, inputs: the form
        name: of the parameter
        label, description: for people
        example: stands in the empty field: what is taken if it stays empty, or what it is like
        required: whether the form can be sent without it; nothing is red before something is typed
    """
    view = types.TextFieldView(placeholder=example)
    inputs.str(name, label=label, description=description, view=view)
    if required and not ctx.params.get(name):
        wait_for(inputs, f"no_{name}", f"{label} is missing")


def number_input(
    inputs: types.Object,
    name: str,
    label: str,
    example: str = "",
    description: str = "",
    least: float | None = None,
    most: float | None = None,
) -> None:
    """A field for a number; what is taken if it stays empty stands in it.

    Args:
        inputs: the form
        name: of the parameter
        label, description: for people
        example: what is taken if it stays empty
        least, most: a float `least` makes it a number with decimals
    """
    add = inputs.float if isinstance(least, float) else inputs.int
    view = types.FieldView(placeholder=example)
    add(name, min=least, max=most, label=label, description=description, view=view)


def more(ctx, inputs: types.Object) -> bool:
    """The switch for what few people change; returns whether it is on."""
    inputs.bool("advanced", default=False, label="More choices", view=types.SwitchView())
    return bool(ctx.params.get("advanced"))


def heading(inputs: types.Object, name: str, words: str) -> None:
    """A heading above some of the fields."""
    inputs.view(name, types.Header(label=words, divider=True))


def new_key_check(ctx, inputs: types.Object, key: str | None) -> None:
    """Refuse a name that a new run cannot have."""
    if key and not key.isidentifier():
        words = "Start the name of the run with a letter; use letters, digits and underscores"
        refuse(inputs, "bad_key", words)
    elif key and key in ctx.dataset.list_runs():
        refuse(inputs, "taken_key", f"A run {key!r} exists already. Choose another name")


def tell(inputs: types.Object, name: str, message: str, kind: type = types.Notice) -> None:
    """Show a message: as it is, for the App reads Markdown there, and classes have any name."""
    inputs.view(name, kind(label=markdown(in_labels(message))))


def refuse(inputs: types.Object, name: str, message: str) -> None:
    """Show why the form cannot be sent, and keep it from being sent."""
    message = in_labels(message)
    field = inputs.view(name, types.Error(label=markdown(message)))
    field.invalid = True
    field.error_message = message


def mark_fields(inputs: types.Object) -> None:
    """Let the browser tell this plugin's forms from others; see the style in `bundle.js`."""
    for field in inputs.properties.values():
        if field.view is not None:
            props = field.view.componentsProps or {}
            field.view.componentsProps = props | {"container": {MARK: "true"}}


def wait_for(inputs: types.Object, name: str, message: str) -> None:
    """Keep the form from being sent while something is not filled in yet, without a word: the
    button says what is missing, to whoever points at it."""
    field = inputs.view(name, types.HiddenView())
    field.invalid = True
    field.error_message = message
