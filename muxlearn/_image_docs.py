"""Docstring entries that the estimators of images share; see `muxlearn._docs`."""

from __future__ import annotations

__all__ = ["IMAGE_ENTRIES"]

IMAGE_ENTRIES = {
    "images.image_shape": """
        image_shape : tuple of int, default=$default
            Shape of an image if the rows of `X` are flat, such as (32, 32, 3). None reads a row as
            a square image if its length is a square number of at least 64, and otherwise, up to
            256, as one row of pixels.
        """,
    "images.image_size": """
        image_size : int or (int, int), default=$default
            Height and width that images are resized to. An int stands for both. Needed if images
            differ in size.
        """,
    "images.channels": """
        channels : {"first", "last"}, default=$default
            Which axis of an image holds the channels. None takes the axis of length 1, 3 or 4.
        """,
    "images.augment": """
        augment : {"none", "crop", "crop-flip"} or callable, default=$default
            How each training image is varied. "crop" shifts an image by up to an eighth of its
            size. "crop-flip" also mirrors it with probability 0.5. A transform of
            `torchvision.transforms.v2`, or another callable, takes and returns a tensor of shape
            (channels, height, width) with the pixels as given.
        """,
    "images.image_shape_": """
        image_shape_ : tuple of int
            Channels, height and width of an image as the module takes it.
        """,
    "images.mean_": """
        mean_, std_ : ndarray of shape (channels,)
            Mean and standard deviation of the training images' pixels, which normalise images.
        """,
    "images.n_features_in_": """
        n_features_in_ : int
            Number of pixels; only where `fit` was given flat images.
        """,
    "images.feature_names_in_": """
        feature_names_in_ : ndarray of shape (`n_features_in_`,)
            Names of the columns; only where `fit` was given a frame.
        """,
}
