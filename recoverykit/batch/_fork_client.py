"""A worker's end of the talk with its fork server: start it, ask for kernels, hear of their ends."""

import contextlib
import json
import os
import signal
import socket
import subprocess
import sys
import threading
import time
from collections import deque
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

_SERVER = "recoverykit.batch._fork_server"
_START_SECONDS = 60.0
_ANSWER_SECONDS = 20.0
_PACKET = 1 << 18
POLL_SECONDS = 0.005


class WarmRefused(Exception):
    """Why a kernel cannot be forked; the ordinary one takes its place."""


@dataclass(slots=True)
class ForkServer:
    """A running server and the socket to it; kernels are its children, not ours.

    Attributes
    ----------
    process : Popen
        The server.
    channel : socket
        One JSON message a packet.
    """

    process: "subprocess.Popen[bytes]"
    channel: socket.socket
    _codes: dict[int, int] = field(default_factory=dict)
    _answers: deque[int] = field(default_factory=deque)
    _guard: threading.RLock = field(default_factory=threading.RLock)  # a worker of a cluster may have several threads

    @classmethod
    def start(cls, folder: str, environment: Mapping[str, str]) -> "ForkServer":
        """Start a server that stands in a folder, and wait until it has imported everything.

        Raises
        ------
        WarmRefused
            When it cannot start or says that forking would not be safe.
        """
        ours, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        ours.settimeout(_START_SECONDS)
        # Arrow's allocator would keep a thread for itself, and a process is to be forked with one thread only.
        own = {**environment, "JE_ARROW_MALLOC_CONF": "background_thread:false"}
        try:
            process = subprocess.Popen(
                [sys.executable, "-m", _SERVER, str(theirs.fileno())],
                stdin=subprocess.DEVNULL,
                stdout=sys.__stderr__.fileno() if sys.__stderr__ else subprocess.DEVNULL,
                cwd=folder,
                env=own,
                pass_fds=(theirs.fileno(),),
                start_new_session=True,
            )
        except OSError as error:
            ours.close()
            raise WarmRefused(f"the fork server cannot start: {error.strerror}") from error
        finally:
            theirs.close()
        server = cls(process, ours)
        try:
            said = json.loads(ours.recv(_PACKET) or b"{}")
        except OSError:
            said = {}
        if not said.get("ready"):
            server.stop()
            raise WarmRefused(said.get("refused") or "the fork server did not come up; its words stand in this log")
        return server

    def fork(self, request: Mapping[str, Any]) -> int:
        """Ask for a kernel; return the number of its process.

        Raises
        ------
        WarmRefused
            When the server has died or the request does not fit into a packet.
        """
        with self._guard:
            try:
                self.channel.send(json.dumps(request).encode())
                deadline = time.monotonic() + _ANSWER_SECONDS
                while not self._answers:
                    self._listen(max(deadline - time.monotonic(), 0.001))
            except OSError as error:
                raise WarmRefused(f"the fork server does not answer: {error.strerror or error}") from error
            return self._answers.popleft()

    def code_of(self, pid: int) -> int | None:
        """Return the exit code of a kernel that has ended (negative for a signal), None while it runs."""
        with self._guard:
            if pid not in self._codes:
                try:
                    while self._listen(0):
                        pass
                except OSError:  # the server is gone, and its kernels with it: they watch their parent
                    self._codes.setdefault(pid, -signal.SIGKILL)
                    with contextlib.suppress(OSError):
                        os.killpg(pid, signal.SIGKILL)
            return self._codes.get(pid)

    def forget(self, pid: int) -> None:
        """Let the number of an ended kernel be given to others."""
        with self._guard, contextlib.suppress(OSError):
            self._codes.pop(pid, None)
            self.channel.send(json.dumps({"reap": pid}).encode())

    def stop(self) -> None:
        """Close the socket, which ends the server and every kernel of it."""
        self.channel.close()
        try:
            self.process.wait(5)
        except subprocess.TimeoutExpired:
            self.process.kill()
            self.process.wait()

    def _listen(self, seconds: float) -> bool:
        """Take in one message; return whether there was one."""
        self.channel.settimeout(seconds)
        try:
            packet = self.channel.recv(_PACKET)
        except (BlockingIOError, TimeoutError):
            if seconds:
                raise
            return False
        if not packet:
            raise ConnectionResetError("it has ended")
        message = json.loads(packet)
        if "pid" in message:
            self._answers.append(message["pid"])
        else:
            self._codes[message["exited"]] = message["code"]
        return True


class ForkedProcess:
    """What ``subprocess.Popen`` would be for a kernel that the fork server has started."""

    stdin = stdout = stderr = None

    def __init__(self, server: ForkServer, pid: int) -> None:
        self.pid = pid
        self.returncode: int | None = None
        self._server = server

    def poll(self) -> int | None:
        """Return the exit code, None while it runs."""
        if self.returncode is None:
            self.returncode = self._server.code_of(self.pid)
            if self.returncode is not None:
                self._server.forget(self.pid)
        return self.returncode

    def wait(self, timeout: float | None = None) -> int:
        """Wait for the end and return the exit code."""
        deadline = time.monotonic() + (float("inf") if timeout is None else timeout)
        while (code := self.poll()) is None:
            if time.monotonic() > deadline:
                raise subprocess.TimeoutExpired("kernel", timeout or 0)
            time.sleep(POLL_SECONDS)
        return code

    def send_signal(self, number: int) -> None:
        """Send a signal to a kernel that has not ended."""
        if self.poll() is None:
            os.kill(self.pid, number)

    def terminate(self) -> None:
        """Send SIGTERM."""
        self.send_signal(signal.SIGTERM)

    def kill(self) -> None:
        """Send SIGKILL."""
        self.send_signal(signal.SIGKILL)
