"""Reading of CSV files: detects encodings and delimiters, and rejects files that are not tables."""

from __future__ import annotations

import codecs
import csv
import io
import itertools
import re
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass

HEAD_BYTES = 1 << 20  # maximum size that is read to detect a table
HEAD_ROWS = 50
LONGEST_LINE = 1 << 26
DELIMITERS = ",;\t|"
BOMS = (
    (codecs.BOM_UTF32_LE, "utf-32"),  # before UTF-16, which starts with the same bytes
    (codecs.BOM_UTF32_BE, "utf-32"),
    (codecs.BOM_UTF16_LE, "utf-16"),
    (codecs.BOM_UTF16_BE, "utf-16"),
    (codecs.BOM_UTF8, "utf-8-sig"),
)
END = "\x1e"  # added as a last line; it is read as a separate row unless a quote is left open
SEPARATOR = re.compile(r"sep=([,;|\t])", re.IGNORECASE)  # Excel's optional first line


@dataclass(frozen=True)
class Head:
    """The beginning of a CSV file.

    Attributes:
        path: path of the file
        encoding: encoding of its text
        delimiter: character between the cells
        header: cells of the first line
        rows: the first rows below it
    """

    path: str
    encoding: str
    delimiter: str
    header: tuple[str, ...]
    rows: tuple[tuple[str, ...], ...]


def read_head(path: str) -> Head:
    """Read the header of a CSV file, and its first rows; at most 1 MB is read.

    Raises:
        ValueError: if it is empty, not text, or its first line is too long
        OSError: if it cannot be read
    """
    with open(path, "rb") as file:
        content = file.read(HEAD_BYTES + 1)
    is_cut = len(content) > HEAD_BYTES
    content = content[:HEAD_BYTES]
    encoding = _encoding(lambda: [content], path, final=not is_cut)
    text = codecs.getincrementaldecoder(encoding)().decode(content)
    lines = list(io.StringIO(text, newline=""))
    if is_cut:
        lines.pop()
        if not lines:
            raise ValueError(f"{path!r} is not a table: its first line is longer than a MB")
    first = next((line for line in lines if line.strip() and not _separator(line)), None)
    if first is None:
        raise ValueError(f"The table {path!r} is empty")
    named = _separator(next(line for line in lines if line.strip()))
    bare = re.sub(r'"[^"]*"', "", first)
    delimiter = named or max(DELIMITERS, key=bare.count)
    rows: list[list[str]] = []
    try:
        rows.extend(itertools.islice(_parse(iter(lines), delimiter), HEAD_ROWS + 1))
    except csv.Error as error:
        if not rows:
            raise ValueError(f"The first line of {path!r} is not a header: {error}") from None
    header, *below = [tuple(cell.strip() for cell in row) for row in rows]
    return Head(path, encoding, delimiter, header, tuple(below))


def read_rows(head: Head) -> Iterator[tuple[int, list[str]]]:
    """Yield the rows below the header of a CSV file with their numbers; that of the header is 1.

    Cells are stripped, and empty rows left out.

    Raises:
        ValueError: naming the first line that cannot be read
        OSError: if it cannot be read
    """
    encoding = whole_encoding(head.path)
    with open(head.path, encoding=encoding, newline="") as file:
        lines = iter(lambda: file.readline(LONGEST_LINE), "")
        at = 0

        def counted() -> Iterator[str]:
            nonlocal at
            for line in lines:
                at += 1
                if len(line) == LONGEST_LINE:
                    raise csv.Error("the line is too long")
                yield line
            yield END + "\n"

        begin = 1
        try:
            for number, row in enumerate(_parse(counted(), head.delimiter), start=1):
                if row and row[-1].rstrip("\n").endswith(END):
                    if row != [END]:
                        raise csv.Error("a quote is left open")
                    return
                begin = at + 1
                cells = [cell.strip() for cell in row]
                if number > 1 and any(cells):
                    yield number, cells
        except csv.Error as error:
            said = str(error)
            if "field limit" in said:
                said = f"a cell of over {csv.field_size_limit()} characters, or a quote left open"
            raise ValueError(
                f"The table {head.path!r} cannot be read from line {begin} on: {said}. Correct "
                f"that line"
            ) from None


def read_text(path: str) -> str:
    """Read the text of a file in any of the common encodings.

    Raises:
        ValueError: if it is not text
        OSError: if it cannot be read
    """
    with open(path, encoding=whole_encoding(path)) as file:
        return file.read()


def whole_encoding(path: str) -> str:
    """Detect the encoding of a file from its whole content.

    Raises:
        ValueError: if it is not text
        OSError: if it cannot be read
    """

    def chunks() -> Iterator[bytes]:
        with open(path, "rb") as file:
            yield from iter(lambda: file.read(HEAD_BYTES), b"")

    return _encoding(chunks, path, final=True)


def _encoding(chunks: Callable[[], Iterable[bytes]], path: str, final: bool) -> str:
    """Return the encoding given by the first bytes, or UTF-8, or else that of Excel on Windows.

    Args:
        chunks: returns an iterator over the bytes each time it is called
        path: path of the file, for the message
        final: whether an incomplete character at the end is an error
    """
    for name in _first_guess(next(iter(chunks()), b""), path):
        decoder = codecs.getincrementaldecoder(name)()
        try:
            for chunk in chunks():
                decoder.decode(chunk)
            decoder.decode(b"", final=final)
        except UnicodeError:
            continue
        return name
    raise ValueError(
        f"{path!r} is not text in UTF-8, UTF-16 or Windows-1252. If it is a table, save it as "
        f"'CSV UTF-8'"
    )


def _first_guess(chunk: bytes, path: str) -> list[str]:
    """Return the possible encodings according to the first bytes, the most likely first."""
    for bom, name in BOMS:
        if chunk.startswith(bom):
            return [name]
    sample = chunk[:4096]
    if 0 in sample:
        # In UTF-16, every second byte of Western text is zero.
        even, odd = sample[::2].count(0), sample[1::2].count(0)
        if max(even, odd) > 0.4 * len(sample) / 2 and min(even, odd) < 0.05 * len(sample) / 2:
            return ["utf-16-le" if odd > even else "utf-16-be"]
        raise ValueError(f"{path!r} is not text. If it is a table, save it as 'CSV UTF-8'")
    return ["utf-8", "cp1252"]


def _separator(line: str) -> str | None:
    match = SEPARATOR.fullmatch(line.strip("\r\n"))
    return match and match[1]


def _parse(lines: Iterator[str], delimiter: str) -> Iterator[list[str]]:
    """Yield rows, starting with the header."""
    rest = itertools.dropwhile(lambda line: not line.strip() or _separator(line), lines)
    return csv.reader(rest, delimiter=delimiter, skipinitialspace=True)
