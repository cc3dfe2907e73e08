"""MIMOFormer as an architecture of the text classifier."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from muxlearn._text_base import MuxTextEstimator
from muxlearn._text_modules import build_mimoformer, choose_warm_up
from muxlearn.nn.mimoformer import MIMOFormer
from muxlearn.nn.module import MuxModule

if TYPE_CHECKING:
    from muxlearn._net import MixtureData, MuxNet

__all__ = ["MimoMixin"]


class MimoMixin(MuxTextEstimator):
    """What is otherwise with ``architecture="mimoformer"``: network, net, warm-up on the grid."""

    architecture: str
    isometry_weight: float

    @property
    def _is_mimoformer(self) -> bool:
        return self.architecture == "mimoformer"

    @property
    def _is_from_nothing(self) -> bool:
        return self._is_mimoformer or super()._is_from_nothing

    def _build(self, rows: Any, extra: Any, n_classes: int) -> tuple[Any, MuxModule]:
        if not self._is_mimoformer:
            return super()._build(rows, extra, n_classes)
        reader = self._learn_reader(rows, extra)
        n_texts = 2 if isinstance(rows[0], tuple) else 1
        params = self.get_params(deep=False)
        return reader, build_mimoformer(params, reader.get_vocab_size(), n_classes, n_texts)

    # Training

    def _net_class(self) -> type[MuxNet]:
        if not self._is_mimoformer:
            return super()._net_class()
        from muxlearn._mimo_net import MIMOFormerNet

        return MIMOFormerNet

    def _net_options(self, module: MuxModule) -> dict[str, Any]:
        if self._is_mimoformer:
            return {"isometry_weight": self.isometry_weight}
        return super()._net_options(module)

    def _warm_up(self, reader: Any, module: MuxModule, rows: Any, seed: int) -> tuple[Any, bool]:
        # That on the grid needs labels, and comes with the training.
        if choose_warm_up(self.get_params(deep=False)) != "retrieval":
            return None, False
        return super()._warm_up(reader, module, rows, seed)

    def _train(
        self,
        module: MuxModule,
        data: MixtureData,
        valid: MixtureData | None,
        *,
        seed: int,
        max_epochs: int,
        **options: Any,
    ) -> MuxNet:
        continued = self.warm_start and self.__sklearn_is_fitted__()
        if continued or choose_warm_up(self.get_params(deep=False)) != "grid":
            return super()._train(module, data, valid, seed=seed, max_epochs=max_epochs, **options)
        assert isinstance(module, MIMOFormer)
        warm_up = super()._train(
            module,
            data,
            None,
            seed=seed - 1,
            max_epochs=self.warm_up_epochs,
            description="warm-up",
            warm_up_n_mux=module.round_n_mux(module.warm_up_n_mux),
            **self._net_options(module),
        )
        max_epochs = 0 if warm_up.interrupted_ else max_epochs
        net = super()._train(module, data, valid, seed=seed, max_epochs=max_epochs, **options)
        net.warm_up_history_ = warm_up.history
        return net

    def _set_fitted(self, *, net: Any, warm_up_history: Any, **state: Any) -> None:
        history = getattr(net, "warm_up_history_", warm_up_history)
        super()._set_fitted(net=net, warm_up_history=history, **state)

    # Saving

    def _module_config(self) -> dict[str, Any]:
        module = self.module_
        if not isinstance(module, MIMOFormer):
            return super()._module_config()
        return {"vocab_size": self._reader.vocab_size, "n_texts": module.n_texts}

    def _rebuild(self, config: dict[str, Any], n_classes: int) -> MuxModule:
        if not self._is_mimoformer:
            return super()._rebuild(config, n_classes)
        sizes = config["vocab_size"], n_classes, config["n_texts"]
        return build_mimoformer(self.get_params(deep=False), *sizes)
