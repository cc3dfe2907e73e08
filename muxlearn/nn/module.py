"""The interface between a multiplexed module and the estimators."""

from __future__ import annotations

from typing import TypeVar

import torch
from torch import nn

__all__ = ["MuxModule"]

Self = TypeVar("Self", bound="MuxModule")


class MuxModule(nn.Module):
    """A module that predicts for the rows of mixtures.

    Attributes
    ----------
    n_mux : int
        The number of slots, its capacity.
    """

    n_mux: int

    def for_inference(self: Self, dtype: torch.dtype | None = None) -> Self:
        """Return a copy that predicts only, as fast as it can.

        Parameters
        ----------
        dtype : torch.dtype, default=None
            None keeps the weights' own.

        Returns
        -------
        MuxModule
            In `eval` mode; shares no memory with this module.
        """
        raise NotImplementedError
