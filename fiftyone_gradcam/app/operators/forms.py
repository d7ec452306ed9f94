"""Form fields and messages that all forms share."""

from __future__ import annotations

from collections.abc import Iterator

from fiftyone.operators import types

from ...arguments import MOST_SEED
from ...dataset.run_files import can_resume
from ...dataset.run_keys import next_key
from ..texts import markdown
from .labels import LABELS, in_labels

AUTOMATIC = "automatic"
MARK = "data-gradcam-form"
IN_SIGHT = 8  # fields of a form that fit into a window, with the name of a run among them


def choice_input(
    inputs: types.Object,
    name: str,
    choices: dict[str, str],
    default: str | None,
    label: str,
    description: str = "",
) -> None:
    """Add a drop-down list of values with the texts to show for them.

    It is not marked as required, because FiftyOne would show it as missing, in red, until it has
    filled in the default.
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
    """Add a list that is filtered by the text that the user types."""
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
    """Add a text field.

    Args:
        ctx, inputs: the form
        name: the name of the parameter
        label, description: texts to show
        example: placeholder of the empty field: the default value, or an example
        required: whether the form cannot be submitted while the field is empty; the field is not
            shown in red
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
    """Add a number field, which shows the default value while it is empty.

    Args:
        inputs: the form
        name: the name of the parameter
        label, description: texts to show
        example: placeholder of the empty field: the default value
        least, most: the range; if `least` is a float, decimals are allowed
    """
    add = inputs.float if isinstance(least, float) else inputs.int
    view = types.FieldView(placeholder=example)
    add(name, min=least, max=most, label=label, description=description, view=view)


def seed_input(inputs: types.Object) -> None:
    """Add a field for a random seed."""
    inputs.int("seed", default=0, min=0, max=MOST_SEED, label=LABELS["seed"])


def more(ctx, inputs: types.Object) -> bool:
    """Add the switch for rarely used fields, and return whether it is on."""
    inputs.bool("advanced", default=False, label="More choices", view=types.SwitchView())
    return bool(ctx.params.get("advanced"))


def heading(inputs: types.Object, name: str, words: str) -> None:
    """Add a heading above some of the fields."""
    inputs.view(name, types.Header(label=words, divider=True))


def new_key_check(ctx, inputs: types.Object, key: str | None, resumes: bool = False) -> None:
    """Refuse a name that is not valid for a new run.

    Args:
        ctx, inputs: the form
        key: the name
        resumes: whether the verb resumes an interrupted training of this name
    """
    if key and not key.isidentifier():
        words = "Start the name of the run with a letter; use letters, digits and underscores"
        refuse(inputs, "bad_key", words)
    elif key and key in ctx.dataset.list_runs():
        free = next_key(ctx.dataset, key)
        words = f"A run {key!r} exists already. Choose another name, such as {free}"
        refuse(inputs, "taken_key", words)
    elif key and not resumes and can_resume(ctx.dataset, key):
        words = f"A training {key!r} was interrupted, and can be resumed in the tab Steps. "
        refuse(inputs, "taken_key", f"{words}Choose another name for a new one")


def notice(inputs: types.Object, name: str, message: str, kind: type = types.Notice) -> None:
    """Show a message literally: the App interprets Markdown, and class names may contain any."""
    inputs.view(name, kind(label=markdown(in_labels(message))))


def refuse(inputs: types.Object, name: str, message: str) -> None:
    """Show why the form cannot be submitted, and disable its button."""
    message = in_labels(message)
    field = inputs.view(name, types.Error(label=markdown(message)))
    field.invalid = True
    field.error_message = message


def errors_out_of_sight(inputs: types.Object) -> Iterator[tuple[str, str]]:
    """Yield names and messages of errors that may be seen only after scrolling."""
    shown = [
        (name, field)
        for name, field in inputs.properties.items()
        if not isinstance(field.view, types.HiddenView)
    ]
    for name, field in shown[IN_SIGHT:]:
        if isinstance(field.view, types.Error) and field.invalid:
            yield name, field.error_message


def mark_fields(inputs: types.Object) -> None:
    """Mark the fields as this plugin's, for the style in `bundle.js`."""
    for field in inputs.properties.values():
        if field.view is not None:
            props = field.view.componentsProps or {}
            field.view.componentsProps = props | {"container": {MARK: "true"}}


def wait_for(inputs: types.Object, name: str, message: str) -> None:
    """Disable the button of the form while something is not filled in yet.

    The reason is shown only as the tooltip of the button.
    """
    field = inputs.view(name, types.HiddenView())
    field.invalid = True
    field.error_message = message
