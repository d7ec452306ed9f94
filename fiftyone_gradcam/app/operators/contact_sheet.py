"""Contact sheets: thumbnails of samples with their labels and suggested classes."""

from __future__ import annotations

import base64
import io
from collections.abc import Sequence

import fiftyone as fo
from PIL import Image

from ...dataset.evidence import suggestion_in
from ...dataset.import_record import decode_options
from ...dataset.review_state import Columns, label_in, stored_values
from ...explain.overlay import sheet
from ...images.decode import ImageError, decode

SHEET_PICTURES = 60
SIDE, IN_ROW = 96, 8


def contact_sheet(dataset: fo.Dataset, columns: Columns, ids: Sequence[str]) -> str:
    """Return a contact sheet of some samples, as a data URI of a WebP file."""
    rows, options = stored_values(dataset, ids, columns), decode_options(dataset)
    pictures, captions = [], []
    for row in (rows[i] for i in ids if i in rows):
        try:
            pictures.append(decode(row["filepath"], SIDE, options).image)
        except ImageError:  # the caption still shows which sample it is
            pictures.append(Image.new("RGB", (SIDE, SIDE), "gray"))
        names = (label_in(row, columns), suggestion_in(row, columns))
        captions.append("\n".join((_cut(names[0]), f"> {_cut(names[1])}")))
    buffer = io.BytesIO()
    sheet(pictures, captions, IN_ROW, SIDE, clear=True).save(buffer, "WEBP", quality=80)
    return f"data:image/webp;base64,{base64.b64encode(buffer.getvalue()).decode()}"


def _cut(name: str | None) -> str:
    name = name or ""
    return name if len(name) <= 14 else f"{name[:13]}…"
