"""A process that has imported what notebooks use and forks a kernel for each of them. Started by ``warm``, Linux only.

It holds one thread, no event loop, no ZeroMQ context and no IPython object, so that a fork finds nothing half done. It
speaks with its worker over one socket, one JSON message a packet:

* it begins with ``{"ready": true}`` or ``{"refused": why}``;
* ``{"start": argv, "environment": {...}, "cwd": path, "limits": {...}}`` is answered by ``{"pid": pid}``;
* ``{"exited": pid, "code": code}`` tells of the end of a kernel, whose number stays taken until ``{"reap": pid}``, so
  that a signal never meets a stranger.

When the socket closes, the worker has ended: the kernels are killed and the server ends too.
"""

import contextlib
import gc
import importlib
import importlib.util
import json
import os
import pkgutil
import resource
import select
import signal
import socket
import sys
from collections.abc import Iterable
from pathlib import Path
from typing import Any

MESSAGE_BYTES = 1 << 18
INLINE_BACKEND = "module://matplotlib_inline.backend_inline"
#: What every kernel imports as it starts, also to be ready for a debugger that never comes here.
_OF_KERNELS = (
    "ipykernel.kernelapp",
    "ipykernel.ipkernel",
    "ipykernel.zmqshell",
    "ipykernel.debugger",
    "IPython.core.completerlib",
    "IPython.core.debugger",
    "IPython.core.logger",
    "IPython.core.oinspect",
    "IPython.extensions.storemagic",
    "sqlite3",
    "tornado.platform.asyncio",
)
#: What notebooks import, beside the kit itself. The inline backend of matplotlib is not among them: it ties itself to
#: the shell that it finds when it is imported, and without one no figure would ever be shown.
_LIBRARIES = (
    "numpy",
    "pandas",
    "pyarrow.parquet",
    "matplotlib.pyplot",
    "matplotlib.backends.backend_agg",
    "matplotlib.backends.backend_svg",
    "seaborn",
    "scipy.optimize",
    "scipy.stats",
    "formulaic",
)
_LAYERS = ("recoverykit.estimators", "recoverykit.portfolio", "recoverykit.report")
_FURTHER = ("recoverykit.batch.results", "recoverykit.batch._forked_kernel")
#: What only pages of the whole book ask for, like the operations: with the libraries behind them (scikit-learn,
#: openpyxl, statsmodels) every fork would be dearer, and it is the segments that are many.
_RARELY_USED = (
    "recoverykit.estimators.lgd_challenger",
    "recoverykit.portfolio.lgd_models",
    "recoverykit.report.workbook",
    "recoverykit.report._workbook_sheets",
)


def main() -> None:
    """Import, then fork kernels until the worker is gone; a forked process leaves here as a kernel."""
    channel = socket.socket(fileno=int(sys.argv[1]))
    os.set_inheritable(channel.fileno(), False)
    _leave_folder_out()
    set_by_imports: dict[str, str] = {}
    why = _prepare(set_by_imports)
    channel.send(json.dumps({"refused": why} if why else {"ready": True}).encode())
    if not why:
        request = _serve(channel)
        if request is not None:
            request["environment"] |= set_by_imports
            _become_kernel(request)


def _leave_folder_out() -> None:
    """Take the working folder from the path while libraries load, as ``ipykernel_launcher`` does."""
    if sys.path and (sys.path[0] == "" or Path(sys.path[0]) == Path.cwd()):
        del sys.path[0]


def _prepare(set_by_imports: dict[str, str]) -> str:
    """Import everything; return why forking would not be safe, or nothing.

    What the imports of a kernel itself set in the environment is entered, since its own imports would set it again;
    what other imports set is not, since a notebook may never ask for them.
    """
    os.environ.setdefault("MPLBACKEND", INLINE_BACKEND)  # as ipykernel does; read when matplotlib is imported
    os.environ["JPY_PARENT_PID"] = str(os.getpid())  # a kernel ends with its parent; read when ipykernel is imported
    before = dict(os.environ)
    _import_all(_OF_KERNELS)
    set_by_imports |= {name: value for name, value in os.environ.items() if before.get(name) != value}
    _import_all([*_LIBRARIES, *_FURTHER, *_modules_of(_LAYERS)])
    if "matplotlib_inline.backend_inline" in sys.modules:
        return "an import has started matplotlib's inline backend, which would draw for no kernel"
    hidden = _hidden_by_folder()
    if hidden:
        return f"the folder of the notebooks holds {hidden}, which a kernel there would import for the library's"
    n_threads = len(os.listdir("/proc/self/task"))
    if n_threads > 1:
        return f"{n_threads - 1} threads run beside the main one after the imports"
    gc.collect()
    gc.freeze()  # the pages of what is imported stay shared between the kernels
    return ""


