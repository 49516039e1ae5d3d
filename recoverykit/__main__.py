"""Run the command line as ``python -m recoverykit``."""

import sys

from recoverykit.cli import main

if __name__ == "__main__":
    sys.exit(main())
