import json

import numpy as np
import pytest
import torch
from tokenizers import Tokenizer, models

from muxlearn import MuxTextClassifier
from muxlearn.persistence import decode_labels, decode_params, encode_params


@pytest.mark.parametrize(
    "value",
    [
        (1, 2, 5),
        ((1, 1), (2, 5), "words"),
        [1, "words"],
        {"a": 1.5, "b": 2},
        {"tuple": 1},
        {(1, 2): 0.5, "words": 1.0},
        [{"a": (1, 2)}, ({"b": {"c": None}},)],
        None,
        "scratch",
    ],
)
def test_parameters_come_back_as_they_were(value):
    assert decode_params(json.loads(json.dumps(encode_params({"p": value}))))["p"] == value


def test_numbers_of_numpy_become_plain_ones():
    assert encode_params({"p": (np.int64(3), np.float64(0.5))}) == {"p": {"tuple": [3, 0.5]}}


def test_what_is_no_data_or_has_a_file_of_its_own_is_left_out():
    params = {
        "callbacks": None,
        "random_state": np.random.RandomState(0),
        "tokenizer": Tokenizer(models.BPE()),
        "backbone": {"weight": torch.zeros(2)},
        "teacher": MuxTextClassifier(),
        "lr": 0.1,
    }
    assert encode_params(params) == {"lr": 0.1}


@pytest.mark.parametrize(
    ("dtype", "values"),
    [("int8", [300]), ("int64", [0.5]), ("U1", ["ab"]), ("complex", [1]), ("m8[ns]", [1])],
)
def test_labels_of_another_type_are_refused(dtype, values):
    with pytest.raises(ValueError, match=r"are not of `labels\.dtype`"):
        decode_labels({"dtype": dtype, "values": values})


@pytest.mark.parametrize("values", ["a", [["a", "b"]]])
def test_labels_have_one_axis(values):
    with pytest.raises(ValueError, match=r"are not of `labels\.dtype`"):
        decode_labels({"dtype": "object", "values": values})


def test_a_label_that_is_there_twice_is_refused():
    with pytest.raises(ValueError, match="holds one label twice"):
        decode_labels({"dtype": "int64", "values": [3, 1, 3]})
