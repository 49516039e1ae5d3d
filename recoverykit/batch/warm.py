"""Kernels that begin with everything imported: forked from a process that has imported it once (Linux, opt-in).

A kernel spends most of its first seconds on imports. With ``warm`` each worker keeps a fork server (``_fork_server``)
for each folder of notebooks, and a kernel is a fork of it: the same interpreter flags, environment, threads, folder and
randomness as an ordinary one, only the imports are done (and a list for the debugger is not, see ``_forked_kernel``).
Where that cannot be so, the ordinary kernel runs:

* not Linux;
* a thread runs in the server after the imports (a fork would lack it, and might find its locks held);
* a file in the notebooks' folder bears the name of a module that the server has imported;
* another kernel than this environment's ``ipykernel``, or a launch with options that only a new process can take;
* the server cannot start, or has died.

Each refusal is said once, in words that ``warnings_in`` finds again in the log of the run.
"""

import asyncio
import contextlib
import sys
import threading
import time
from collections.abc import Mapping
from importlib.util import find_spec
from multiprocessing import util
from pathlib import Path
from queue import Empty
from typing import Any
from uuid import uuid4

from jupyter_client.asynchronous.client import AsyncKernelClient
from jupyter_client.channels import AsyncZMQSocketChannel
from jupyter_client.manager import AsyncKernelManager
from jupyter_client.provisioning import LocalProvisioner
from traitlets import Type

from recoverykit.batch._files import KERNEL_LOG
from recoverykit.batch._fork_client import POLL_SECONDS, ForkedProcess, ForkServer, WarmRefused

if sys.platform != "win32":
    import resource

_MARK = "recoverykit --warm: "
_LIMITS = ("RLIMIT_AS", "RLIMIT_DATA", "RLIMIT_CPU", "RLIMIT_CORE", "RLIMIT_NOFILE", "RLIMIT_FSIZE")
_CHANNELS = ("shell", "iopub", "stdin", "control", "hb")
_LISTENS_SECONDS = 30.0
#: Of a launch, what a forked kernel can be given; the rest needs a process of its own.
_TAKEN = {"env", "cwd", "kernel_id", "extra_arguments", "stdin", "stdout", "stderr", "independent"}


def why_not_warm() -> str:
    """Return in words why this system cannot start warm kernels; empty when it can.

    Examples
    --------
    >>> import sys
    >>> bool(why_not_warm()) == (sys.platform != "linux")
    True
    """
    if sys.platform == "linux":
        return ""
    return f"warm kernels need Linux, this is {sys.platform}; ordinary kernels are started"


def warnings_in(run_folder: str | Path) -> list[str]:
    """Return what the workers of a run said about warm kernels that they could not start, each reason once."""
    try:
        lines = (Path(run_folder) / KERNEL_LOG).read_text(encoding="utf-8", errors="replace").splitlines()
    except OSError:
        return []
    return list(dict.fromkeys(line.removeprefix(_MARK) for line in lines if line.startswith(_MARK)))


class PromptProvisioner(LocalProvisioner):
    """jupyter_client's provisioner, which notices a kernel's start and end at once, not within tenths of a second."""

    async def launch_kernel(self, cmd: list[str], **kwargs: Any) -> Any:
        """Start a kernel and wait until it listens, since who connects too early waits for his next attempt."""
        connection_info = await super().launch_kernel(cmd, **kwargs)
        await self.until_it_listens()
        return connection_info

    async def until_it_listens(self) -> None:
        """Wait for the sockets of the kernel, where they are files, or for its end."""
        said: Mapping[str, Any] = self.connection_info
        if said.get("transport") != "ipc":
            return
        sockets = [Path(f"{said['ip']}-{said[f'{name}_port']}") for name in _CHANNELS]
        deadline = time.monotonic() + _LISTENS_SECONDS
        while not all(path.exists() for path in sockets):
            if self.process is None or self.process.poll() is not None or time.monotonic() > deadline:
                return  # the client finds out what is wrong
            await asyncio.sleep(POLL_SECONDS)

    async def wait(self) -> int | None:
        """Wait for the end of the process."""
        while self.process is not None and await self.poll() is None:
            await asyncio.sleep(POLL_SECONDS)
        return await super().wait()


class WarmProvisioner(PromptProvisioner):
    """Starts a kernel from the fork server of its folder; where that is refused, an ordinary one."""

    async def launch_kernel(self, cmd: list[str], **kwargs: Any) -> Any:
        """Fork a kernel, or start one."""
        try:
            process = _forked(cmd, kwargs)
        except WarmRefused as refusal:
            _say_once(str(refusal))
            return await super().launch_kernel(cmd, **kwargs)
        self.process: Any = process
        self.pid = self.pgid = process.pid  # a kernel leads its own group before its number is told
        self.cwd = kwargs.get("cwd", Path.cwd())
        await self.until_it_listens()
        return self.connection_info

    async def send_signal(self, signum: int) -> None:
        """Send a signal to the group of the kernel unless it has ended, when its number could be another's."""
        if self.process is not None and self.process.poll() is None:
            await super().send_signal(signum)


