"""The encoder that comes with this library."""

from __future__ import annotations

import functools
from collections.abc import Iterable
from itertools import chain, islice
from typing import TYPE_CHECKING, Any, ClassVar, cast

import numpy as np

from muxlearn._params import Constraint, Integer, OneOf, ParameterObject
from muxlearn._warnings import warn
from muxlearn.backbones._base import Corpus, Start
from muxlearn.backbones._warmed_up import Pretrained
from muxlearn.box import read_box
from muxlearn.nn.encoder import CompactEncoder
from muxlearn.persistence import TOKENIZER
from muxlearn.points import Point
from muxlearn.rows import LOOKED_AT, other_language

if TYPE_CHECKING:
    from tokenizers import Tokenizer
    from torch.nn import ModuleList

__all__ = ["Packaged", "load_packaged"]


@functools.cache
def load_packaged() -> Pretrained:
    """Load the packaged encoder.

    Returns
    -------
    Pretrained
        The same each time: not to be changed.

    Raises
    ------
    muxlearn.persistence.FormatError
        A file is missing or is not the one that was packaged.
    """
    config, tensors, files = read_box()
    return Pretrained.from_saved(Packaged.label, config, tensors, files[TOKENIZER])


class Packaged(ParameterObject):
    """The packaged English encoder, or its first layers.

    Classifiers, regressors and taggers of texts take the first three of its six layers unless they
    get a `backbone`. The first layers take a share of the time, and often lose little accuracy
    after fine-tuning [1]_. They share positions as the whole encoder does, and the factors
    multiply: three layers with two tokens in a position take a quarter of the time.

    Parameters
    ----------
    num_hidden_layers : int, default=None
        Number of layers to keep, the first ones. None keeps all of them.

    References
    ----------
    .. [1] H. Sajjad, F. Dalvi, N. Durrani, P. Nakov, "On the Effect of Dropping Layers of
       Pre-trained Transformer Models", Computer Speech & Language 77, 2023.

    Examples
    --------
    >>> from muxlearn import MuxTextClassifier
    >>> from muxlearn.backbones import Packaged
    >>> clf = MuxTextClassifier(backbone=Packaged(num_hidden_layers=2))
    >>> clf.get_params()["backbone__num_hidden_layers"]
    2
    """

    constraints: ClassVar[dict[str, Constraint]] = {"num_hidden_layers": OneOf(None, Integer(1))}

    label: ClassVar[str] = "the packaged encoder"
    name: ClassVar[str] = "packaged"
    from_scratch: ClassVar[bool] = False
    packaged: ClassVar[bool] = True

    def __init__(self, *, num_hidden_layers: int | None = None) -> None:
        self.num_hidden_layers = num_hidden_layers

    def structure(self) -> dict[str, Any]:
        """Return the parameters that decide what the encoder looks like, as data."""
        return self.get_params(deep=False)

    def kinds(self, n_mux: int) -> tuple[str, str] | None:
        """Return the kinds that it was warmed up with; see `Backbone`."""
        return load_packaged().kinds(n_mux)

    def auto_point(self, factor: int) -> Point | None:
        """Return the best point that it was warmed up for; see `Backbone`."""
        return load_packaged().auto_point(factor)

    def start(self, corpus: Corpus, **wanted: Any) -> Start:
        """Take over what the warm-up has left; see `Backbone`."""
        start = load_packaged().start(**wanted)
        if self.num_hidden_layers is not None:
            self._keep_first(cast(CompactEncoder, start.encoder).layers, self.num_hidden_layers)
        _warn_of_other_languages(start.reader, corpus.as_texts(corpus.rows))
        return start

    @staticmethod
    def _keep_first(layers: ModuleList, n_layers: int) -> None:
        if n_layers > len(layers):
            raise ValueError(
                f"`num_hidden_layers` is {n_layers}, but the packaged encoder has {len(layers)} "
                "layers; give that or fewer, or leave it out"
            )
        del layers[n_layers:]


def _warn_of_other_languages(tokenizer: Tokenizer, texts: Iterable[Any]) -> None:
    encodings = tokenizer.encode_batch(list(islice(texts, LOOKED_AT)))
    tokens = np.fromiter(chain.from_iterable(e.ids for e in encodings), np.int32)
    if (warning := other_language(tokenizer, tokens)) is not None:
        warn(warning)
