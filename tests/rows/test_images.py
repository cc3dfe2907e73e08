import re
import tracemalloc
from collections.abc import Sequence

import numpy as np
import pandas as pd
import polars as pl
import pyarrow as pa
import pytest
import torch
from numpy.testing import assert_array_equal
from PIL import Image
from torch.utils.data import DataLoader, IterableDataset, TensorDataset
from torchvision.transforms import v2

from muxlearn.rows import (
    ImageReader,
    RandomCrops,
    collect_images,
    iterate_images,
    learn_reader,
)

RNG = np.random.default_rng(0)
GREY = RNG.integers(0, 256, (5, 6, 7), dtype=np.uint8)
COLOUR = RNG.integers(0, 256, (5, 6, 7, 3), dtype=np.uint8)
FIRST = np.moveaxis(COLOUR, -1, 1)


class Column(Sequence):
    """Like a column of a `datasets.Dataset`: neither a list nor an array."""

    def __init__(self, items):
        self.items = items

    def __len__(self):
        return len(self.items)

    def __getitem__(self, i):
        return self.items[i]


def learn(X, **options):
    reader, rows = learn_reader(collect_images(X)[0], **options)
    return reader.with_statistics(rows), rows


def read(reader, X, first_row=0):
    return reader.read(collect_images(X, first_row)[0], first_row)


def varied_table(reader, rows, transform):
    """Return a table as a training has it."""
    table = reader.table(rows)
    table.transform = transform
    return table


def refuse(message, function, *args, error=ValueError, **kwargs):
    with pytest.raises(error, match=message):
        function(*args, **kwargs)


# What users bring


@pytest.mark.parametrize(
    ("X", "expected"),
    [
        (GREY, GREY[:, None]),
        (torch.from_numpy(GREY), GREY[:, None]),
        (COLOUR, FIRST),
        (FIRST, FIRST),
        (list(COLOUR), FIRST),
        (list(torch.from_numpy(FIRST)), FIRST),
        ([Image.fromarray(image) for image in COLOUR], FIRST),
        ([Image.fromarray(image) for image in GREY], GREY[:, None]),
        (GREY.tolist(), GREY[:, None]),
        (GREY > 100, (GREY > 100)[:, None]),
    ],
    ids=["grey", "tensor", "last", "first", "list", "tensors", "PIL", "PIL grey", "nested", "bool"],
)
def test_images_of_any_kind_become_the_same(X, expected):
    _, rows = learn(X)
    assert_array_equal(rows, expected)


@pytest.mark.parametrize("dtype", [np.float64, np.float32, np.int64, np.float16, object])
def test_numbers_of_any_type_keep_their_value(dtype):
    _, rows = learn(GREY.astype(dtype))
    assert rows.dtype == np.float32
    assert_array_equal(rows[:, 0], GREY)


def test_bytes_stay_bytes():
    assert learn(COLOUR)[1].dtype == np.uint8


@pytest.mark.parametrize(
    ("mode", "n_channels"), [("1", 1), ("P", 3), ("RGBA", 4), ("CMYK", 3), ("I;16", 1), ("F", 1)]
)
def test_the_modes_of_pil_are_read(mode, n_channels):
    source = Image.fromarray(COLOUR[0])
    if mode in ("I;16", "F"):
        source = source.convert("L")
    assert learn([source.convert(mode)] * 2)[1].shape == (2, n_channels, 6, 7)


@pytest.mark.parametrize("mode", ["I;16", "I;16B", "I;16L"])
def test_pixels_of_two_bytes_are_read_in_either_order(mode):
    wide = (GREY[0].astype(int) * 257).astype("<u2" if mode != "I;16B" else ">u2")
    image = Image.frombytes(mode, (7, 6), wide.tobytes())
    assert_array_equal(learn([image, image])[1][0, 0], wide)


def test_a_mode_of_pil_that_cannot_be_read_is_refused_by_its_row():
    odd = Image.new("La", (7, 6))
    refuse("row 1 of `X` cannot become RGB", learn, [Image.new("L", (7, 6)), odd], error=TypeError)


@pytest.mark.parametrize("X", [iter(GREY), DataLoader(TensorDataset(torch.zeros(2, 3)))])
def test_what_is_read_once_is_told_where_to_go(X):
    refuse("predict a stream of images by predict_iter", learn, X, error=TypeError)


@pytest.mark.parametrize(
    "frame", [pd.DataFrame, pl.DataFrame, lambda rows: pa.table(list(rows.T), list("abcd"))]
)
def test_frames_of_pixels_are_iterated_over_by_their_rows(frame):
    rows = np.arange(12.0).reshape(3, 4)
    assert_array_equal(list(iterate_images(frame(rows))), rows)