class PromptChannel(AsyncZMQSocketChannel):
    """jupyter_client's channel, which takes a message straight away where nobody waits for a limited time."""

    async def get_msg(self, timeout: float | None = None) -> dict[str, Any]:  # type: ignore[override]
        """Return the next message; without the poll before it, which costs as much again."""
        return await (self._recv() if timeout is None else super().get_msg(timeout))


class PromptClient(AsyncKernelClient):
    """jupyter_client's client, which takes a kernel that answers as ready.

    The library waits another fifth of a second for stray messages of the start; nbclient tells messages apart by the
    request that they belong to, so that they do no harm.
    """

    iopub_channel_class = Type(PromptChannel)

    async def wait_for_ready(self, timeout: float | None = None) -> None:
        """Wait for the answer to a first question and for the channel of outputs."""
        deadline = time.monotonic() + (float("inf") if timeout is None else timeout)
        while True:
            self.kernel_info()
            with contextlib.suppress(Empty):
                reply = await self.get_shell_msg(timeout=1)
                if reply["msg_type"] == "kernel_info_reply":
                    await self.get_iopub_msg(timeout=0.2)
                    self._handle_kernel_info_reply(reply)
                    return
            if not await self.is_alive():
                raise RuntimeError("Kernel died before replying to kernel_info")
            if time.monotonic() > deadline:
                raise RuntimeError(f"Kernel didn't respond in {timeout:.0f} seconds")


class PromptKernelManager(AsyncKernelManager):
    """Starts ordinary kernels, and does not wait where nothing is to be waited for."""

    client_factory = Type(PromptClient)
    provisioner_class: type[PromptProvisioner] = PromptProvisioner

    async def _async_pre_start_kernel(self, **kwargs: Any) -> Any:
        if self.provisioner is None:
            self.kernel_id = self.kernel_id or kwargs.pop("kernel_id", str(uuid4()))
            chosen = (self.kernel_spec.metadata.get("kernel_provisioner") if self.kernel_spec else None) or {}
            if not chosen:  # a kernel that names a provisioner of its own gets it
                self.provisioner = self.provisioner_class(
                    kernel_id=self.kernel_id, kernel_spec=self.kernel_spec, parent=self
                )
        return await super()._async_pre_start_kernel(**kwargs)


class WarmKernelManager(PromptKernelManager):
    """Starts kernels from a fork server."""

    provisioner_class = WarmProvisioner


def kernel_manager_class(warm: bool) -> type[PromptKernelManager]:
    """Return the class of kernel managers for nbclient: of forked kernels or of ordinary ones."""
    return WarmKernelManager if warm else PromptKernelManager


_servers: dict[str, ForkServer | WarmRefused] = {}
_starting = threading.Lock()
_said: set[str] = set()


def _forked(cmd: list[str], options: Mapping[str, Any]) -> ForkedProcess:
    why = why_not_warm()
    if why:
        raise WarmRefused(why)
    program = [part for part in cmd if not part.startswith("-X")]
    here = Path(program[0]).name.startswith("python") and not Path(program[0]).is_absolute()
    if not (here or program[0] == sys.executable) or program[1:3] != ["-m", "ipykernel_launcher"]:
        raise WarmRefused("the notebook asks for another kernel than this environment's")
    unknown = {name for name, value in options.items() if value is not None} - _TAKEN
    if unknown or any(options.get(name) is not None for name in ("stdin", "stdout", "stderr")):
        raise WarmRefused(f"the kernel is started with {', '.join(sorted(unknown)) or 'streams of its own'}")
    folder = str(options.get("cwd") or Path.cwd())
    server = _server(folder, options["env"])
    request = {
        "start": [_launcher(), *program[3:]],
        "environment": dict(options["env"]),
        "cwd": folder,
        "limits": {name: resource.getrlimit(getattr(resource, name)) for name in _LIMITS},
    }
    try:
        return ForkedProcess(server, server.fork(request))
    except WarmRefused as refusal:
        server.stop()
        _servers[folder] = refusal
        raise


def _launcher() -> str:
    """Return the path of the program that an ordinary kernel runs, its ``sys.argv[0]``."""
    found = find_spec("ipykernel_launcher")
    return str(found.origin) if found else "ipykernel_launcher"


def _server(folder: str, environment: Mapping[str, str]) -> ForkServer:
    """Return the server of a folder, or say again why it has none."""
    with _starting:
        if not _servers:
            util.Finalize(None, stop_servers, exitpriority=1)  # also in a worker of a pool, which runs no atexit
        if folder not in _servers:
            try:
                _servers[folder] = ForkServer.start(folder, environment)
            except WarmRefused as refusal:
                _servers[folder] = refusal
        known = _servers[folder]
    if isinstance(known, WarmRefused):
        raise known
    return known


def stop_servers() -> None:
    """End the fork servers of this process and every kernel of theirs."""
    while _servers:
        _, server = _servers.popitem()
        if isinstance(server, ForkServer):
            server.stop()


def _say_once(words: str) -> None:
    if words not in _said:
        _said.add(words)
        print(f"{_MARK}{words}", file=sys.stderr, flush=True)
