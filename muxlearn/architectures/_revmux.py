"""RevMUX: a frozen encoder, with small reversible adapters that mix texts between its layers."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, ClassVar

from torch import Tensor, nn

from muxlearn._params import Choice, Constraint, Integer, Number, OneOf
from muxlearn.architectures._base import (
    AUTO_FACTOR,
    Architecture,
    Built,
    ParamGroups,
    Setting,
)
from muxlearn.architectures._checks import check_fits
from muxlearn.architectures._start import load_start
from muxlearn.backbones import Corpus, Named, Start, make_backbone
from muxlearn.nn.cut import FrozenEncoder
from muxlearn.nn.encoder import PretrainedEncoder
from muxlearn.nn.module import MuxModule
from muxlearn.nn.revmux import (
    ADAPTERS,
    RevMuxClassifier,
    RevMuxTrainingOutput,
    info_nce_loss,
    power_of_two,
)
from muxlearn.persistence import FormatError
from muxlearn.points import Point
from muxlearn.tasks import Task
from muxlearn.training.objectives import Objective

__all__ = ["RevMUX"]

#: The learning rate of adapters, which always start untrained.
_LR = 1e-3


class ContrastObjective(Objective):
    """The task's loss plus InfoNCE between what is unfolded for a text and the text alone.

    Parameters
    ----------
    task : Task
    n_mux : int
        The number of slots; one alone has nothing to be told apart from.
    weight, temperature : float
        Weight of InfoNCE in the loss, and its temperature.
    """

    losses = ("infonce_loss",)

    def __init__(self, task: Task, n_mux: int, weight: float, temperature: float) -> None:
        super().__init__(task)
        self.n_mux = n_mux
        self.weight = weight
        self.temperature = temperature

    def run(self, module: nn.Module, inputs: dict[str, Tensor], n_mux: int) -> Any:
        """Run a module, in training with what the encoder says of each text alone."""
        contrast = module.training and self.n_mux > 1 and self.weight > 0
        return module(**inputs, n_mux=n_mux, contrast=contrast)

    def answers(self, output: Any) -> Tensor:
        """Return the task's answers."""
        return output.logits if isinstance(output, RevMuxTrainingOutput) else output

    def loss(
        self, module: nn.Module, output: Any, targets: Tensor, weights: Tensor
    ) -> tuple[Tensor, dict[str, Any]]:
        """Add the two losses up."""
        task, reported = super().loss(module, output, targets, weights)
        if not isinstance(output, RevMuxTrainingOutput):
            return task, reported
        contrast = info_nce_loss(output.vectors, output.alone, output.rows, self.temperature)
        return task + self.weight * contrast, {"infonce_loss": contrast.detach()}


