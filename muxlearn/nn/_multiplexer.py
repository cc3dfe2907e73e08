"""The base class of multiplexers."""

from __future__ import annotations

from torch import Tensor, nn

__all__ = ["Multiplexer"]


class Multiplexer(nn.Module):
    """Base class: a multiplexer knows its number of slots and the width of a vector.

    Parameters
    ----------
    n_mux : int
        Number of slots.
    width : int
        Size of an input vector and of a multiplexed one.
    learn_keys : bool, default=True
        Whether the keys are trained.
    """

    def __init__(self, n_mux: int, width: int, learn_keys: bool = True) -> None:
        super().__init__()
        if n_mux > width:
            raise ValueError(f"vectors of width {width} hold at most {width} slots, not {n_mux}")
        self.n_mux = n_mux
        self.width = width
        self.learn_keys = learn_keys

    def forward(self, x: Tensor) -> Tensor:
        """Multiplex.

        Parameters
        ----------
        x : Tensor of shape (n_mixtures, n_places, length, width)
            The rows' vectors; padding is zero. `n_places` is at most `n_mux`.

        Returns
        -------
        Tensor of shape (n_mixtures, length, width)

        Raises
        ------
        ValueError
            If there are more rows than slots.
        """
        raise NotImplementedError

    def mix(self, x: Tensor, mask: Tensor) -> Tensor:
        """Multiplex vectors and leave out those of padding.

        Parameters
        ----------
        x : Tensor of shape (n_mixtures, n_places, length, width)
            Any finite numbers at padding.
        mask : Tensor of bool, shape (n_mixtures, n_places, length)
            False at padding, which adds nothing to the mixture.

        Returns
        -------
        Tensor of shape (n_mixtures, length, width)
        """
        return self(x * mask[..., None].to(x.dtype))

    def n_vectors(self, n_places: int) -> int:
        """Return how many vectors `forward` holds for a position of a mixture of so many rows."""
        return n_places

    def extra_repr(self) -> str:
        """Show the sizes."""
        return f"n_mux={self.n_mux}, width={self.width}, learn_keys={self.learn_keys}"
