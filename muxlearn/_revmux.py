"""RevMUX as an architecture of the text classifier."""

from __future__ import annotations

import os
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any, ClassVar

from muxlearn._text_base import MuxTextEstimator
from muxlearn._text_modules import build_revmux
from muxlearn.nn.module import MuxModule
from muxlearn.nn.revmux import RevMuxClassifier
from muxlearn.persistence import FormatError

if TYPE_CHECKING:
    from muxlearn._net import MuxNet

__all__ = ["RevMuxMixin"]


#: The learning rate of adapters, none of which is trained before.
_LR = 1e-3


class RevMuxMixin(MuxTextEstimator):
    """What is otherwise with ``architecture="revmux"``: its backbone is not trained, nor saved."""

    architecture: str
    revmux_infonce_weight: float
    revmux_temperature: float

    _movable: ClassVar[tuple[str, ...]] = ("backbone",)

    @property
    def _is_revmux(self) -> bool:
        return self.architecture == "revmux"

    def _build(self, rows: Any, extra: Any, n_classes: int) -> tuple[Any, MuxModule]:
        if not self._is_revmux:
            return super()._build(rows, extra, n_classes)
        module, tokenizer = self._load_parts(n_classes)
        return self._cutting(tokenizer), module

    def _load_parts(self, n_classes: int) -> tuple[RevMuxClassifier, Any]:
        """Load the backbone, and build fresh adapters around it."""
        from muxlearn._backbone import load_backbone

        assert self.backbone is not None
        encoder, tokenizer = load_backbone(self.backbone, self.dropout)
        self._check_fits(encoder)
        encoder.float()  # the precision in which adapters are trained
        return build_revmux(self.get_params(deep=False), encoder, n_classes), tokenizer

    # Training

    def _lr(self, module: MuxModule) -> float:
        return _LR if self._is_revmux and self.lr == "auto" else super()._lr(module)

    def _param_groups(self, module: MuxModule) -> list[tuple[str, dict[str, float]]]:
        if not self._is_revmux:
            return super()._param_groups(module)
        return [("*bias*", {"weight_decay": 0.0}), ("*", {})]

    def _net_class(self) -> type[MuxNet]:
        if not self._is_revmux:
            return super()._net_class()
        from muxlearn._revmux_net import RevMuxNet

        return RevMuxNet

    def _net_options(self, module: MuxModule) -> dict[str, Any]:
        if not self._is_revmux:
            return super()._net_options(module)
        return {
            "infonce_weight": self.revmux_infonce_weight,
            "temperature": self.revmux_temperature,
        }

    # Saving

    def _module_config(self) -> dict[str, Any]:
        module = self.module_
        if not isinstance(module, RevMuxClassifier):
            return super()._module_config()
        return {"backbone_sha256": module.encoder.fingerprint}

    def _check_moved(self, folder: str | os.PathLike, moved: Mapping[str, Any]) -> None:
        if moved and not isinstance(self.module_, RevMuxClassifier):
            raise ValueError(
                f"`backbone` is {str(moved['backbone'])!r}, but the model in {str(folder)!r} "
                "carries its own encoder; leave it out"
            )

    def _rebuild(self, config: dict[str, Any], n_classes: int) -> MuxModule:
        if not self._is_revmux:
            return super()._rebuild(config, n_classes)
        expected = config["backbone_sha256"]
        advice = "name the folder where it is now by load(…, backbone=…)"
        try:
            module, _ = self._load_parts(n_classes)
        except OSError as error:
            raise type(error)(
                f"{error}. The saved model holds adapters only and needs the encoder that they "
                f"were trained on; {advice}"
            ) from error
        if module.encoder.fingerprint != expected:
            raise FormatError(
                f"`backbone` {str(self.backbone)!r} is not the encoder that the adapters were "
                f"trained on: the SHA-256 of its weights is {module.encoder.fingerprint[:12]}…, "
                f"not {expected[:12]}…; put that one back, or {advice}"
            )
        return module
