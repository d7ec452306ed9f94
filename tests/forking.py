"""Processes of Python that start at once: forked from one that has imported all that they need.

A process of its own imports FiftyOne and PyTorch for some seconds. One that is forked here has
their modules already, has connected to nothing, and otherwise is and ends as any other. Where there
is no safe fork, `Python` starts a process that imports everything.
"""

from __future__ import annotations

import atexit
import ctypes
import gc
import io
import json
import os
import random
import signal
import socket
import struct
import subprocess
import sys
import threading
import time
import traceback
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

CAN_FORK = sys.platform == "linux"
NUMBER = struct.Struct("q")
_address: list[Path] = []  # of the process that forks, once there is one


def prepare(path: Path) -> None:
    """Leave a copy of this process behind, which forks others as they are asked for.

    Call it before anything is connected to, and before any thread is started.

    Args:
        path: where it listens; its processes end with this one
    """
    if not CAN_FORK:
        return
    listener = socket.socket(socket.AF_UNIX)
    listener.bind(str(path))
    listener.listen(64)
    if os.fork():
        listener.close()
        _address.append(path)
        return
    try:
        _end_with_parent()
        signal.signal(signal.SIGINT, signal.SIG_IGN)
        signal.signal(signal.SIGCHLD, signal.SIG_IGN)  # the system forgets those that have ended
        _give_back_files(keep={listener.fileno()})
        gc.freeze()  # what is collected need not be copied
        _serve(listener)
    finally:
        os._exit(1)


def _end_with_parent() -> None:
    pr_set_pdeathsig = 1
    ctypes.CDLL(None).prctl(pr_set_pdeathsig, signal.SIGKILL)


def _give_back_files(keep: set[int]) -> None:
    """Let go of all open files, without making their numbers free for others."""
    nothing = os.open(os.devnull, os.O_RDWR)
    for name in os.listdir("/proc/self/fd"):
        if int(name) not in keep | {nothing}:
            try:
                os.fstat(int(name))
            except OSError:  # that of the folder itself
                continue
            os.dup2(nothing, int(name))
    os.close(nothing)


def _serve(listener: socket.socket) -> None:
    while True:
        connection, _ = listener.accept()
        if os.fork() == 0:
            listener.close()
            _keep(connection)
        connection.close()


def _keep(connection: socket.socket) -> None:
    """Fork a process, tell its number, and when it has ended, how."""
    try:
        signal.signal(signal.SIGCHLD, signal.SIG_DFL)
        text, files, _, _ = socket.recv_fds(connection, 1 << 20, 3)
        while not text.endswith(b"\n"):
            text += connection.recv(1 << 20)
        asked = json.loads(text)
        child = os.fork()
        if child == 0:
            connection.close()
            _become(files, **asked)
        for file in files:
            os.close(file)
        connection.sendall(NUMBER.pack(child))
        _, status = os.waitpid(child, 0)
        connection.sendall(NUMBER.pack(os.waitstatus_to_exitcode(status)))
    finally:
        os._exit(0)


def _become(
    files: list[int], code: str, arguments: list[str], environment: dict[str, str], folder: str
) -> None:
    """Run code as `python -c` does, and end."""
    status = 1
    try:
        signal.signal(signal.SIGINT, signal.default_int_handler)
        for number, file in enumerate(files):
            os.dup2(file, number)
            os.close(file)
        sys.stdin, sys.stdout, sys.stderr = (
            io.TextIOWrapper(os.fdopen(number, mode, closefd=False), line_buffering=number == 2)
            for number, mode in enumerate(("rb", "wb", "wb"))
        )
        sys.__stdin__, sys.__stdout__, sys.__stderr__ = sys.stdin, sys.stdout, sys.stderr
        os.environ.clear()
        os.environ.update(environment)
        os.chdir(folder)
        sys.argv = ["-c", *arguments]
        _draw_afresh()
        status = _execute(code)
    finally:
        os._exit(status)


def _draw_afresh() -> None:
    random.seed()
    if "numpy" in sys.modules:
        sys.modules["numpy"].random.seed()


