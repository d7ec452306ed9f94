"""One pass over images: decode, network, and what is kept of each batch, all at the same time.

How the work is shared. On a CPU a batch of a few images stays with one thread from its files to its
PNG files, and each thread has its share of the processors: batches side by side wait for nothing,
where the parts of one batch would wait for each other, and activations of a few images stay in the
cache (on two processors up to 1.5 x the speed of 16 at a time). Threads are enough for that:
Pillow, torch and zlib release Python's lock (two threads decode as fast as two processes). A GPU
wants the opposite: large batches, and one thread that does nothing but feed it, on a stream of its
own, with pinned memory and copies that nobody waits for; many threads that launch kernels wait for
Python's lock (mobilenet_v2 ran at 180 images/s with 8 of them, where a GPU can 18,000). There
images are decoded ahead, from a certain number on in processes (16 processors decode 1,300 images/s
in threads of one process, 2,600 in processes); what is large per image is computed for the whole
batch on the device, and files are written by threads behind it. Either way batches come to the
sinks in order and in the thread of the caller, and only so many are on their way that memory does
not grow with the number of images.
"""

from __future__ import annotations

import os
import queue
import threading
from collections import deque
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import ExitStack, contextmanager, nullcontext
from itertools import islice
from typing import Any

import numpy as np
import torch

from ..explain.cam import eval_mode
from ..images.batches import Batch, Images
from ..progress import Report
from .precision import FLOAT32, Precision, computing
from .seen import Classifier, Seen
from .sinks import Sink
from .threads import keeping_num_threads

WORKERS = 8  # batches side by side on a CPU, at most
CPU_BATCH = 4  # images, at most, whose activations stay in the cache of a processor
AHEAD = 8  # batches in work or waiting to be taken, for each worker
WRITERS = 12  # threads that write files behind a GPU, at most
MANY = 8  # processors from which on images are decoded in processes
MOST = 32  # processes, at most
WORTH = 500  # images, for which processes are worth their start
READY = 6  # batches that wait to be written and taken behind a GPU

Found = list[Any]  # of one batch, what each sink computed


def no_report(done: int, total: int, message: str) -> None:
    """For passes whose progress nobody asks for."""


@keeping_num_threads
def run_pass(
    images: Images,
    network: Classifier | None,
    sinks: Sequence[Sink],
    batch_size: int = 64,
    report: Report = no_report,
    positions: np.ndarray | None = None,
    message: str | None = None,
    precision: Precision = FLOAT32,
) -> None:
    """Show a network images, once, and give each sink what it wants of them.

    Images that cannot be decoded are left out and named in `images.failures`.

    Args:
        images: what is looked at
        network: what looks; None where only pixels are wanted. Its device is that of the pass; it
            is evaluated in eval mode and left in the mode it was found in
        sinks: see `sinks.Sink`; each takes the batches in the order of the images
        batch_size: images at once, at most; a CPU takes up to 4, which is faster
        report: called after each batch with the numbers of images done and to do, and a message.
            If it raises, the pass ends; the sinks keep what they took
        positions: which of the images, in which order; None for all
        message: shown meanwhile; None counts the images
        precision: see `Precision`

    Raises:
        ValueError: at the end, if there are images and none can be decoded; or if a GPU has not
            the memory for `batch_size` images
    """
    positions = np.arange(len(images)) if positions is None else np.asarray(positions, np.int64)
    device = network.device if network is not None else torch.device("cpu")
    side_by_side = runs_side_by_side(device)
    if side_by_side:
        batch_size = min(batch_size, CPU_BATCH)
    chunks = [positions[i : i + batch_size] for i in range(0, len(positions), batch_size)]
    with ExitStack() as stack:
        if network is not None:
            stack.enter_context(eval_mode(network.module))
        reduced = stack.enter_context(computing(precision, device))
        work = _Work(network, sinks, device, reduced)
        run = _side_by_side if side_by_side else _fed
        batches = stack.enter_context(_closed(run(images, chunks, work)))
        done = 0
        for chunk, (kept, values) in zip(chunks, batches, strict=True):
            if len(kept):
                for sink, value in zip(sinks, values, strict=True):
                    sink.take(kept, value)
            done += len(chunk)
            report(done, len(positions), message or f"{done} of {len(positions)}")
    images.check_readable()
    for sink in sinks:
        sink.finish()


def runs_side_by_side(device: torch.device) -> bool:
    """Whether small batches side by side are what a device is fastest with."""
    return device.type == "cpu"


class _Work:
    """What is done with a batch: on the device, and behind it."""

    def __init__(
        self,
        network: Classifier | None,
        sinks: Sequence[Sink],
        device: torch.device,
        reduced: bool,
    ):
        self.network, self.sinks, self.device, self.reduced = network, sinks, device, reduced
        self.splits = any(sink.splits for sink in sinks)
        self.explains = any(sink.explains for sink in sinks)
        self.cellwise = any(sink.cellwise for sink in sinks)

    def compute(self, batch: Batch, pixels: torch.Tensor) -> Found:
        """What each sink wants of a batch, on the device."""
        seen = Seen(
            batch.positions,
            batch.frames,
            pixels,
            self.network,
            self.splits,
            self.explains,
            self.cellwise,
            self.reduced,
        )
        return [sink.compute(seen) for sink in self.sinks]

    def write(self, batch: Batch, found: Found) -> Found:
        """What each sink makes of it behind the device."""
        pairs = zip(self.sinks, found, strict=True)
        return [sink.write(batch.positions, batch.frames, one) for sink, one in pairs]