def _import_all(names: Iterable[str]) -> None:
    for name in names:
        with contextlib.suppress(ImportError):  # an extra that is not installed
            importlib.import_module(name)


def _hidden_by_folder() -> str:
    """Return a file of the working folder that has the name of an imported module; a kernel looks there first."""
    folder, loaded = Path.cwd(), {name.partition(".")[0] for name in sys.modules}
    for path in sorted(folder.iterdir()):
        is_module = path.suffix == ".py" or (path / "__init__.py").exists()
        if is_module and path.stem in loaded and not _is_source_of(path, path.stem):
            return path.name
    return ""


def _is_source_of(path: Path, name: str) -> bool:
    source = getattr(sys.modules[name], "__file__", None)
    return source is not None and Path(source).resolve() in (path.resolve(), (path / "__init__.py").resolve())


def _modules_of(packages: Iterable[str]) -> list[str]:
    found = [importlib.import_module(name) for name in packages if importlib.util.find_spec(name)]
    modules = [
        f"{package.__name__}.{module.name}" for package in found for module in pkgutil.iter_modules(package.__path__)
    ]
    return [module for module in modules if module not in _RARELY_USED]


def _serve(channel: socket.socket) -> dict[str, Any] | None:
    """Answer requests; return one in a forked process, None in the server when the worker is gone."""
    children: dict[int, bool] = {}  # whether the end was told, by process
    bell, ringer = socket.socketpair()
    bell.setblocking(False)
    ringer.setblocking(False)
    signal.set_wakeup_fd(ringer.fileno(), warn_on_full_buffer=False)
    signal.signal(signal.SIGCHLD, lambda _signal, _frame: None)
    selector = select.poll()  # which leaves no descriptor of its own to the children
    for each in (channel, bell):
        selector.register(each.fileno(), select.POLLIN)
    while True:
        ready = selector.poll()
        if any(number == bell.fileno() for number, _ in ready):
            _drain(bell)
            _tell_ends(channel, children)
        if not any(number == channel.fileno() for number, _ in ready):
            continue
        packet = _received(channel)
        if not packet:
            _kill_all(children)
            return None
        request: dict[str, Any] = json.loads(packet)
        if "reap" in request:
            if children.pop(request["reap"], None) is not None:
                os.waitpid(request["reap"], 0)
            continue
        pid = _fork_into_own_session()
        if pid == 0:
            signal.set_wakeup_fd(-1)
            signal.signal(signal.SIGCHLD, signal.SIG_DFL)
            for inherited in (channel, bell, ringer):
                inherited.close()
            return request
        children[pid] = False
        channel.send(json.dumps({"pid": pid}).encode())


def _fork_into_own_session() -> int:
    """Fork, and return in the server when the kernel leads its own group, so that a signal reaches nobody else."""
    reading, writing = os.pipe()
    pid = os.fork()
    os.close(reading if pid == 0 else writing)
    if pid == 0:
        os.setsid()
        os.close(writing)
    else:
        os.read(reading, 1)  # ends when the other side is closed, also by its death
        os.close(reading)
    return pid


def _received(channel: socket.socket) -> bytes:
    try:
        return channel.recv(MESSAGE_BYTES)
    except ConnectionError:
        return b""


def _drain(bell: socket.socket) -> None:
    with contextlib.suppress(BlockingIOError):
        while bell.recv(4096):
            pass


def _tell_ends(channel: socket.socket, children: dict[int, bool]) -> None:
    """Tell of kernels that have ended and leave them in the table of processes."""
    for pid, told in children.items():
        if told:
            continue
        end = os.waitid(os.P_PID, pid, os.WEXITED | os.WNOHANG | os.WNOWAIT)
        if end is None:
            continue
        children[pid] = True
        code = end.si_status if end.si_code == os.CLD_EXITED else -end.si_status
        with contextlib.suppress(OSError):  # the worker has just ended; the next turn notices
            channel.send(json.dumps({"exited": pid, "code": code}).encode())


def _kill_all(children: Iterable[int]) -> None:
    for pid in children:
        with contextlib.suppress(OSError):
            os.killpg(pid, signal.SIGKILL)
        with contextlib.suppress(OSError):
            os.waitpid(pid, 0)


def _become_kernel(request: dict[str, Any]) -> None:
    """Be what a fresh process would be: own environment, folder, limits and random numbers; then serve."""
    os.environ.clear()
    os.environ.update({**request["environment"], "JPY_PARENT_PID": str(os.getppid())})
    os.chdir(request["cwd"])
    for name, limits in request["limits"].items():
        resource.setrlimit(getattr(resource, name), tuple(limits))
    importlib.import_module("numpy").random.seed()  # Python's own generator reseeds itself in a forked process
    sys.argv[:] = request["start"]
    importlib.import_module("recoverykit.batch._forked_kernel").ForkedKernelApp.launch_instance()


if __name__ == "__main__":
    main()