def _execute(code: str) -> int:
    """Run code and what is to be done at its end; the exit status."""
    status = 0
    try:
        exec(compile(code, "<string>", "exec"), {"__name__": "__main__"})
    except SystemExit as ended:
        status = ended.code if isinstance(ended.code, int) else int(ended.code is not None)
    except KeyboardInterrupt:
        traceback.print_exc()
        status = -signal.SIGINT
    except BaseException:
        traceback.print_exc()
        status = 1
    threading._shutdown()
    atexit._run_exitfuncs()
    sys.stdout.flush(), sys.stderr.flush()
    if status == -signal.SIGINT:
        signal.signal(signal.SIGINT, signal.SIG_DFL)
        os.kill(os.getpid(), signal.SIGINT)
    return status


class _Forked:
    """A forked process, with what tests use of `subprocess.Popen`."""

    def __init__(self, code: str, arguments: tuple[str, ...], environment: dict[str, str] | None):
        asked = {
            "code": code,
            "arguments": list(arguments),
            "environment": dict(os.environ if environment is None else environment),
            "folder": os.getcwd(),
        }
        (theirs_in, ours_in), (ours_out, theirs_out), (ours_err, theirs_err) = (
            os.pipe() for _ in range(3)
        )
        self.stdin = os.fdopen(ours_in, "w")
        self.stdout, self.stderr = os.fdopen(ours_out), os.fdopen(ours_err)
        self.returncode: int | None = None
        self._connection = socket.socket(socket.AF_UNIX)
        self._connection.connect(str(_address[-1]))
        text, theirs = json.dumps(asked).encode() + b"\n", [theirs_in, theirs_out, theirs_err]
        sent = socket.send_fds(self._connection, [text], theirs)
        self._connection.sendall(text[sent:])
        for file in theirs:
            os.close(file)
        self.pid = self._number()

    def _number(self) -> int:
        return NUMBER.unpack(self._connection.recv(NUMBER.size, socket.MSG_WAITALL))[0]

    def poll(self) -> int | None:
        """Its exit status if it has ended; minus the number of a signal that ended it."""
        try:
            return self.wait(0)
        except subprocess.TimeoutExpired:
            return None

    def wait(self, timeout: float | None = None) -> int:
        """Wait for its end; its exit status."""
        if self.returncode is None:
            self._connection.settimeout(timeout)
            try:
                self.returncode = self._number()
            except (BlockingIOError, TimeoutError):
                raise subprocess.TimeoutExpired(f"process {self.pid}", timeout) from None
            self._connection.close()
        return self.returncode

    def send_signal(self, number: int) -> None:
        """Send a signal, unless it is known to have ended."""
        if self.poll() is None:
            os.kill(self.pid, number)

    def kill(self) -> None:
        """End it at once."""
        self.send_signal(signal.SIGKILL)

    def communicate(self, timeout: float | None = None) -> tuple[str, str]:
        """End its input, and wait for its end; what it printed."""
        end = time.monotonic() + (timeout or 1e6)
        self.stdin.close()
        with ThreadPoolExecutor(2) as pool:
            printed = [pool.submit(file.read) for file in (self.stdout, self.stderr)]
            try:
                self.wait(timeout)
                out, errors = (x.result(max(0.0, end - time.monotonic())) for x in printed)
            except (subprocess.TimeoutExpired, TimeoutError):
                self.kill()  # or its output would be read for ever
                raise subprocess.TimeoutExpired(f"process {self.pid}", timeout) from None
        self.stdout.close(), self.stderr.close()
        return out, errors


def Python(code: str, *arguments: str, environment: dict[str, str] | None = None):  # noqa: N802
    """Start a process that runs code, with pipes of text; `subprocess.Popen`, or much like it.

    Args:
        code: what it runs
        arguments: in its `sys.argv`
        environment: all of its environment variables; by default those of this process. What is
            imported already does not look at them again
    """
    if _address:
        return _Forked(code, arguments, environment)
    pipes = {"stdin": subprocess.PIPE, "stdout": subprocess.PIPE, "stderr": subprocess.PIPE}
    command = [sys.executable, "-c", code, *arguments]
    return subprocess.Popen(command, text=True, env=environment, **pipes)


def run_python(code: str, *arguments: str, timeout: float = 120, **options) -> str:
    """Run code in a process of its own; what it printed.

    Raises:
        RuntimeError: if it ends with another status than 0
    """
    process = Python(code, *arguments, **options)
    printed, errors = process.communicate(timeout=timeout)
    if process.returncode != 0:
        raise RuntimeError(f"exit status {process.returncode}: {printed}{errors}")
    return printed
