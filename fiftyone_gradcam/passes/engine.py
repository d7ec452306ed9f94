"""The engine of passes: decode, run the network and process the results, all at the same time.

How the work is distributed: on a CPU, a small batch stays in one thread from its image files to its
PNG files, and each thread has its share of the processors. Parallel batches do not wait for each
other, as parts of one batch would, and the activations of a few images fit in the cache (on
two processors, this is up to 1.5 x as fast as 16 images at a time). Threads are sufficient, because
Pillow, torch and zlib release Python's lock (two threads decode as fast as two processes).

A GPU needs the opposite: large batches, and one thread that only feeds it, on a separate stream,
with pinned memory and asynchronous copies. Many threads that launch kernels would wait for
Python's lock (mobilenet_v2 ran at 180 images/s with 8 of them, where a GPU can do 18,000). Images
are decoded ahead; if there are many, in processes (16 processors decode 1,300 images/s in threads
of one process, and 2,600 in processes). Results that are large for each image are computed on the
device for the whole batch, and files are written by other threads.

In both cases, sinks receive batches in order and in the caller's thread, and the number of batches
in progress is limited, so that memory does not grow with the number of images.
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
from ..images.decoders import PILLOW, TORCHCODEC, check_decoder
from ..progress import Report
from .jpegs import decoded_chunks, decodes_on
from .memory import enough_memory
from .precision import FLOAT32, Precision, computing
from .seen import Classifier, Seen
from .sinks import Sink
from .threads import keeping_num_threads

WORKERS = 8  # maximum number of parallel batches on a CPU
CPU_BATCH = 4  # maximum number of images whose activations fit in the cache of a processor
AHEAD = 8  # batches in progress or waiting to be taken, per worker
WRITERS = 12  # maximum number of threads that write files of a pass on a GPU
MANY = 8  # minimum number of processors for decoding images in processes
MOST = 32  # maximum number of processes
WORTH = 500  # minimum number of images for which starting processes pays off
READY = 6  # batches of a GPU that wait to be written and taken

Found = list[Any]  # the result of each sink for one batch


def no_report(done: int, total: int, message: str) -> None:
    """Do nothing; for passes that do not report progress."""


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
    decoder: str = PILLOW,
) -> None:
    """Run a network over images once, and pass each batch to every sink.

    Images that cannot be decoded are left out and recorded in `images.failures`.

    Args:
        images: image files
        network: the network; None if the sinks only need pixels. It determines the device of the
            pass; it runs in eval mode, and its mode is restored afterwards
        sinks: see `sinks.Sink`; each receives the batches in the order of the images
        batch_size: maximum number of images per batch; limited to 4 on a CPU, which is faster
        report: called after each batch with the numbers of images done and of all, and a message.
            If it raises an exception, the pass ends; the sinks keep what they have received
        positions: positions of the images in the order of the pass; by default (None), all
        message: the message of the progress report; by default (None), the number of images done
        precision: see `computing`
        decoder: "pillow", or "torchcodec" for JPEG files on an NVIDIA GPU (see `jpegs`)

    Raises:
        ValueError: at the end, if there are images and none can be decoded; or if a GPU does not
            have enough memory for `batch_size` images, or torchcodec is not installed
    """
    check_decoder(decoder)
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
        work = _Work(network, sinks, device, reduced, decoder)
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
    """Return whether a device is fastest with small parallel batches."""
    return device.type == "cpu"


class _Work:
    """The work on a batch: on the device, and afterwards on the CPU."""

    def __init__(
        self,
        network: Classifier | None,
        sinks: Sequence[Sink],
        device: torch.device,
        reduced: bool,
        decoder: str,
    ):
        self.network, self.sinks, self.device, self.reduced = network, sinks, device, reduced
        self.decodes = decoder == TORCHCODEC and decodes_on(device)
        self.splits = any(sink.splits for sink in sinks)
        self.explains = any(sink.explains for sink in sinks)
        self.cellwise = any(sink.cellwise for sink in sinks)

    def batches(self, images: Images, chunks: list[np.ndarray]) -> Iterator[Batch]:
        """Yield batches of decoded images, decoded ahead."""
        if self.decodes:
            return decoded_chunks(images, chunks, self.device)
        return images.chunks(chunks, decoding_processes(sum(map(len, chunks))))

    def compute(self, batch: Batch, pixels: torch.Tensor) -> Found:
        """Return the result of each sink for a batch on the device."""
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
        """Return the processed result of each sink, on the CPU."""
        pairs = zip(self.sinks, found, strict=True)
        return [sink.write(batch.positions, batch.frames, one) for sink, one in pairs]


Taken = tuple[np.ndarray, Found]  # positions of the decoded images; results of each sink


def _side_by_side(images: Images, chunks: list[np.ndarray], work: _Work) -> Iterator[Taken]:
    """Process batches in parallel, one per thread from the files to the end."""
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
    """Process batches one after the other, fed to the device by one thread.

    Images are decoded ahead, and results are written by other threads.
    """
    ready: queue.Queue[Future | BaseException] = queue.Queue(READY)
    stopped = threading.Event()
    pool = ThreadPoolExecutor(min(WRITERS, os.cpu_count() or 1), "gradcam-write")

    def put(one: Future | BaseException) -> None:
        while not stopped.is_set():
            try:
                return ready.put(one, timeout=0.1)
            except queue.Full:
                continue

    def feed() -> None:
        try:
            with _stream(work.device), _closed(work.batches(images, chunks)) as batches:
                for batch in batches:
                    if stopped.is_set():
                        return
                    found, wait = _computed(work, batch)
                    put(pool.submit(_written, work, batch, found, wait))
        except BaseException as error:  # raised again in the caller's thread
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
    """Return the number of processes that decode `count` images for a GPU; 0 for threads."""
    processors = os.cpu_count() or 1
    return min(processors, MOST) if processors >= MANY and count >= WORTH else 0


def _computed(work: _Work, batch: Batch) -> tuple[Found, Callable[[], None]]:
    """Compute a batch and start to copy its results to the CPU.

    Returns:
        the results, and a function that waits until they are copied
    """
    if not len(batch.positions):
        return [], _no_wait
    if work.device.type != "cuda":
        return _to_host(work.compute(batch, batch.images.to(work.device)), False), _no_wait
    with enough_memory(len(batch.positions)):
        if batch.images.device.type == "cuda":
            pixels = batch.images
        else:
            # Pixels are contiguous in this order. The device itself copies pinned memory.
            pinned = batch.images.permute(0, 2, 3, 1).pin_memory()
            pixels = pinned.to(work.device, non_blocking=True).permute(0, 3, 1, 2)
        found = _to_host(work.compute(batch, pixels), True)
    event = torch.cuda.Event()
    event.record()
    return found, event.synchronize


def _no_wait() -> None:
    """Do nothing: nothing is in progress."""


def _written(work: _Work, batch: Batch, found: Found, wait: Callable[[], None]) -> Taken:
    wait()
    return batch.positions, work.write(batch, found) if len(batch.positions) else []


def _to_host(found: Any, pinned: bool) -> Any:
    """Copy tensors to the CPU; those of a GPU are copied asynchronously to pinned memory."""
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
    """Return a separate stream for the pass on a GPU."""
    if device.type != "cuda":
        return nullcontext()
    own = torch.cuda.Stream(device)
    own.wait_stream(torch.cuda.current_stream(device))  # the weights may still be copied
    return torch.cuda.stream(own)


@contextmanager
def _closed(batches: Iterator) -> Iterator[Iterator]:
    """Close a generator at the end, so that its threads end with the pass."""
    try:
        yield batches
    finally:
        batches.close()
