"""What happened: default episodes, their cash flows, counts and triangles, written once as Ibis expressions.

Modules load at first use: whoever reads a prepared book does not pay for the engine that prepared it.
"""

import lazy_loader

__getattr__, __dir__, __all__ = lazy_loader.attach(
    __name__, submodules=["counts", "definition", "ledger", "policy", "spells", "triangle", "worksheet"]
)
