"""Labels in the form in which the database stores them."""

from __future__ import annotations

from functools import cache

import fiftyone as fo
import numpy as np
from bson import SON, Binary, ObjectId
from fiftyone.core.utils import serialize_numpy_array


@cache
def _empty(kind: type) -> dict:
    return kind().to_dict()


def document(kind: type[fo.Label], **values) -> SON:
    """Return a label as FiftyOne stores it, without creating the label object.

    Creating the object would take longer than everything else that is done here for an image.
    """
    for name, value in values.items():
        if isinstance(value, np.ndarray):
            values[name] = Binary(serialize_numpy_array(value))
    return SON({**_empty(kind), "_id": ObjectId(), "tags": [], **values})
