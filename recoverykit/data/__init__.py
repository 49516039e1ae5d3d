"""What comes in: table contracts, refused columns, the data spec, its sources, and the synthetic portfolio.

Modules load at first use: whoever reads a prepared book does not pay for what checks a bank's files.
"""

import lazy_loader

__getattr__, __dir__, __all__ = lazy_loader.attach(
    __name__, submodules=["contracts", "mapping", "refusals", "sources", "synthetic"]
)
