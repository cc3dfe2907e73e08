"""The optimizer as an object that is searched with the estimator."""

from __future__ import annotations

from typing import Any

import torch

__all__ = ["Optimizer", "OptimizerChoice", "make_optimizer"]


class Optimizer:
    """An optimizer of torch with its parameters.

    Parameters
    ----------
    kind : str or type, default="AdamW"
        The name of a class of `torch.optim`, or a class that takes what those take.

    **params
        Parameters of that class, such as `weight_decay` or `momentum`. The learning rate is the
        estimator's `lr`. AdamW has ``weight_decay=0.01`` and ``betas=(0.9, 0.98)`` by default.

    Examples
    --------
    >>> from muxlearn import MuxTextClassifier
    >>> from muxlearn.training import Optimizer
    >>> clf = MuxTextClassifier(optimizer=Optimizer(weight_decay=0.1))
    >>> clf.set_params(optimizer__weight_decay=0.0).optimizer
    Optimizer(weight_decay=0.0)
    """

    def __init__(self, kind: str | type = "AdamW", **params: Any) -> None:
        self.kind = kind
        self.params = params

    def get_params(self, deep: bool = True) -> dict[str, Any]:
        """Return `kind` and the parameters.

        Parameters
        ----------
        deep : bool, default=True
            Ignored; there is nothing deeper.

        Returns
        -------
        dict
        """
        return {"kind": self.kind, **self.params}

    def set_params(self, **params: Any) -> Optimizer:
        """Set some parameters; new ones are added.

        Parameters
        ----------
        **params

        Returns
        -------
        Optimizer
            The object itself.
        """
        self.kind = params.pop("kind", self.kind)
        self.params = {**self.params, **params}
        return self

    def __repr__(self) -> str:
        shown = {} if self.kind == "AdamW" else {"kind": self.kind}
        values = ", ".join(f"{k}={v!r}" for k, v in {**shown, **self.params}.items())
        return f"Optimizer({values})"

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Optimizer) and self.get_params() == other.get_params()

    __hash__ = None  # type: ignore[assignment]

    def net_options(self, device_type: str) -> dict[str, Any]:
        """Return what a skorch net takes.

        Parameters
        ----------
        device_type : str
            "cpu", "cuda" or another.

        Returns
        -------
        dict
            The net's parameters `optimizer` and ``optimizer__…``.

        Raises
        ------
        ValueError
            torch has no such optimizer.
        """
        kind: Any = self.kind
        if isinstance(kind, str):
            kind = getattr(torch.optim, kind, None)
            if not (isinstance(kind, type) and issubclass(kind, torch.optim.Optimizer)):
                raise ValueError(
                    f"`optimizer` names {self.kind!r}, which torch.optim does not have; give a "
                    "name such as 'AdamW' or 'SGD', or a class"
                )
        params = dict(self.params)
        if kind is torch.optim.AdamW:
            fused = device_type in ("cpu", "cuda")
            params = {"betas": (0.9, 0.98), "fused": fused, "weight_decay": 0.01, **params}
        return {
            "optimizer": kind,
            **{f"optimizer__{name}": value for name, value in params.items()},
        }


class OptimizerChoice:
    """The allowed values of the parameter `optimizer`."""

    def accepts(self, value: object) -> bool:
        """Return whether the value is allowed."""
        return value is None or isinstance(value, Optimizer | str) or callable(value)

    def complain(self, name: str, value: object) -> Exception:
        """Return the error for a value that is not allowed."""
        return TypeError(f"`{name}` must be {self}, got an instance of {type(value).__name__}")

    def __str__(self) -> str:
        return "None, the name of an optimizer of torch, a class of optimizers or Optimizer(…)"


def make_optimizer(value: Any) -> Optimizer:
    """Return the optimizer that a parameter stands for."""
    if value is None:
        return Optimizer()
    return value if isinstance(value, Optimizer) else Optimizer(value)
