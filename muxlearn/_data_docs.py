"""Docstring entries about targets, images and files of rows; see `muxlearn._docs`."""

from __future__ import annotations

__all__ = ["DATA_ENTRIES"]

DATA_ENTRIES = {
    # Targets
    "fit.labels": """
        y : array-like of shape (n_samples,) or (n_samples, n_labels), or list of sets
            The labels, in one of three forms.

            - One label for each $row, of any type.
            - Several labels: a matrix of 0 and 1, dense or sparse, with a column for each label; or
              for each $row a set of labels, or a list or tuple of strings, which may be empty.
            - Soft labels, such as the probabilities that another classifier predicts: a matrix of
              floats, each row of which adds up to 1, with a column for each class.

            The columns of a frame name labels or classes. Those of other matrices are 0, 1, ….
        """,
    "notes.several_labels": """
        Several labels for each $row come back in the form of `y`. `score` is then the share of
        $rows whose labels are all right, and `predict_proba` returns one array of shape
        (n_samples, n_labels), as scikit-learn's `MLPClassifier` does.
        """,
    "notes.standardised": """
        Targets are standardised for the training: `fit` subtracts the mean of each and divides by
        its standard deviation, and `predict` undoes both. A training that `warm_start` continues
        keeps them.
        """,
    # Images
    "images.lr": """
        "auto" depends on the architecture: 1e-2 for "mimoconv", 2e-3 for "mlp", 4e-3 for "cnn",
        3e-4 for other networks with pre-trained weights and 1e-3 for those without.
        """,
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
    "images.n_workers": """
        n_workers : int, default=$default
            Worker processes that form the batches of the training: they vary, collate and normalise
            images ahead of it. 0 forms them in the process that trains. The model is the same.
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
    "notes.images": """
        Pixels count by their value, whatever their type. After the training, `fit` estimates the
        batch statistics of the network again from training images, for the operating points and for
        half, a quarter, … of `n_mux`. Mixtures of fewer images can then be predicted without more
        training.
        """,
    # Files of rows
    "labelled.path": """
        path : str or path
            A file in UTF-8, gzipped or not, without a header. Blank lines are skipped.
        """,
    "labelled.target": """
        target : {"label", "number"}, default="label"
            Whether targets are labels, kept as text, or numbers.
        """,
    "labelled.return_X_y": """
        return_X_y : bool, default=False
            Whether to return ``(data, target)`` instead of a Bunch.
        """,
    "labelled.targets": """
        target : ndarray of str or float64, shape (n_samples,)
            The labels, or the numbers.
        target_names : list of str
            The different labels, sorted; empty for numbers. Not in the tuple.
        """,
    "labelled.raises": """
        FileNotFoundError
            There is no such file.
        TypeError, ValueError
            A parameter is not allowed, the file has no rows, or a line is not of that form; the
            message gives its number.
        """,
}
