"""ipykernel's application as a forked process runs it: without two things that made a sixth of its start.

Neither is seen by a notebook. Imported by the fork server before it forks; Linux only.
"""

import sys
from types import ModuleType
from typing import Any, ClassVar

from ipykernel import ipkernel
from ipykernel.kernelapp import IPKernelApp
from traitlets.config import Config


class ForkedKernelApp(IPKernelApp):
    """The application of a kernel that has been forked."""

    def parse_command_line(self, argv: Any = None) -> None:
        """Take the connection file, where it is all that is given, without a parser of every option there is."""
        given = sys.argv[1:] if argv is None else argv
        if len(given) != 2 or given[0] != "-f":
            super().parse_command_line(argv)
            return
        self.cli_config = Config({"IPKernelApp": {"connection_file": given[1]}})
        self.update_config(self.cli_config)

    def init_kernel(self) -> None:
        """Make the kernel, which would list the files of all modules for a debugger that never comes here.

        That touches two thousand modules and so copies the memory in which they stand, which a fork shares.
        """
        ipkernel.sys = _NoModules("sys")
        try:
            super().init_kernel()
        finally:
            ipkernel.sys = sys


class _NoModules(ModuleType):
    """``sys`` as it is but for the list of modules."""

    modules: ClassVar[dict[str, ModuleType]] = {}

    def __getattr__(self, name: str) -> Any:
        return getattr(sys, name)