class RevMUX(Architecture):
    """A frozen encoder with small reversible adapters that mix texts inside it.

    Only the adapters and the head are trained and saved, so that one encoder serves many tasks
    (RevMUX, EMNLP 2024). `backbone` must be an encoder of the `transformers` library. Loading a
    saved model loads the backbone again and checks the SHA-256 of its weights. At ``n_mux=1`` the
    network is the frozen encoder with a head. `dropout` applies behind the encoder, not inside it.

    Parameters
    ----------
    mux_layer : int, default=None
        Number of encoder layers that run on each text before mixing, at least 0 (which mixes
        embeddings) and less than the number of layers. None is half of them. With l of L layers
        before mixing, the model is at most ``N * L / (N * l + L - l)`` times as fast as the plain
        encoder, and never more than ``L / l`` times. With half of the layers this is 1.33 times at
        N = 2 and 1.6 times at N = 4.

    adapters : {"reversible", "ora", "adapter"}, default="reversible"
        The method, or one of the baselines of its paper. "ora" only multiplexes reversibly, and
        reads each slot by a network of its own; "adapter" multiplexes by a plain adapter as well.

    infonce_weight : float, default=0.25
        Weight of the InfoNCE loss relative to the task's. It pulls the vector unfolded for a text
        towards the plain encoder's vector of this text, and away from those of the others in the
        batch. 0 saves the additional pass of the encoder.

    temperature : float, default=0.05
        Temperature that divides the cosines of the InfoNCE loss.

    Examples
    --------
    >>> from muxlearn import MuxTextClassifier
    >>> from muxlearn.architectures import RevMUX
    >>> clf = MuxTextClassifier(
    ...     n_mux=4, architecture=RevMUX(mux_layer=2), backbone="bert-base-uncased"
    ... )
    """

    name = "revmux"
    tasks = ("sequence",)
    unused = ("multiplexer", "demultiplexer", "warm_up")
    movable = ("backbone",)
    constraints: ClassVar[dict[str, Constraint]] = {
        "mux_layer": OneOf(None, Integer(0)),
        "adapters": Choice(*ADAPTERS),
        "infonce_weight": Number(0),
        "temperature": Number(0, open_low=True),
    }
    structural = ("mux_layer",)

    def __init__(
        self,
        *,
        mux_layer: int | None = None,
        adapters: str = "reversible",
        infonce_weight: float = 0.25,
        temperature: float = 0.05,
    ) -> None:
        self.mux_layer = mux_layer
        self.adapters = adapters
        self.infonce_weight = infonce_weight
        self.temperature = temperature

    def structure(self) -> dict[str, Any]:
        """Return the parameters that decide what the module looks like."""
        # A folder that was saved before there were baselines holds none.
        kind = {} if self.adapters == "reversible" else {"adapters": self.adapters}
        return {**super().structure(), **kind}

    def auto_point(self, task: str, params: Mapping[str, Any]) -> Point:
        """Return the point with the most rows, a power of two, up to what "auto" stands for."""
        return Point(power_of_two(AUTO_FACTOR))

    def check(self, setting: Setting) -> None:
        """Raise for an encoder that cannot be cut, and for rows that do not pair up."""
        super().check(setting)
        given, n_mux = setting.params["backbone"], setting.n_mux
        backbone = make_backbone(given)
        if not isinstance(backbone, Named) or backbone.is_ours:
            raise ValueError(
                f"`backbone` is {given!r}, but architecture='revmux' mixes texts between the "
                "layers of an encoder of the transformers library; give the folder or the name of "
                "one"
            )
        if power_of_two(n_mux) != n_mux:
            raise ValueError(
                f"`n_mux` is {n_mux}, but architecture='revmux' mixes texts pair by pair; take a "
                f"power of two, such as {power_of_two(n_mux)} or {2 * power_of_two(n_mux)}"
            )
        odd = [point for point in setting.row_counts if power_of_two(point) != point]
        if odd:
            raise ValueError(
                f"`operating_points` holds {odd[0]}, but architecture='revmux' mixes texts pair "
                "by pair; take powers of two"
            )

    # The module

    def build(self, setting: Setting, data: Corpus, n_outputs: int) -> Built:
        """Load the encoder and build fresh adapters around it."""
        start = self._load(setting, data)
        return Built(start.reader, self._around(setting, start, n_outputs), self)

    def learns_reader(self, setting: Setting) -> bool:
        """Return False: the backbone has its tokenizer."""
        return False

    @staticmethod
    def _load(setting: Setting, data: Corpus) -> Start:
        start = load_start(setting, data)
        check_fits(setting, start.encoder)
        start.encoder.float()  # the precision in which adapters are trained
        return start

    def _around(self, setting: Setting, start: Start, n_outputs: int) -> RevMuxClassifier:
        encoder, backbone = start.encoder, setting.params["backbone"]
        assert isinstance(encoder, PretrainedEncoder)
        if encoder.hidden_size % setting.n_mux:
            raise ValueError(
                f"`n_mux` is {setting.n_mux}, but the vectors of `backbone` {str(backbone)!r}, of "
                f"width {encoder.hidden_size}, cannot be divided among as many slots; lower "
                "`n_mux`"
            )
        try:
            frozen = FrozenEncoder(encoder, self.mux_layer)
        except ValueError as error:
            raise ValueError(
                f"`backbone` {str(backbone)!r}, `mux_layer` {self.mux_layer}: {error}"
            ) from error
        return RevMuxClassifier(
            frozen, setting.n_mux, n_outputs, setting.params["dropout"], self.adapters
        )

    def config(self, module: MuxModule) -> dict[str, Any]:
        """Return what the encoder is known by."""
        assert isinstance(module, RevMuxClassifier)
        return {"backbone_sha256": module.encoder.fingerprint}

    def rebuild(self, setting: Setting, config: Mapping[str, Any], n_outputs: int) -> MuxModule:
        """Build adapters around the encoder that they were trained on.

        Raises
        ------
        OSError
            The encoder is not where it was.
        muxlearn.persistence.FormatError
            There is another one.
        """
        backbone, expected = setting.params["backbone"], config["backbone_sha256"]
        advice = "name the folder where it is now by load(…, backbone=…)"
        try:
            module = self._around(setting, self._load(setting, Corpus([])), n_outputs)
        except OSError as error:
            raise type(error)(
                f"{error}. The saved model holds adapters only and needs the encoder that they "
                f"were trained on; {advice}"
            ) from error
        if module.encoder.fingerprint != expected:
            raise FormatError(
                f"`backbone` {str(backbone)!r} is not the encoder that the adapters were "
                f"trained on: the SHA-256 of its weights is {module.encoder.fingerprint[:12]}…, "
                f"not {expected[:12]}…; put that one back, or {advice}"
            )
        return module

    # Training

    def learning_rate(self, setting: Setting, module: MuxModule) -> float:
        """Return the rate of adapters."""
        return _LR

    def param_groups(self, setting: Setting, module: MuxModule, lr: float) -> ParamGroups:
        """Let matrices decay."""
        return [("*bias*", {"weight_decay": 0.0}), ("*", {})]

    def objective(self, setting: Setting, module: MuxModule, task: Task) -> Objective:
        """Return the task's loss, with InfoNCE beside it."""
        return ContrastObjective(task, setting.n_mux, self.infonce_weight, self.temperature)
