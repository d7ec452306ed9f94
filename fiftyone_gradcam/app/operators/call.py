"""Operators that are called by scripts in the browser.

They have no forms, and return plain values immediately, including error messages.
"""

from __future__ import annotations

import logging
from typing import ClassVar

import fiftyone.operators as foo
from bson import ObjectId

from .params import Kind

logger = logging.getLogger(__name__)


class Call(foo.Operator):
    """An unlisted operator that is called by a script in the browser."""

    name = ""
    kinds: ClassVar[dict[str, Kind]] = {}
    needs_dataset = True

    @property
    def config(self) -> foo.OperatorConfig:
        """Return the configuration of an unlisted operator."""
        return foo.OperatorConfig(name=self.name, label=self.name, unlisted=True)

    def execute(self, ctx) -> dict:
        """Return the answer, or the message of an error in "error"."""
        try:
            if self.needs_dataset and ctx.dataset is None:
                raise ValueError("Open a dataset first")
            given = {name: ctx.params.get(name) for name in self.kinds}
            for name, value in given.items():
                if value is not None and not self.kinds[name].fits(value):
                    raise ValueError(f"{name} must be {self.kinds[name].words}")
            return self.answer(ctx.dataset, given)
        except (ValueError, TypeError, TimeoutError, OSError) as error:
            logger.debug("%s is refused", self.name, exc_info=True)
            return {"error": str(error)}

    def answer(self, dataset, given: dict) -> dict:
        """Return the values to send to the browser."""
        raise NotImplementedError


def checked_ids(ids: list[str]) -> list[str]:
    """Return sample ids, after checking that they are valid."""
    if wrong := [i for i in ids if not ObjectId.is_valid(i)]:
        raise ValueError(f"{wrong[0]!r} is not the ID of a sample")
    return ids