Taken = tuple[np.ndarray, Found]  # positions of the images that could be decoded; for each sink


def _side_by_side(images: Images, chunks: list[np.ndarray], work: _Work) -> Iterator[Taken]:
    """Batches one in each thread, from the files to the end."""
    processors = os.cpu_count() or 1
    workers = min(processors, WORKERS)

    def whole(chunk: np.ndarray) -> Taken:
        batch = images.load(chunk)
        if not len(batch.positions):
            return batch.positions, []
        return batch.positions, work.write(batch, work.compute(batch, batch.images))

    share = max(1, processors // workers)
    pool = ThreadPoolExecutor(
        workers, "gradcam-pass", initializer=torch.set_num_threads, initargs=(share,)
    )
    try:
        rest = iter(chunks)
        waiting = deque(pool.submit(whole, chunk) for chunk in islice(rest, AHEAD * workers))
        while waiting:
            found = waiting.popleft().result()
            waiting.extend(pool.submit(whole, chunk) for chunk in islice(rest, 1))
            yield found
    finally:
        pool.shutdown(cancel_futures=True)


def _fed(images: Images, chunks: list[np.ndarray], work: _Work) -> Iterator[Taken]:
    """Batches one after the other: decoded ahead, computed by a thread that feeds the device, and
    written by threads behind it."""
    ready: queue.Queue[Future | BaseException] = queue.Queue(READY)
    stopped = threading.Event()
    pool = ThreadPoolExecutor(min(WRITERS, os.cpu_count() or 1), "gradcam-write")

    def put(one: Future | BaseException) -> None:
        while not stopped.is_set():
            try:
                return ready.put(one, timeout=0.1)
            except queue.Full:
                continue

    processes = decoding_processes(sum(map(len, chunks)))

    def feed() -> None:
        try:
            with (
                _stream(work.device),
                _closed(images.chunks(chunks, processes)) as batches,
            ):
                for batch in batches:
                    if stopped.is_set():
                        return
                    found, wait = _computed(work, batch)
                    put(pool.submit(_written, work, batch, found, wait))
        except BaseException as error:  # the caller's thread raises it on
            put(error)

    feeder = threading.Thread(target=feed, name="gradcam-feed", daemon=True)
    feeder.start()
    try:
        for _ in chunks:
            one = ready.get()
            if isinstance(one, BaseException):
                raise one
            yield one.result()
    finally:
        stopped.set()
        feeder.join()
        pool.shutdown(cancel_futures=True)


def decoding_processes(count: int) -> int:
    """In how many processes so many images are decoded for a GPU; 0 where threads do."""
    processors = os.cpu_count() or 1
    return min(processors, MOST) if processors >= MANY and count >= WORTH else 0


def _computed(work: _Work, batch: Batch) -> tuple[Found, Callable[[], None]]:
    """What is made of a batch on its device, on its way to the CPU; and what waits for it."""
    if not len(batch.positions):
        return [], _no_wait
    if work.device.type != "cuda":
        return _to_host(work.compute(batch, batch.images.to(work.device)), False), _no_wait
    try:
        # The rows of pixels lie in one piece of memory; pinned, the copy is done by the device.
        pinned = batch.images.permute(0, 2, 3, 1).pin_memory()
        pixels = pinned.to(work.device, non_blocking=True).permute(0, 3, 1, 2)
        found = _to_host(work.compute(batch, pixels), True)
    except torch.cuda.OutOfMemoryError as error:
        raise ValueError(
            f"The GPU does not have enough memory for {len(batch.positions)} images at once. Pass "
            f"a smaller batch_size"
        ) from error
    event = torch.cuda.Event()
    event.record()
    return found, event.synchronize


def _no_wait() -> None:
    """Where nothing is on its way."""


def _written(work: _Work, batch: Batch, found: Found, wait: Callable[[], None]) -> Taken:
    wait()
    return batch.positions, work.write(batch, found) if len(batch.positions) else []


def _to_host(found: Any, pinned: bool) -> Any:
    """The same with tensors on the CPU; those from a GPU are pinned, and still on their way."""
    if isinstance(found, torch.Tensor):
        if not pinned:
            return found.cpu()
        return torch.empty_like(found, device="cpu", pin_memory=True).copy_(
            found, non_blocking=True
        )
    if isinstance(found, dict):
        return {name: _to_host(one, pinned) for name, one in found.items()}
    if isinstance(found, list | tuple):
        return [_to_host(one, pinned) for one in found]
    return found


def _stream(device: torch.device):
    """A stream of the pass's own on a GPU."""
    if device.type != "cuda":
        return nullcontext()
    own = torch.cuda.Stream(device)
    own.wait_stream(torch.cuda.current_stream(device))  # the weights are on their way
    return torch.cuda.stream(own)


@contextmanager
def _closed(batches: Iterator) -> Iterator[Iterator]:
    """Close a generator at the end, so that its threads end with the pass."""
    try:
        yield batches
    finally:
        batches.close()