def test_a_dataset_brings_its_labels():
    images, labels = collect_images(TensorDataset(torch.from_numpy(FIRST), torch.arange(5)))
    assert_array_equal(images, FIRST)
    assert labels == [0, 1, 2, 3, 4]


def test_a_column_of_images_is_a_list():
    assert_array_equal(collect_images(Column(COLOUR))[0], COLOUR)


def test_a_dataset_without_a_length_is_refused():
    class Endless(IterableDataset):
        def __iter__(self):
            return iter(FIRST)

    refuse("Endless, a dataset without a length", collect_images, Endless(), error=TypeError)


def test_a_dataset_without_labels_has_none():
    assert collect_images(TensorDataset(torch.from_numpy(FIRST)))[1] is None


def test_a_dataset_is_iterated_over_by_its_images():
    dataset = TensorDataset(torch.from_numpy(FIRST), torch.arange(5))
    assert_array_equal(np.stack(list(iterate_images(dataset))), FIRST)


# Shapes


def test_a_square_number_of_pixels_is_a_square():
    assert learn(GREY.reshape(-1, 105)[:2])[0].shape == (1, 1, 105)
    assert learn(np.zeros((2, 64)))[0].shape == (1, 8, 8)
    assert learn(np.zeros((2, 9)))[0].shape == (1, 1, 9)


def test_a_long_row_of_pixels_needs_a_shape():
    refuse("3072 pixels, which are no square: give `image_shape`", learn, np.zeros((2, 3072)))


@pytest.mark.parametrize("image_shape", [(6, 7, 3), (3, 6, 7)])
def test_flat_images_are_unfolded(image_shape):
    X = COLOUR if image_shape == (6, 7, 3) else FIRST
    _, rows = learn(X.reshape(5, -1), image_shape=image_shape)
    assert_array_equal(rows, FIRST)


def test_an_image_shape_that_does_not_fit_is_refused():
    message = r"`image_shape` \(6, 6\) has 36 pixels, but the rows of `X` have 42"
    refuse(message, learn, GREY.reshape(5, -1), image_shape=(6, 6))
    refuse(r"have shape \(6, 7\), but `image_shape` is \(7, 6\)", learn, GREY, image_shape=(7, 6))


@pytest.mark.parametrize("shape", [(3, 5, 3), (5, 6, 7)])
def test_channels_that_cannot_be_told_must_be_said(shape):
    X = np.zeros((2, *shape))
    refuse(r"say channels='first' or channels='last'", learn, X)
    assert learn(X, channels="first")[0].shape == shape
    assert learn(X, channels="last")[0].shape == (shape[2], *shape[:2])


def test_images_of_different_sizes_need_a_size():
    X = [GREY[0], GREY[1][:4]]
    refuse(r"image 0 .* \(6, 7\) and image 1 \(4, 7\); give `image_size`", learn, X)
    assert learn(X, image_size=5)[1].shape == (2, 1, 5, 5)
    assert learn(X, image_size=(5, 4))[1].shape == (2, 1, 5, 4)


def test_resizing_keeps_what_is_there():
    steps = np.zeros((2, 8, 8), np.uint8)
    steps[:, 4:] = 200
    _, rows = learn(steps, image_size=4)
    assert_array_equal(rows[0, 0, :, 0] > 100, [False, False, True, True])


# What is wrong


@pytest.mark.parametrize(
    ("X", "error", "message"),
    [
        ([], ValueError, r"0 sample\(s\)"),
        (np.zeros((0, 4, 4)), ValueError, r"0 sample\(s\)"),
        (np.zeros((3, 0, 4)), ValueError, "there is no pixel"),
        (np.zeros(4), ValueError, r"Reshape your data: X\[None\] is one image"),
        (np.zeros((2, 2, 3, 4, 1)), ValueError, "`X` has four at most"),
        (["a.png"], ValueError, "strings"),
        ([GREY[0], None], TypeError, "row 1 of `X` must be an image .* NoneType"),
        (GREY * 1j, ValueError, "Complex data not supported"),
        ([GREY[0], COLOUR[0]], ValueError, "give all the same axes"),
        ([GREY[0], GREY[0].astype("M8[s]")], TypeError, "do not mix: datetime64.*, uint8"),
        (list(np.ma.masked_array(np.zeros(2, "V2"), [1, 1])), ValueError, "cannot become an array"),
    ],
    ids=[
        *("list", "array", "no pixel", "1-D", "5-D", "strings", "None", "complex", "mixed"),
        *("types", "masked"),
    ],
)
def test_what_is_no_image_is_refused(X, error, message):
    refuse(message, learn, X, error=error)


