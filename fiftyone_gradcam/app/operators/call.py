"""Operators that scripts in the browser call.

These are not forms: they answer at once with plain values, what is wrong among them.
"""

from __future__ import annotations

import logging
from typing import ClassVar

import fiftyone.operators as foo
from bson import ObjectId

from .params import Kind

logger = logging.getLogger(__name__)


class Call(foo.Operator):
    """An operator that a script in the browser calls; no person sees it in a list."""

    name = ""
    kinds: ClassVar[dict[str, Kind]] = {}

    @property
    def config(self) -> foo.OperatorConfig:
        """How FiftyOne lists it: not at all."""
        return foo.OperatorConfig(name=self.name, label=self.name, unlisted=True)

    def execute(self, ctx) -> dict:
        """Answer; what is refused is said in "error"."""
        try:
            if ctx.dataset is None:
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
        """What is sent back to the browser."""
        raise NotImplementedError


def checked_ids(ids: list[str]) -> list[str]:
    """Ids of samples, refused if they are none."""
    if wrong := [i for i in ids if not ObjectId.is_valid(i)]:
        raise ValueError(f"{wrong[0]!r} is not the ID of a sample")
    return ids
