"""Verbs in another process, from Python."""

from __future__ import annotations

import inspect
from collections.abc import Callable
from functools import partial, wraps
from typing import Any

from ..arguments import by_name, check_arguments
from ..dataset.fields import root_dataset
from ..disk import plain_errors
from .queue import submit


def delegable(verb: Callable | None = None, *, check: Callable | None = None) -> Callable:
    """Make a job of a call of a verb whose argument `delegate` is true.

    What the verb raises for wrong arguments is then the job's to tell, but for what `check` raises.

    Args:
        verb: the function
        check: takes the verb's arguments by name, and raises what is known at once
    """
    if verb is None:
        return partial(delegable, check=check)
    signature = inspect.signature(verb)

    @wraps(verb)
    def call(*args: Any, **options: Any) -> Any:
        is_job = options.pop("delegate", False)
        check_arguments(signature, by_name(signature, args, options))
        if not is_job:
            with plain_errors():
                return verb(*args, **options)
        given = {}
        for name, value in signature.bind(*args, **options).arguments.items():
            is_rest = signature.parameters[name].kind is inspect.Parameter.VAR_KEYWORD
            given |= value if is_rest else {name: value}
        if given.pop("progress", None) not in (None, True, False):
            raise ValueError(
                "A job cannot call a function of this process as its progress. Leave progress "
                "out, and ask the job that delegate=True returns"
            )
        if check is not None:
            check(**given)
        samples = given.get("samples")
        return submit(verb.__name__, given, root_dataset(samples) if samples is not None else None)

    return call