@pytest.mark.parametrize(("value", "name"), [(np.nan, "NaN"), (np.inf, "inf"), (1e300, "inf")])
def test_a_pixel_that_is_not_finite_is_refused_by_its_image(value, name):
    X = GREY.astype(float)
    reader, _ = learn(X)
    X[3, 2, 1] = value
    refuse(f"image 3 of `X` has a pixel that is {name}", learn, X)
    refuse(f"image 13 of `X` has a pixel that is {name}", read, reader, X, 10)


# Reading with what was learned


@pytest.mark.parametrize("X", [COLOUR, FIRST, list(FIRST)], ids=["last", "first", "list"])
def test_the_other_layout_is_read_as_well(X):
    for known in (COLOUR, FIRST):
        assert_array_equal(read(learn(known)[0], X), FIRST)


@pytest.mark.parametrize("X", [GREY, GREY[..., None], GREY[:, None]])
def test_an_axis_of_one_channel_may_be_left_out(X):
    assert_array_equal(read(learn(GREY)[0], X), GREY[:, None])


@pytest.mark.parametrize(
    ("X", "shape"),
    [
        (GREY, "(6, 7)"),
        (COLOUR[..., :2], "(6, 7, 2)"),
        (COLOUR[:, :5], "(5, 7, 3)"),
        (COLOUR.reshape(5, -1), "(126,)"),
        (COLOUR[:, None], "(1, 6, 7, 3)"),
    ],
)
def test_other_shapes_are_refused_and_both_are_named(X, shape):
    message = re.escape(f"shape {shape}, but this model was fitted on images of shape (6, 7, 3)")
    refuse(message, read, learn(COLOUR)[0], X)


def test_one_image_alone_gets_a_hint():
    refuse(r"needs a first axis: X\[None\]", read, learn(GREY)[0], GREY[0])


def test_a_model_that_resizes_reads_any_size():
    reader, _ = learn(COLOUR, image_size=4)
    assert read(reader, [COLOUR[0], COLOUR[1][:3]]).shape == (2, 3, 4, 4)
    refuse("of any height and width", read, reader, GREY)


def test_pixels_on_another_scale_are_refused():
    bytes_reader, fractions_reader = learn(GREY)[0], learn(GREY / 255)[0]
    refuse("from 0 to 1, .* up to 249; give both on one scale", read, bytes_reader, GREY / 255)
    refuse("from 0 to 255, .* divide them by 255", read, fractions_reader, GREY)
    refuse("from 0 to 1, .* up to 249; give both on one scale", read, bytes_reader, GREY > 99)
    refuse("from 0 to 255, .* divide them by 255", read, fractions_reader, GREY.astype(float))
    refuse("from 0 to 255, .* divide them by 255", read, fractions_reader, GREY.astype(int))
    assert read(bytes_reader, GREY.astype(float)).dtype == np.float32
    assert read(bytes_reader, (GREY > 99).astype(np.uint8)).max() == 1
    assert read(bytes_reader, np.zeros((1, 6, 7))).max() == 0


def test_a_transform_that_changes_the_scale_is_refused():
    reader, rows = learn(GREY)
    table = varied_table(reader, rows, lambda image: image / 255)
    with pytest.raises(ValueError, match=r"`augment` brought pixels of up to .* but the training"):
        table.training_inputs(np.array([[0, 1]]), [0])


@pytest.mark.parametrize("dtype", [np.uint8, np.float32])
def test_a_transform_that_normalises_is_refused(dtype):
    normalise = v2.Normalize([0.485, 0.456, 0.406], [0.229, 0.224, 0.225])
    scale = v2.Compose([lambda image: image / 255, normalise])
    reader, rows = learn(COLOUR.astype(dtype))
    with pytest.raises(ValueError, match="leave out scale=True and Normalize"):
        varied_table(reader, rows, scale).training_inputs(np.array([[0, 1]]), [0])


@pytest.mark.parametrize(
    "transform",
    [
        lambda image: image.double(),
        lambda image: image.long(),
        lambda image: image.bfloat16(),
        lambda image: image * torch.ones((), requires_grad=True),
    ],
)
def test_a_transform_may_return_any_type(transform):
    reader, rows = learn(GREY)
    inputs = varied_table(reader, rows, transform).training_inputs(np.array([[0, 1]]), [0])
    assert inputs["images"].dtype == np.float32
    np.testing.assert_allclose(inputs["images"][0, 1], reader.normalise(rows[1]), atol=0.01)


def test_all_images_of_a_batch_may_turn_black():
    reader, rows = learn(GREY)
    table = varied_table(reader, rows, lambda image: image * 0)
    varied = table.training_inputs(np.array([[0]]), [0])["images"]
    assert_array_equal(varied[0, 0], reader.normalise(rows[:1] * 0)[0])


