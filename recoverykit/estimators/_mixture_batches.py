"""Terms of a likelihood cut into blocks that stay in cache, with the rows of the designs that they share.

Private to the mixture models.
"""

from dataclasses import replace

import numpy as np
from numpy.typing import NDArray

from recoverykit.estimators._cell_designs import CellDesign, DesignMatrix, whole_part
from recoverykit.estimators._mixture_kernels import TermBatch, TermBlock, TermGroup

IntArray = NDArray[np.int64]

#: Rows of a block with a design row each, and of one that shares few design rows: what fits the cache.
_BLOCK_ROWS, _SHARED_BLOCK_ROWS = 4_096, 8_192


def cut_batches(groups: tuple[TermGroup, ...], incidence: DesignMatrix, latency: DesignMatrix) -> tuple[TermBatch, ...]:
    """Cut groups into blocks that stay in cache, once for all evaluations.

    Groups in which terms share design rows, and designs of cells, make one batch; a block whose terms have a design
    row each is a batch of its own, so that its rows of the designs are read while they are in cache.
    """
    if isinstance(incidence, CellDesign) and isinstance(latency, CellDesign):
        blocks = [_block(group, cut, incidence) for group in groups for cut in _cuts(group, _BLOCK_ROWS)]
        n_cells, n_numbers = len(incidence.indicators), len(incidence.numbers)
        return (TermBatch(incidence.parts, latency.parts, n_cells, n_numbers, tuple(blocks)),)
    if isinstance(incidence, CellDesign) or isinstance(latency, CellDesign):
        raise TypeError("either both designs are those of cells or none is")
    batches, shared = [], []
    for group in groups:
        if group.pattern is not None and (group.pattern[1:] == group.pattern[:-1]).any():
            shared += [_block(group, cut, None) for cut in _cuts(group, _SHARED_BLOCK_ROWS)]
            continue
        for cut in _cuts(group, _BLOCK_ROWS):
            block = _block(group, cut, None)
            design: slice | IntArray = slice(group.start + cut.start, group.start + cut.stop)
            if group.pattern is not None:
                design = group.pattern[cut]
            left = whole_part(incidence[design])
            right = left if latency is incidence else whole_part(latency[design])
            batches.append(TermBatch(left, right, len(block.row), 1, (replace(block, local=None),)))
    if shared:
        left = whole_part(incidence)
        right = left if latency is incidence else whole_part(latency)
        batches.insert(0, TermBatch(left, right, len(incidence), 1, tuple(shared)))
    return tuple(batches)


def _cuts(group: TermGroup, size: int) -> list[slice]:
    n = len(group.weight)
    return [slice(begin, min(begin + size, n)) for begin in range(0, n, size)]


def _block(group: TermGroup, cut: slice, design: CellDesign | None) -> TermBlock:
    place: slice | IntArray = slice(group.start + cut.start, group.start + cut.stop)
    if group.pattern is not None:
        place = group.pattern[cut]
    local = np.arange(len(group.row[cut])) if isinstance(place, slice) else place
    if design is not None:
        local = design.cell[place].astype(np.int64)
    starts = np.flatnonzero(np.concatenate([[True], local[1:] != local[:-1]]))
    return TermBlock(
        kind=group.kind,
        sign=group.sign,
        row=group.row[cut],
        log_lower=group.log_lower[cut],
        log_upper=group.log_upper[cut],
        weight=group.weight[cut],
        log_background=None if group.log_background is None else group.log_background[cut],
        cells=local[starts],
        starts=starts,
        local=None if design is not None else local,
        numbers=None if design is None else design.numbers[:, place],
    )
