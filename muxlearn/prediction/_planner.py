"""Plans of a prediction's mixtures."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from muxlearn.mixtures import MixturePlan, plan_mixtures
from muxlearn.rows import RowTable, ranks_in_groups

__all__ = ["Planner"]


@dataclass(frozen=True)
class Planner:
    """Plans the mixtures of windows of rows.

    Parameters
    ----------
    seed : int, default=0
        The same seed gives the same plan.
    in_order : bool, default=False
        Whether rows share mixtures in the order in which they come, as published models do it,
        and not with rows of similar length.
    window_rows : int, default=8192
        Rows of a window at least; mixtures are planned inside a window.
    """

    seed: int = 0
    in_order: bool = False
    window_rows: int = 8192

    def window_size(self, n_mux: int, batch_size: int) -> int:
        """Return the rows of a window."""
        size = max(self.window_rows, 8 * batch_size * n_mux)
        # The rows of a window fill its mixtures, or those that follow would be cut differently.
        return size + -size % n_mux if self.in_order else size

    def plan(
        self,
        table: RowTable,
        n_mux: int,
        groups: NDArray[np.int64] | None = None,
        regrouping: int = 0,
    ) -> MixturePlan:
        """Plan the mixtures of one pass over a window.

        Parameters
        ----------
        table : RowTable
            At least one row.
        n_mux : int
        groups : ndarray of int64, default=None
            The group of each row, as users count rows.
        regrouping : int, default=0
            Number of the pass; each has other companions.

        Returns
        -------
        MixturePlan
        """
        lengths, groups = table.lengths, table.row_groups(groups)
        if self.in_order:
            # Lengths that fall by so little from row to row that in a regrouping chance outweighs
            # them. The rows of a published model are padded to one length in any case.
            lengths = 2**40 - ranks_in_groups(groups, len(table))
        return plan_mixtures(
            lengths,
            n_mux,
            groups=groups,
            seed=self.seed,
            regrouping=regrouping,
        )