def test_a_masked_pixel_is_refused():
    masked = np.ma.array(GREY[0], mask=GREY[0] == GREY[0].max())
    refuse("row 1 of `X` has a masked pixel", learn, [GREY[0], masked])
    refuse("row 0 of `X` is missing", learn, np.ma.array(GREY, mask=GREY[0].max() == GREY))


def test_a_transform_may_turn_one_image_black():
    reader, rows = learn(GREY)
    table = varied_table(reader, rows, lambda image: image.float() * (image.sum() != rows[0].sum()))
    varied = table.training_inputs(np.array([[0, 1]]), [0])["images"]
    assert_array_equal(varied[0, 1], reader.normalise(rows[1]))


def test_what_is_no_number_is_refused_before_its_scale():
    odd = np.array([[["a", None]]], object)
    refuse("not numbers", learn(GREY / 255)[0].read, odd, error=TypeError)


def test_a_dark_image_alone_has_an_answer():
    reader, dark = learn(GREY.astype(float))[0], GREY[:1] / 255
    with pytest.warns(UserWarning, match="from 0 to 1, .* give both on one scale"):
        alone = read(reader, dark)
    assert_array_equal(read(reader, np.concatenate([GREY[1:].astype(float), dark]))[-1:], alone)
    resizing = learn(COLOUR.astype(float), image_size=4)[0]
    assert read(resizing, [COLOUR[0].astype(float), COLOUR[1][:3] / 255]).shape == (2, 3, 4, 4)


def test_statistics_of_many_images_need_little_memory():
    images = np.zeros((40_000, 1, 8, 8), np.uint8)
    reader, rows = learn_reader(images)
    tracemalloc.start()
    reader.with_statistics(rows)
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert peak < images.nbytes  # one copy of all in double precision has eight times as many


def test_statistics_are_those_of_the_training_images():
    reader, rows = learn(COLOUR)
    np.testing.assert_allclose(reader.mean, COLOUR.mean((0, 1, 2)))
    np.testing.assert_allclose(reader.std, COLOUR.std((0, 1, 2)))
    normal = reader.normalise(rows)
    np.testing.assert_allclose(normal.mean((0, 2, 3)), 0, atol=1e-6)
    np.testing.assert_allclose(normal.std((0, 2, 3)), 1, atol=1e-6)


def test_images_of_one_colour_are_not_divided_by_zero():
    reader, rows = learn(np.full((3, 4, 4), 7.0))
    assert_array_equal(reader.normalise(rows), np.zeros((3, 1, 4, 4)))


def test_nor_are_those_that_rounding_makes_vary():
    reader, _ = learn(np.full((3, 11, 11), 0.7, np.float32), image_size=8)
    assert reader.std == (1.0,)


def test_a_reader_survives_its_config():
    reader, _ = learn(COLOUR.reshape(5, -1), image_shape=(6, 7, 3), feature_names=["a"])
    assert ImageReader.from_config(reader.to_config(), {}) == reader


# The table


def test_every_second_image_is_mirrored_from_left_to_right():
    images = np.repeat(FIRST, 4, axis=0)  # too small to be shifted
    variants = RandomCrops(flip=True)(images, np.random.default_rng(0))
    kept, mirrored = ((variants == wanted).all((1, 2, 3)) for wanted in (images, images[..., ::-1]))
    assert (kept ^ mirrored).all()
    assert 0 < mirrored.sum() < len(images)


def test_a_table_normalises_what_it_collates():
    reader, rows = learn(COLOUR)
    inputs = reader.table(rows).inputs(np.array([[0, 1], [4, 4]]))
    assert_array_equal(inputs["images"][1, 0], reader.normalise(rows[4]))
    assert inputs["images"].shape == (2, 2, 3, 6, 7)


def test_a_transform_sees_each_image_by_itself_in_training_only():
    reader, rows = learn(COLOUR)
    seen = []
    table = varied_table(reader, rows, lambda image: seen.append(image.shape) or image.flip(-1))
    chosen = np.array([[0, 1]])
    plain = table.inputs(chosen)["images"]
    assert seen == []
    assert_array_equal(table.training_inputs(chosen, [0])["images"], plain[..., ::-1])
    assert seen == [(3, 6, 7)] * 2


@pytest.mark.parametrize("transform", [lambda image: image[:, 1:], lambda image: image.numpy()])
def test_a_transform_that_returns_something_else_is_refused(transform):
    reader, rows = learn(COLOUR)
    table = varied_table(reader, rows, transform)
    refuse(
        r"`augment` turned an image of shape \(3, 6, 7\)",
        table.training_inputs,
        np.zeros((1, 1), int),
        [0],
    )
