"""The decorator that lets verbs run in another process, with `delegate=True`."""

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
    """Decorate a verb so that a call with `delegate=True` is queued as a job.

    Errors about invalid arguments are then reported by the job, except those that `check` raises.

    Args:
        verb: the function
        check: a function of the verb's arguments by name, which raises errors immediately
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
                "A job cannot call a progress function of this process. Leave progress out, and "
                "use the job that delegate=True returns"
            )
        if check is not None:
            check(**given)
        samples = given.get("samples")
        return submit(verb.__name__, given, root_dataset(samples) if samples is not None else None)

    return call
