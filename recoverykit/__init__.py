"""Portfolio recovery analytics for non-performing loans.

Public names load at first use, so that a notebook pays only for what it calls; ``__init__.pyi`` beside this file lists
them.
"""

import lazy_loader

__getattr__, __dir__, __all__ = lazy_loader.attach_stub(__name__, __file__)
