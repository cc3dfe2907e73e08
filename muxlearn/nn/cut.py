"""Pre-trained encoders that stay as they are, cut in two after one of their layers."""

from __future__ import annotations

import copy
from operator import attrgetter
from typing import Any, cast

import torch
from torch import Tensor, nn

from muxlearn.nn.encoder import PretrainedEncoder
from muxlearn.nn.module import weights_digest

__all__ = ["FrozenEncoder"]

#: Where models of the `transformers` library keep their layers.
_LAYERS = ("encoder.layer", "transformer.layer", "layers")

#: What stands before the layers, and what behind them.
_BEFORE = ("embeddings", "embeddings_project")
_BEHIND = ("final_norm",)


class FrozenEncoder(nn.Module):
    """A frozen encoder in two parts: its embeddings and first layers, and the layers above.

    The parts share the model's weights, which take no gradient. Dropout is off, in training too.
    The constructor checks once that both parts in turn reproduce the whole model.

    Parameters
    ----------
    encoder : PretrainedEncoder
        The encoder to cut, whose model is frozen in place.
    mux_layer : int, default=None
        Layers of the lower part, from 0 (embeddings alone) to one less than there are. None
        stands for half of them, rounded down.

    Attributes
    ----------
    mux_layer, n_layers : int
        Layers of the lower part, and of both together.
    hidden_size : int
    fingerprint : str
        SHA-256 of the model's weights with their names and shapes, wherever it is cut.

    Raises
    ------
    ValueError
        The model cannot be cut, or has no such layer.
    """

    def __init__(self, encoder: PretrainedEncoder, mux_layer: int | None = None) -> None:
        super().__init__()
        model = cast(nn.Module, encoder.model.eval().requires_grad_(False))
        path, layers = _find_layers(model)
        self.n_layers = len(layers)
        self.mux_layer = self.n_layers // 2 if mux_layer is None else mux_layer
        if not 0 <= self.mux_layer < self.n_layers:
            raise ValueError(
                f"mux_layer={mux_layer} is outside of 0 to {self.n_layers - 1}: the encoder has "
                f"{self.n_layers} layers, and at least one must run on mixtures"
            )
        self.hidden_size = encoder.hidden_size
        self.fingerprint = weights_digest(model)
        self.embedding = encoder.embedding
        self.lower = _replace(model, path, layers[: self.mux_layer])
        self.upper = _replace(model, path, layers[self.mux_layer :])
        for name in _BEHIND:
            if hasattr(model, name):
                self.lower = _replace(self.lower, name, _Passthrough())
        for name in _BEFORE:
            if hasattr(model, name):
                self.upper = _replace(self.upper, name, _Passthrough())
        self._try_out(model)

    def train(self, mode: bool = True) -> FrozenEncoder:
        """Stay in `eval` mode: what is frozen drops nothing."""
        return super().train(False)

    def read(self, ids: Tensor, mask: Tensor) -> Tensor:
        """Run embeddings and the first layers on rows.

        Parameters
        ----------
        ids : Tensor of int, shape (n_rows, length)
        mask : Tensor of bool, the same shape
            False at padding.

        Returns
        -------
        Tensor of shape (n_rows, length, hidden_size)
        """
        return _run(self.lower, self.embedding(ids), mask)

    def encode(self, x: Tensor, mask: Tensor) -> Tensor:
        """Run the layers above, on rows as `read` returns them or on mixtures of such.

        Parameters
        ----------
        x : Tensor of shape (n, length, hidden_size)
        mask : Tensor of bool, shape (n, length)
            False where nothing stands.

        Returns
        -------
        Tensor of shape (n, length, hidden_size)
        """
        return _run(self.upper, x, mask)

    @torch.no_grad()
    def _try_out(self, model: nn.Module) -> None:
        n_tokens = self.embedding.num_embeddings
        ids = torch.arange(8, device=self.embedding.weight.device).view(2, 4) % n_tokens
        mask = torch.tensor([[True] * 4, [True, True, False, False]], device=ids.device)
        expected = _run(model, self.embedding(ids), mask)
        try:
            found = self.encode(self.read(ids, mask), mask)
        except Exception as error:  # whatever a model of another build makes of its parts
            raise _refusal(model) from error
        if not torch.allclose(found[mask], expected[mask], rtol=1e-3, atol=1e-4):
            raise _refusal(model)


class _Passthrough(nn.Module):
    """Stands for what does not run: returns the vectors that it is given."""

    def forward(self, *args: Any, **kwargs: Any) -> Tensor:
        values = [*args, kwargs.get("inputs_embeds")]
        return next(v for v in values if torch.is_tensor(v) and v.is_floating_point())


def _run(model: nn.Module, x: Tensor, mask: Tensor) -> Tensor:
    return model(inputs_embeds=x, attention_mask=mask.long()).last_hidden_state


def _find_layers(model: nn.Module) -> tuple[str, nn.ModuleList]:
    n_layers = cast(Any, model).config.num_hidden_layers
    for path in _LAYERS:
        try:
            layers = attrgetter(path)(model)
        except AttributeError:
            continue
        if isinstance(layers, nn.ModuleList) and len(layers) == n_layers:
            return path, layers
    raise _refusal(model)


def _refusal(model: nn.Module) -> ValueError:
    return ValueError(
        f"{type(model).__name__} cannot be cut after one of its layers; take BERT, RoBERTa, "
        "DistilBERT, ELECTRA, MiniLM or another encoder that is a plain stack of layers"
    )


def _replace(module: nn.Module, path: str, part: nn.Module) -> nn.Module:
    """Return a module that shares with another all its parts but the one at `path`."""
    shell = copy.copy(module)
    name, _, rest = path.partition(".")
    shell._modules = dict(module._modules)
    inner = module._modules[name]
    assert inner is not None
    shell._modules[name] = _replace(inner, rest, part) if rest else part
    return shell
