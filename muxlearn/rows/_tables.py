"""Tables of rows: the input of a net, and the rows that its answers belong to."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from muxlearn.mixtures import MixturePlan

__all__ = ["RowTable", "join_rows", "take_rows"]


def take_rows(rows: Any, numbers: NDArray[np.int64]) -> Any:
    """Return some of the checked rows of a list or of an array, as such.

    Parameters
    ----------
    rows : list or ndarray
    numbers : ndarray of int64

    Returns
    -------
    list or ndarray
    """
    return rows[numbers] if isinstance(rows, np.ndarray) else [rows[i] for i in numbers]


def join_rows(first: Any, second: Any) -> Any:
    """Return the checked rows of two lists or arrays, those of the second behind the first's.

    Parameters
    ----------
    first, second : list or ndarray

    Returns
    -------
    list or ndarray
        An array where both are arrays of rows of one shape.
    """
    if not len(first):
        return second
    arrays = isinstance(first, np.ndarray) and isinstance(second, np.ndarray)
    if arrays and first.shape[1:] == second.shape[1:]:
        return np.concatenate([first, second])
    return [*first, *second]


class RowTable:
    """Rows that are ready to be mixed; each has one answer unless a subclass says otherwise.

    Attributes
    ----------
    lengths : ndarray of int64, shape (n_rows,)
        Rows of similar length share a mixture.
    """

    lengths: NDArray[np.int64]

    def __len__(self) -> int:
        return len(self.lengths)

    def inputs(
        self, rows: NDArray[np.int64], counted: NDArray[np.bool_] | None = None
    ) -> dict[str, NDArray[Any]]:
        """Collate mixtures into what the module takes.

        Parameters
        ----------
        rows : ndarray of int64, shape (n_mixtures, n_mux)
        counted : ndarray of bool, the same shape, default=None
            False where a row is a filler, whose answer is discarded.

        Returns
        -------
        dict of ndarray, each (n_mixtures, n_mux, ...)
        """
        raise NotImplementedError

    def for_patches(self, patch_size: int) -> RowTable:
        """Return the table whose rows are laid out for patches of some tokens.

        Parameters
        ----------
        patch_size : int
            Tokens that share a position, which are never of two texts.

        Returns
        -------
        RowTable
            With the same rows, targets and mixtures.
        """
        return self

    def training_inputs(
        self, rows: NDArray[np.int64], seed: Sequence[int]
    ) -> dict[str, NDArray[Any]]:
        """Collate mixtures for a step of training, which may see rows in variants.

        Parameters
        ----------
        rows : ndarray of int64, shape (n_mixtures, n_mux)
        seed : sequence of int
            Decides on the variants.

        Returns
        -------
        dict of ndarray, each (n_mixtures, n_mux, ...)
        """
        return self.inputs(rows)

    def answers(
        self, rows: NDArray[np.int64], counted: NDArray[np.bool_] | None = None
    ) -> tuple[NDArray[np.int64], NDArray[np.bool_]]:
        """Return the rows or tokens that the module's answers to these mixtures belong to.

        Parameters
        ----------
        rows : ndarray of int64, shape (n_mixtures, n_mux)
            Numbers of the rows of each mixture.
        counted : ndarray of bool, shape (n_mixtures, n_mux), default=None
            False where a row is a filler; None where there are no fillers.

        Returns
        -------
        targets : ndarray of int64, shape (n_answers,)
            The number of what each answer is about: here, the row.
        kept : ndarray of bool, shape (n_answers,)
            False where an answer is a filler's.
        """
        kept = np.ones(rows.shape, bool) if counted is None else counted
        return rows.ravel(), kept.ravel()

    def unmix(self, plan: MixturePlan, log_proba: NDArray[np.float64]) -> NDArray[np.float64]:
        """Bring the answers to all mixtures of a plan into order.

        Parameters
        ----------
        plan : MixturePlan
        log_proba : ndarray of shape (n_answers, n_classes)

        Returns
        -------
        ndarray of shape (n_targets, n_classes)
        """
        return plan.unmix(log_proba.reshape(*plan.rows.shape, -1))

    def row_groups(self, groups: NDArray[np.int64] | None) -> NDArray[np.int64] | None:
        """Return the group of each row of the table, given those of what the user calls a row."""
        return groups
