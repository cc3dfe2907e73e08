"""The image classifier."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from itertools import islice
from typing import TYPE_CHECKING, Any, ClassVar

import numpy as np
import torch
from numpy.typing import ArrayLike, NDArray
from sklearn.utils import Tags
from sklearn.utils.validation import _get_feature_names, check_is_fitted
from torch import nn

from muxlearn._classifier import MuxClassifierMixin
from muxlearn._estimator import MuxEstimator
from muxlearn._image_modules import build_module, check_architecture, statistics_points
from muxlearn._params import Boolean, Choice, Constraint, Instance, Integer, Number, OneOf
from muxlearn.mixtures import training_batches
from muxlearn.nn.module import MuxModule
from muxlearn.nn.wideresnet import ACTIVATIONS
from muxlearn.rows import (
    ImageReader,
    ImageTable,
    collect_images,
    learn_reader,
)

if TYPE_CHECKING:
    from muxlearn._net import MixtureData, MuxNet

__all__ = ["MuxImageClassifier"]

# Peak learning rates of "auto"; a network of torchvision is more delicate than ours.
_LR = {"mimoconv": 1e-2, "mlp": 2e-3, "cnn": 4e-3}
_LR_TRUNK, _LR_PRETRAINED = 1e-3, 3e-4

# Batches from which the statistics of an operating point are estimated after training.
_N_STATISTICS_BATCHES = 20


class MuxImageClassifier(MuxClassifierMixin):
    """Classify images, `n_mux` of them in one pass of the network.

    `n_mux` images are folded into one stack of feature maps, the network runs once, and one
    prediction is unfolded for each image, so that it runs `n_mux` times less often (MIMONets
    [1]_, DataMUX [2]_). The price is accuracy and a longer training. A prediction depends on the
    images that share the mixture; `groups`, `n_passes` and a smaller `n_mux` at prediction are
    the ways out.

    Parameters
    ----------
    n_mux : int, default=4
        Number of images in a mixture: the slots of the model, its capacity. 1 is the plain
        network without multiplexer and demultiplexer.

    architecture : {"mimoconv", "mlp", "cnn"}, str or torch.nn.Module, default="mimoconv"
        The network.

        - "mimoconv": a wide residual network whose stem sees every image ([1]_).
        - "mlp", "cnn": the small networks of [2]_, which see one image made of all.
        - The name of a classifier of torchvision, such as "resnet18" or "mobilenet_v3_small".
        - A module that maps images to logits; it is copied. See `bind_after`.

    multiplexer : str, default="auto"
        How the images of a mixture are marked before they are added up. For "mimoconv" and the
        networks of torchvision:

        - "subspace": every slot has feature maps of its own; costs nothing, and "mimoconv" starts
          as one narrow network for each slot. What "auto" means. Our own.
        - "hrr": position-wise holographic reduced representations, a circular convolution of the
          channels with a key ([1]_).
        - "mbat": a matrix for each slot ([1]_).
        - "identity": no mark at all, the ablation.

        For "mlp" and "cnn" one of `muxlearn.nn.image_multiplex.IMAGE_MULTIPLEXERS`; "auto" is
        "orthogonal" for the first and "expanded_nonlinear" for the second.

    learn_keys : bool, default=True
        Whether the multiplexer is trained or stays as drawn.

    depth : int, default=10
        Of "mimoconv", 6 k + 4 for k blocks in each stage: 10, 16, 22, 28, …

    width : int, default=2
        Of "mimoconv", factor of the channels, which are 16, 32 and 64 at `width` 1.

    initial_width : int, default=4
        Likewise, factor of the stem's 16 channels, which the slots share.

    activation : {"relu", "prelu", "shifted_relu"}, default="relu"
        Of "mimoconv".

    skip_init : bool, default=False
        Whether every block of "mimoconv" starts as its skip.

    dirac_init : bool, default=False
        Whether the convolutions of "mimoconv" start as identities.

    weights : str or mapping of str to torch.Tensor, default=None
        Pretrained weights of a torchvision classifier: their name, which torchvision downloads, or
        the tensors themselves. None starts from random ones.

    bind_after, unbind_before : str, default=None
        Names of the modules of `architecture` between which it runs on mixtures. None is allowed
        for torchvision's classifiers.

    operating_points : tuple of int, default=None
        Values of `n_mux` that the model is trained for, each in its share of the steps, so that
        one model serves all of them. None trains at `n_mux` alone. `predict` takes any value up
        to `n_mux` all the same.

    image_shape : tuple of int, default=None
        Shape of an image where the rows of `X` are flat, such as (32, 32, 3). None takes a square
        number of 64 pixels or more as a square image, and any other up to 256 as one row of
        pixels.

    image_size : int or (int, int), default=None
        Height and width that images are resized to; an int stands for both. Needed where images
        differ in size.

    channels : {"first", "last"}, default=None
        Which axis of an image holds the channels. None infers it: the axis of 1, 3 or 4.

    max_epochs : int, default=20
        Epochs of the training. An epoch has ``n_samples / batch_size`` steps whatever `n_mux`
        is, so that each image is seen `n_mux` times an epoch, each time among other images. 0
        builds and initialises the model without any training.

    batch_size : int, default=32
        Mixtures in a batch, in training and prediction.

    lr : float or "auto", default="auto"
        Peak learning rate of AdamW, reached after a tenth of the steps; falls linearly to 0.
        "auto" is 1e-2 for "mimoconv", 2e-3 for "mlp", 4e-3 for "cnn", and for other networks 1e-3,
        or 3e-4 with `weights`.

    weight_decay : float, default=0.01
        Decay of kernels and matrices.

    augment : {"none", "crop", "crop-flip"} or callable, default="none"
        How training images are varied, each by itself: "crop" shifts an image by up to an eighth of
        its size, "crop-flip" mirrors it besides, every other time. A transform of
        `torchvision.transforms.v2`, or another callable, takes and returns a tensor of shape
        (channels, height, width) with the pixels as given.

    mixup : float, default=0.0
        Blend training images, and their labels, with others in shares that follow a beta
        distribution with this for both parameters ([3]_); 0 does not blend, [1]_ has 1.

    isometry_weight : float, default=0.0
        Weight of the regulariser that keeps the convolutions of "mimoconv" near isometries;
        [1]_ has 1e-4.

    binding_weight : float, default=0.1
        Weight of the regulariser that keeps the keys of "hrr" in "mimoconv" near orthonormal.

    class_weight : dict, "balanced" or None, default=None
        Weights of the classes in the loss; "balanced" makes every class count the same.

    early_stopping : bool, default=False
        Whether to set a part of the training images aside, stop when the loss on it does not
        improve any more, and keep the best weights. The operating points are measured on it
        then, see `operating_points_`, which takes the time of a few predictions of that part.

    validation_fraction : float, default=0.1
        The part set aside with `early_stopping`.

    n_iter_no_change : int, default=3
        Epochs without improvement before `early_stopping` ends the training.

    warm_start : bool, default=False
        Whether `fit` goes on from the last one: same weights, classes and pixel statistics.

    dtype : {"auto", "float64", "float32", "bfloat16", "float16"}, default="auto"
        Precision of prediction, and of the products in training. "auto" is bfloat16 on a GPU and
        float32 elsewhere. "float16" needs a GPU and trains in bfloat16. "float64" trains in
        float32; convolutions of a single image and of many round differently, and it makes the
        difference vanish.

    device : str or torch.device, default="auto"
        "auto" takes a GPU where there is one.

    compile : bool, default=False
        Whether prediction runs through `torch.compile`. Needs a C++ compiler, and pays for long
        runs only.

    callbacks : list of skorch callbacks, default=None
        Added to those of the training; copies are used.

    random_state : int, RandomState instance or None, default=None
        Decides initial weights, companions and variants of images.

    verbose : int, default=0
        1 shows progress bars on a terminal, 2 also skorch's table of epochs.

    Attributes
    ----------
    classes_ : ndarray of shape (n_classes,)
        The labels, sorted.

    net_ : skorch.NeuralNet
        The skorch net that was trained.

    module_ : torch.nn.Module
        The fitted module: takes `images` of shape (k * n_mux, channels, height, width), normalised,
        and returns their logits in the same order.

    image_shape_ : tuple of int
        Channels, height and width of an image as the module takes it.

    mean_, std_ : ndarray of shape (channels,)
        Of the training images' pixels; what images are normalised by.

    history_ : skorch.history.History
        Losses of the training, epoch by epoch.

    operating_points_ : dict of int to dict of str to float
        By `n_mux`, from the least on: its "score", which is that of `score`, and its
        "rows_per_second", both measured on the validation rows of `early_stopping` or by
        `measure_operating_points`; not there without either. A speed is that of the machine, and
        of the `device` and `dtype`, with which it was measured.

    n_iter_ : int
        Epochs of training.

    n_features_in_ : int
        Number of pixels; only where `fit` was given flat images.

    feature_names_in_ : ndarray of shape (`n_features_in_`,)
        Names of the columns; only where `fit` was given a frame.

    Notes
    -----
    Two of scikit-learn's estimator checks, invariance to the order of the samples and to the
    size of the batch, do not hold for ``n_mux > 1``: a prediction depends on its companions.

    Pixels count by their value, whatever their type. After the training the batch statistics of
    the network are estimated anew from training images, for the operating points and for half,
    a quarter, … of `n_mux`, so that fewer images in a mixture can be predicted at once.

    References
    ----------
    .. [1] N. Menet, M. Hersche, G. Karunaratne, L. Benini, A. Sebastian, A. Rahimi, "MIMONets:
       Multiple-Input-Multiple-Output Neural Networks Exploiting Computation in Superposition",
       NeurIPS 2023.
    .. [2] V. Murahari, C. E. Jimenez, R. Yang, K. Narasimhan, "DataMUX: Data Multiplexing for
       Neural Networks", NeurIPS 2022.
    .. [3] H. Zhang, M. Cisse, Y. N. Dauphin, D. Lopez-Paz, "mixup: Beyond Empirical Risk
       Minimization", ICLR 2018.

    Examples
    --------
    >>> from sklearn.datasets import load_digits
    >>> from muxlearn import MuxImageClassifier
    >>> X, y = load_digits(return_X_y=True)
    >>> clf = MuxImageClassifier(n_mux=2, width=1, max_epochs=8, random_state=0)
    >>> clf.fit(X[:500], y[:500]).score(X[500:700], y[500:700]) > 0.8
    True
    """

    _structure_names: ClassVar[tuple[str, ...]] = (
        "n_mux",
        "architecture",
        "multiplexer",
        "learn_keys",
        "depth",
        "width",
        "initial_width",
        "activation",
        "skip_init",
        "dirac_init",
        "bind_after",
        "unbind_before",
        "operating_points",
    )
    _constraints: ClassVar[dict[str, Constraint]] = {
        **MuxEstimator._constraints,
        **MuxClassifierMixin._constraints,
        "depth": Integer(1),
        "width": Integer(1),
        "initial_width": Integer(1),
        "activation": Choice(*ACTIVATIONS),
        "skip_init": Boolean(),
        "dirac_init": Boolean(),
        "weights": OneOf(None, Instance((str, Mapping), "a name or a mapping of tensors")),
        "bind_after": OneOf(None, Instance((str,), "the name of a module")),
        "unbind_before": OneOf(None, Instance((str,), "the name of a module")),
        "channels": OneOf(None, Choice("first", "last")),
        "dtype": Choice("auto", "float64", "float32", "bfloat16", "float16"),
        "mixup": Number(0),
        "isometry_weight": Number(0),
        "binding_weight": Number(0),
    }

    def __init__(
        self,
        n_mux: int = 4,
        *,
        architecture: str | nn.Module = "mimoconv",
        multiplexer: str = "auto",
        learn_keys: bool = True,
        depth: int = 10,
        width: int = 2,
        initial_width: int = 4,
        activation: str = "relu",
        skip_init: bool = False,
        dirac_init: bool = False,
        weights: str | Mapping[str, torch.Tensor] | None = None,
        bind_after: str | None = None,
        unbind_before: str | None = None,
        operating_points: tuple[int, ...] | None = None,
        image_shape: tuple[int, ...] | None = None,
        image_size: int | tuple[int, int] | None = None,
        channels: str | None = None,
        max_epochs: int = 20,
        batch_size: int = 32,
        lr: float | str = "auto",
        weight_decay: float = 0.01,
        augment: str | Callable[[torch.Tensor], torch.Tensor] = "none",
        mixup: float = 0.0,
        isometry_weight: float = 0.0,
        binding_weight: float = 0.1,
        class_weight: dict | str | None = None,
        early_stopping: bool = False,
        validation_fraction: float = 0.1,
        n_iter_no_change: int = 3,
        warm_start: bool = False,
        dtype: str = "auto",
        device: Any = "auto",
        compile: bool = False,
        callbacks: list | None = None,
        random_state: Any = None,
        verbose: int = 0,
    ) -> None:
        self.n_mux = n_mux
        self.architecture = architecture
        self.multiplexer = multiplexer
        self.learn_keys = learn_keys
        self.depth = depth
        self.width = width
        self.initial_width = initial_width
        self.activation = activation
        self.skip_init = skip_init
        self.dirac_init = dirac_init
        self.weights = weights
        self.bind_after = bind_after
        self.unbind_before = unbind_before
        self.operating_points = operating_points
        self.image_shape = image_shape
        self.image_size = image_size
        self.channels = channels
        self.max_epochs = max_epochs
        self.batch_size = batch_size
        self.lr = lr
        self.weight_decay = weight_decay
        self.augment = augment
        self.mixup = mixup
        self.isometry_weight = isometry_weight
        self.binding_weight = binding_weight
        self.class_weight = class_weight
        self.early_stopping = early_stopping
        self.validation_fraction = validation_fraction
        self.n_iter_no_change = n_iter_no_change
        self.warm_start = warm_start
        self.dtype = dtype
        self.device = device
        self.compile = compile
        self.callbacks = callbacks
        self.random_state = random_state
        self.verbose = verbose

    def __sklearn_tags__(self) -> Tags:
        tags = super().__sklearn_tags__()
        tags.input_tags.three_d_array = True
        tags.target_tags.required = True
        return tags

    def fit(
        self, X: Any, y: ArrayLike | None = None, sample_weight: ArrayLike | None = None
    ) -> MuxImageClassifier:
        """Fit the model to images and labels.

        Parameters
        ----------
        X : array-like, tensor, list of images or dataset, length n_samples
            Arrays and tensors of shape (n_samples, height, width), (n_samples, height, width,
            channels) or (n_samples, channels, height, width), of any numbers; flat images of shape
            (n_samples, n_pixels); lists of PIL images, arrays or tensors; a
            `torch.utils.data.Dataset` of (image, label) pairs, such as torchvision's.

        y : array-like of shape (n_samples,), default=None
            The labels, of any type. None takes those of the dataset.

        sample_weight : array-like of shape (n_samples,), default=None
            Weights of the images. One of weight 2 counts as two copies of it, and one of weight
            0 as none; weights that are not whole numbers, or above 10 on average, weigh the loss.

        Returns
        -------
        MuxImageClassifier
            The estimator itself. An interrupted `fit` (Ctrl-C) returns as well, with what has
            been learned so far.

        Raises
        ------
        TypeError, ValueError
            A parameter, an image or a label is not what it has to be.
        """
        self._check_parameters()
        images, labels = collect_images(X)
        y = labels if y is None else y
        if y is None:
            raise ValueError(
                "MuxImageClassifier requires y to be passed, but the target y is None: give one "
                "label for each image, or a dataset of (image, label) pairs as `X`"
            )
        if self.warm_start and self.__sklearn_is_fitted__():
            reader, rows = self._reader, self._reader.read(images)
        else:
            reader, rows = learn_reader(
                images,
                image_shape=self.image_shape,
                image_size=self.image_size,
                channels=self.channels,
                feature_names=_get_feature_names(X),
            )
        self._fit_labels(rows, reader, y, sample_weight)
        return self

    @property
    def image_shape_(self) -> tuple[int, int, int]:
        """Channels, height and width of an image as the module takes it."""
        check_is_fitted(self)
        return self._reader.shape

    @property
    def mean_(self) -> NDArray[np.float64]:
        """Mean of the training images' pixels by channel."""
        check_is_fitted(self)
        return np.array(self._reader.mean)

    @property
    def std_(self) -> NDArray[np.float64]:
        """Standard deviation of the training images' pixels by channel, 1 in place of 0."""
        check_is_fitted(self)
        return np.array(self._reader.std)

    # What the shared parts ask for

    def _check_parameters(self) -> None:
        super()._check_parameters()
        check_architecture(self.get_params(deep=False))
        for name, low, high in (("image_shape", 2, 3), ("image_size", 2, 2)):
            value = getattr(self, name)
            if name == "image_size" and Integer(1).accepts(value):
                continue
            if value is not None and not _are_sizes(value, low, high):
                wanted = "one or two" if low == high else "two or three"
                raise ValueError(
                    f"`{name}` must be {wanted} whole numbers of at least 1, or None, got {value!r}"
                )
        presets = Choice("none", "crop", "crop-flip")
        if not callable(self.augment) and not presets.accepts(self.augment):
            error = presets.complain("augment", self.augment)
            raise type(error)(f"{error}; or give a transform of torchvision.transforms.v2")

    def _training_table(self, reader: Any, rows: NDArray[Any]) -> ImageTable:
        return reader.table(rows, self._transform(reader.shape))

    def _transform(self, shape: tuple[int, int, int]) -> Callable[..., torch.Tensor] | None:
        if callable(self.augment):
            return self.augment
        if self.augment == "none":
            return None
        from torchvision.transforms import v2  # type: ignore[import-untyped]

        size = shape[1:]
        # Left and right, top and bottom; a single row of pixels has nothing to mirror.
        padding = [side // 8 for side in reversed(size)]
        crop = v2.RandomCrop(size, padding=padding, padding_mode="reflect")
        if self.augment == "crop":
            return crop
        return v2.Compose([crop, v2.RandomHorizontalFlip()])

    def _build(
        self, rows: NDArray[Any], extra: ImageReader, n_classes: int
    ) -> tuple[ImageReader, MuxModule]:
        reader = extra.with_statistics(rows)
        return reader, build_module(self.get_params(deep=False), reader.shape, n_classes)

    def _rebuild(self, config: dict[str, Any], n_classes: int) -> MuxModule:
        shape = tuple(config["reader"]["shape"])
        return build_module(self.get_params(deep=False), shape, n_classes)

    def _complete(self, module: MuxModule, data: MixtureData) -> None:
        recalibrate = getattr(module, "recalibrate", None)
        if recalibrate is None:  # no batch statistics
            return
        device, lengths = next(module.parameters()).device, data.table.lengths
        for point in statistics_points(self.get_params(deep=False)):
            plan = training_batches(lengths, point, self.batch_size, np.random.default_rng(0))
            batches = (
                torch.from_numpy(data.table.inputs(rows)["images"]).flatten(0, 1).to(device)
                for rows in islice(plan, _N_STATISTICS_BATCHES)
            )
            recalibrate(batches, point)

    def _net_class(self) -> type[MuxNet]:
        from muxlearn._image_net import MuxImageNet

        return MuxImageNet

    def _net_options(self, module: MuxModule) -> dict[str, Any]:
        return {
            "mixup": self.mixup,
            "isometry_weight": self.isometry_weight,
            "binding_weight": self.binding_weight,
        }

    def _lr(self, module: MuxModule) -> float:
        if self.lr != "auto":
            return float(self.lr)
        if isinstance(self.architecture, str) and self.architecture in _LR:
            return _LR[self.architecture]
        return _LR_TRUNK if self.weights is None else _LR_PRETRAINED

    def _param_groups(self, module: MuxModule) -> list[tuple[str, dict[str, float]]]:
        return [
            (name, {"weight_decay": 0.0})
            for name, parameter in module.named_parameters()
            if parameter.ndim < 2 or name.endswith("keys")
        ]

    def _set_fitted(self, *, reader: Any, **state: Any) -> None:
        super()._set_fitted(reader=reader, **state)
        for name in ("n_features_in_", "feature_names_in_"):
            if name in vars(self):
                delattr(self, name)
        if reader.flat:
            self.n_features_in_ = int(np.prod(reader.given_shape))
        if reader.feature_names is not None:
            self.feature_names_in_ = np.array(reader.feature_names, object)


def _are_sizes(value: object, low: int, high: int) -> bool:
    return (
        isinstance(value, Sequence)
        and low <= len(value) <= high
        and all(Integer(1).accepts(side) for side in value)
    )
