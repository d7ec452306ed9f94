"""Batches of decoded images: threads decode ahead, and memory stays within a budget."""

from __future__ import annotations

import math
import os
import threading
from collections.abc import Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import ExitStack
from dataclasses import dataclass
from itertools import islice

import numpy as np
import torch

from .decode import DEFAULT, DecodeOptions, ImageError, decode
from .geometry import check_resize, seen_box, smallest_side, to_square
from .opening import none_readable
from .processes import CAN_SHARE, Decoders, EndedError, decoders

BATCHES_AHEAD = 3
GROUP = 8  # number of images that a process decodes at a time


@dataclass
class Batch:
    """Some images of a list.

    Attributes:
        positions: (n,) int64, positions of the images in the list
        images: (n, 3, size, size) uint8 in channels-last memory
        frames: (n, 2) int64, width and height of each whole upright image in pixels
    """

    positions: np.ndarray
    images: torch.Tensor
    frames: np.ndarray


class Images:
    """A list of image files, resized to squares of one size and provided in batches.

    Decoding runs in threads (Pillow releases the GIL), a few batches ahead of the reader. Files
    that cannot be decoded are left out of the batches and recorded in `failures`. If none of the
    files can be decoded, an error is raised.

    Args:
        paths: image files
        size: side of the square that a model sees, in pixels
        resize: resize method (see `geometry.seen_box`)
        cache_bytes: memory for decoded images; images that do not fit are decoded again
        workers: number of decoding threads; by default, one for each processor
        decode_options: which unusual files are decoded
        is_rest: whether other files of the same set were read earlier; then it is not an error if
            none of these can be read
    """

    def __init__(
        self,
        paths: Sequence[str],
        size: int,
        cache_bytes: int = 0,
        workers: int | None = None,
        resize: str = "squash",
        decode_options: DecodeOptions = DEFAULT,
        is_rest: bool = False,
    ):
        check_resize(resize)
        self.is_rest = is_rest
        self.decode_options = decode_options
        self.paths = list(paths)
        self.size, self.resize = size, resize
        self.workers = workers or os.cpu_count() or 1
        self.failures: dict[int, ImageError] = {}
        self._cache_bytes = cache_bytes
        self._frames = np.zeros((len(self.paths), 2), np.int64)
        # Untouched pages of an empty array cost no memory until an image is written to them.
        capacity = min(len(self.paths), cache_bytes // (3 * size * size))
        self._cache = np.empty((capacity, size, size, 3), np.uint8)
        self._slots = np.full(len(self.paths), -1, np.int64)
        self._used = 0
        self._lock = threading.Lock()

    def __len__(self) -> int:
        return len(self.paths)

    def with_resize(self, resize: str) -> Images:
        """Return the same files with another resize method."""
        options = self.decode_options
        return Images(self.paths, self.size, self._cache_bytes, self.workers, resize, options)

    def hidden_share(self) -> float:
        """Return the mean share of area that a model does not see, of images decoded so far."""
        frames = self._frames[self._frames[:, 0] > 0].tolist()
        boxes = np.array([seen_box(self.resize, width, height) for width, height in frames])
        left, top, right, bottom = np.clip(boxes.reshape(-1, 4).T, 0, 1)
        return 1 - float(((right - left) * (bottom - top)).mean()) if frames else 0.0

    def batches(
        self, batch_size: int, order: Sequence[int] | None = None, processes: int = 0
    ) -> Iterator[Batch]:
        """Yield batches of `batch_size` images, in the given order of positions.

        A batch is smaller if files could not be decoded, and never empty.

        Args:
            batch_size: number of images in a batch
            order: positions; by default (None), all in order
            processes: see `chunks`

        Raises:
            ValueError: at the end, if none of the files can be read
        """
        order = np.arange(len(self)) if order is None else np.asarray(order, np.int64)
        starts = range(0, len(order), batch_size)
        for batch in self.chunks([order[i : i + batch_size] for i in starts], processes):
            if len(batch.positions):
                yield batch
        self.check_readable()

    def chunks(self, chunks: Sequence[np.ndarray], processes: int = 0) -> Iterator[Batch]:
        """Yield a batch for each array of positions, which may be empty.

        Batches are decoded a few ahead of the reader.

        Args:
            chunks: positions of each batch
            processes: number of decoding processes; 0 decodes in threads of this process, and so do
                systems on which processes cannot share open files
        """
        largest = max(map(len, chunks), default=0)
        with ExitStack() as stack:
            workers, decode, ahead = processes or self.workers, self._submit, BATCHES_AHEAD
            if processes and CAN_SHARE and largest:
                # Two groups for each process: one in progress, and one that waits.
                ahead = max(ahead, math.ceil(2 * GROUP * processes / largest))
                rows = largest * (ahead + 1)
                others = decoders(processes, rows, self.size, self.resize, self.decode_options)
                remote = _Remote(self, stack.enter_context(others), largest, ahead + 1)
                decode = remote.submit
            pool = ThreadPoolExecutor(workers, thread_name_prefix="decode")
            # A reader that stops early does not wait for images that it will not read.
            stack.callback(lambda: pool.shutdown(wait=bool(processes), cancel_futures=True))
            rest = iter(chunks)
            waiting = [decode(pool, chunk) for chunk in islice(rest, ahead)]
            while waiting:
                batch = self._collect(*waiting.pop(0))
                waiting.extend(decode(pool, chunk) for chunk in islice(rest, 1))
                yield batch

    def check_readable(self, positions: Sequence[int] | None = None) -> None:
        """Raise an error if none of the files can be read, unless they are the rest of others.

        Args:
            positions: positions of the files, which have been tried; by default (None), all

        Raises:
            ValueError: the message names the first file, and the remedy
        """
        positions = range(len(self)) if positions is None else [int(i) for i in positions]
        if self.is_rest:
            return
        if len(positions) and all(i in self.failures for i in positions):
            raise ValueError(none_readable(len(positions), self.failures[positions[0]]))

    def load(self, positions: np.ndarray) -> Batch:
        """Decode some images immediately, in the caller's thread; the batch may be empty.

        Several threads may call this at once.
        """
        wanted = np.array([i for i in positions if i not in self.failures], np.int64)
        decoded: list[Future | None] = []
        for position in wanted:
            if self._slots[position] >= 0:
                decoded.append(None)
                continue
            decoded.append(Future())
            try:
                decoded[-1].set_result(self.decode_now(position))
            except ImageError as error:
                decoded[-1].set_exception(error)
        return self._collect(wanted, decoded)

    def _submit(self, pool: ThreadPoolExecutor, chunk: np.ndarray) -> tuple[np.ndarray, list]:
        chunk = np.array([i for i in chunk if i not in self.failures], np.int64)
        return chunk, [
            pool.submit(self.decode_now, i) if self._slots[i] < 0 else None for i in chunk
        ]

    def decode_now(self, position: int) -> np.ndarray:
        """Decode an image in this thread: (size, size, 3) uint8.

        Raises:
            ImageError: if it cannot be decoded
        """
        least = smallest_side(self.resize, self.size)
        decoded = decode(self.paths[position], least, self.decode_options)
        self.set_frame(position, decoded.width, decoded.height)
        return to_square(decoded.image, self.size, self.resize)

    def set_frame(self, position: int, width: int, height: int) -> None:
        """Store the size of a whole upright image."""
        self._frames[position] = width, height

    def frames_of(self, positions: Sequence[int]) -> np.ndarray:
        """Return the (n, 2) sizes of whole upright images that have been decoded."""
        return self._frames[np.asarray(positions, np.int64)]

    def is_kept(self, position: int) -> bool:
        """Return whether an image is already in memory."""
        return bool(self._slots[position] >= 0)

    def _collect(self, chunk: np.ndarray, decoding: list[Future | None]) -> Batch:
        kept: list[int] = []
        pixels = np.empty((len(chunk), self.size, self.size, 3), np.uint8)
        for position, future in zip(chunk, decoding, strict=True):
            image = pixels[len(kept)]
            if future is None:
                image[:] = self._cache[self._slots[position]]
            else:
                try:
                    image[:] = future.result()
                except ImageError as error:
                    self.failures[int(position)] = error
                    continue
                self._keep(position, image)
            kept.append(int(position))
        images = torch.from_numpy(pixels[: len(kept)]).permute(0, 3, 1, 2)
        return Batch(np.array(kept, np.int64), images, self.frames_of(kept))

    def _keep(self, position: int, image: np.ndarray) -> None:
        """Cache a decoded image if there is room."""
        if self._used >= len(self._cache):
            return
        with self._lock:
            slot = self._used
            if self._slots[position] >= 0 or slot >= len(self._cache):
                return
            self._used += 1
        self._cache[slot] = image
        self._slots[position] = slot  # from here on, other threads may read it


class _Remote:
    """Decodes images in processes, a few at a time, each batch in its part of their memory.

    Args:
        images: the images
        others: the processes, with room for one more batch than are in progress
        largest: maximum number of images in a batch
        room: number of batches that fit in the memory of the processes
    """

    def __init__(self, images: Images, others: Decoders, largest: int, room: int):
        self.images, self.others, self.largest, self.room = images, others, largest, room
        self.count = 0

    def submit(self, pool: ThreadPoolExecutor, chunk: np.ndarray) -> tuple[np.ndarray, list]:
        """Like `Images._submit`."""
        chunk = np.array([i for i in chunk if i not in self.images.failures], np.int64)
        first = self.count % self.room * self.largest
        self.count += 1
        futures: list[Future | None] = [
            None if self.images.is_kept(position) else Future() for position in chunk
        ]
        asked = [place for place, future in enumerate(futures) if future is not None]
        for start in range(0, len(asked), GROUP):
            group = asked[start : start + GROUP]
            rows = [first + place for place in group]
            pool.submit(self._decode, rows, chunk[group], [futures[place] for place in group])
        return chunk, futures

    def _decode(self, rows: list[int], positions: np.ndarray, futures: list[Future]) -> None:
        try:
            paths = [self.images.paths[position] for position in positions]
            answers = self.others.decode(rows, paths)
        except EndedError:  # killed, perhaps because memory was short
            answers = [None] * len(rows)
        except BaseException as error:
            for future in futures:
                future.set_exception(error)
            return
        for row, position, future, answer in zip(rows, positions, futures, answers, strict=True):
            try:
                if answer is None:
                    future.set_result(self.images.decode_now(position))
                elif isinstance(answer, tuple):
                    self.images.set_frame(position, *answer)
                    future.set_result(self.others.pixels[row])
                else:
                    future.set_exception(answer)
            except ImageError as error:
                future.set_exception(error)
