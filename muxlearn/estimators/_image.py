"""The image classifier."""

from __future__ import annotations

import os
from collections.abc import Callable, Mapping, Sequence
from functools import partial
from typing import Any, ClassVar

import torch
from numpy.typing import ArrayLike
from sklearn.base import ClassifierMixin, ClassNamePrefixFeaturesOutMixin, TransformerMixin
from sklearn.utils import Tags
from torch import nn

from muxlearn._docs import fill_docs
from muxlearn._params import Constraint
from muxlearn.architectures import ImageArchitecture
from muxlearn.estimators import (
    _classifying,
    _image_reference,
    _images,
    _points,
    _predicting,
    _transforming,
)
from muxlearn.estimators._base import MuxEstimator
from muxlearn.estimators._fitting import fit
from muxlearn.estimators._images import IMAGE_CONSTRAINTS, ImageKind
from muxlearn.tasks import learn_labels

__all__ = ["MuxImageClassifier"]


@fill_docs(row="image", rows="images")
class MuxImageClassifier(
    ClassNamePrefixFeaturesOutMixin, TransformerMixin, ClassifierMixin, MuxEstimator
):
    """Classify images, `n_mux` of them in one pass of the network.

    The classifier folds `n_mux` images into one stack of feature maps, runs the network once and
    unfolds one prediction for each image (MIMONets [1]_, DataMUX [2]_). The network thus runs
    `n_mux` times less often. This costs accuracy and a longer training.

    A prediction depends on the images that share its mixture. To limit this, predict with a
    smaller `n_mux`, with more `n_passes` or with `groups`.

    Parameters
    ----------
    n_mux : int, default=4
        Number of images in a mixture, which is the model's number of slots, its capacity.
        1 is the plain network without multiplexer and demultiplexer.
    architecture : {"mimoconv", "mlp", "cnn"}, str, torch.nn.Module or ImageArchitecture, \
            default="mimoconv"
        The network: an object of `muxlearn.architectures`, or a value that stands for one.

        - "mimoconv", `MIMOConv`: a wide residual network whose stem sees every image ([1]_).
        - "mlp", `MLP`, and "cnn", `CNN`: the small networks of [2]_, which see one image made of
          all images of the mixture.
        - The name of a classifier of torchvision, such as "resnet18" or "mobilenet_v3_small", or
          a module that maps images to logits: stands for `Trunk`. A module is copied.

        Parameters of an object are searched as ``architecture__width``.
    multiplexer : str, default="auto"
        How the images of a mixture are marked before they are added up. For "mimoconv" and the
        networks of torchvision:

        - "subspace": every slot has its own feature maps. It costs nothing, and "mimoconv" starts
          as one narrow network for each slot. This is the choice of "auto"; no paper has it.
        - "hrr": position-wise holographic reduced representations, a circular convolution of the
          channels with a key ([1]_).
        - "mbat": a matrix for each slot ([1]_).
        - "identity": no mark at all, for ablations.

        For "mlp" and "cnn": one of `muxlearn.nn.image_multiplex.IMAGE_MULTIPLEXERS`. "auto" is
        "orthogonal" for "mlp" and "expanded_nonlinear" for "cnn".
    {operating_points}
    {images.image_shape}
    {images.image_size}
    {images.channels}
    {max_epochs}
        With 0, `fit` only builds and initialises the model.
    {batch_size}
    {lr}
        {images.lr}
    {optimizer}
    {images.augment}
    {images.n_workers}
    mixup : float, default=0.0
        Both parameters of the beta distribution from which the shares are drawn in which training
        images and their labels are blended with others ([3]_). 0 does not blend. [1]_ uses 1.
    {class_weight}
    {early_stopping}
    {validation_fraction}
    {warm_start}
    {dtype}
    {device}
    {compile}
    {callbacks}
    {random_state}
    {verbose}

    Attributes
    ----------
    {classes_}
    {net_}
    module_ : torch.nn.Module
        The fitted module: takes `images` of shape (k * n_mux, channels, height, width), normalised,
        and returns their logits in the same order.
    {images.image_shape_}
    {images.mean_}
    {operating_point_}
        Images have no patches: `patch_size` is 1.
    {trained_points_}
    {history_}
    {measured_points_}
    {n_iter_}
    {images.n_features_in_}
    {images.feature_names_in_}

    Notes
    -----
    {notes.several_labels}

    {notes.invariance}

    {notes.images}

    References
    ----------
    .. [1] Menet et al., MIMONets, NeurIPS 2023.
    .. [2] Murahari et al., DataMUX, NeurIPS 2022.
    .. [3] Zhang et al., mixup, ICLR 2018.

    Examples
    --------
    >>> from sklearn.datasets import load_digits
    >>> from muxlearn import MuxImageClassifier
    >>> X, y = load_digits(return_X_y=True)
    >>> from muxlearn.architectures import MIMOConv
    >>> narrow = MIMOConv(width=1)
    >>> clf = MuxImageClassifier(n_mux=2, architecture=narrow, max_epochs=8, random_state=0)
    >>> clf.fit(X[:500], y[:500]).score(X[500:700], y[500:700]) > 0.8
    True
    """

    _kind = ImageKind()
    _constraints: ClassVar[dict[str, Constraint]] = {
        **IMAGE_CONSTRAINTS,
        **_classifying.CONSTRAINTS,
    }

    def __init__(
        self,
        n_mux: int = 4,
        *,
        architecture: str | nn.Module | ImageArchitecture = "mimoconv",
        multiplexer: str = "auto",
        operating_points: Sequence[int] | Mapping[int, float] | None = None,
        image_shape: tuple[int, ...] | None = None,
        image_size: int | tuple[int, int] | None = None,
        channels: str | None = None,
        max_epochs: int = 20,
        batch_size: int = 32,
        lr: float | str = "auto",
        optimizer: Any = None,
        augment: str | Callable[[torch.Tensor], torch.Tensor] = "none",
        n_workers: int = 0,
        mixup: float = 0.0,
        class_weight: dict | str | None = None,
        early_stopping: bool | int = False,
        validation_fraction: float = 0.1,
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
        self.operating_points = operating_points
        self.image_shape = image_shape
        self.image_size = image_size
        self.channels = channels
        self.max_epochs = max_epochs
        self.batch_size = batch_size
        self.lr = lr
        self.optimizer = optimizer
        self.augment = augment
        self.n_workers = n_workers
        self.mixup = mixup
        self.class_weight = class_weight
        self.early_stopping = early_stopping
        self.validation_fraction = validation_fraction
        self.warm_start = warm_start
        self.dtype = dtype
        self.device = device
        self.compile = compile
        self.callbacks = callbacks
        self.random_state = random_state
        self.verbose = verbose

    def __sklearn_tags__(self) -> Tags:
        tags = super().__sklearn_tags__()
        tags.classifier_tags.multi_label = True
        tags.transformer_tags.preserves_dtype = []  # vectors are float32, whatever rows are
        return tags

    def fit(
        self,
        X: Any,
        y: ArrayLike | None = None,
        sample_weight: ArrayLike | None = None,
        *,
        checkpoint: str | os.PathLike | None = None,
    ) -> MuxImageClassifier:
        """Fit the model to images and labels.

        Parameters
        ----------
        X : array-like, tensor, list of images or dataset, length n_samples
            Arrays and tensors of shape (n_samples, height, width), (n_samples, height, width,
            channels) or (n_samples, channels, height, width), of any numbers; flat images of shape
            (n_samples, n_pixels); lists of PIL images, arrays or tensors; a
            `torch.utils.data.Dataset` of (image, label) pairs, such as torchvision's.

        {fit.labels}

            None, the default, takes those of the dataset.

        {fit.sample_weight}

        {fit.checkpoint}

        Returns
        -------
        {fit.returns}

        Raises
        ------
        TypeError, ValueError
            A parameter, an image or a label is not valid, or the checkpoint is of another
            training.
        """
        self._check_parameters()
        rows, reader, y = _images.read_images(self, X, y, "label")
        task, training_set = learn_labels(rows, y, sample_weight, self.class_weight)
        fit(
            self,
            training_set,
            task,
            partial(self._kind.build, self, reader=reader),
            checkpoint=checkpoint,
            transform=_images.variants(self),
        )
        return self

    from_reference: Any = classmethod(_image_reference.from_reference)
    predict = _classifying.predict
    predict_proba = _classifying.predict_proba
    predict_log_proba = _classifying.predict_log_proba
    decision_function = _classifying.decision_function
    score = _images.score
    predict_iter = _predicting.predict_iter
    predict_dataset = _predicting.predict_dataset
    measure_operating_points = _points.measure_operating_points
    fastest_point = _points.fastest_point
    measured_points_ = property(_points.measured_points)
    transform = _classifying.transform
    fit_transform = _transforming.fit_transform

    _n_features_out = property(_classifying.n_features_out)
    image_shape_ = property(_images.image_shape)
    mean_ = property(_images.mean)
    std_ = property(_images.std)
    n_features_in_ = property(_images.n_features_in)
    feature_names_in_ = property(_images.feature_names_in)
