import json

import numpy as np
import pytest

from muxlearn.persistence import decode_labels, decode_params, encode_params


@pytest.mark.parametrize(
    "value",
    [
        (1, 2, 5),
        ((1, 1), (2, 5), "words"),
        [1, "words"],
        {"a": 1.5, "b": 2},
        {"tuple": 1},
        None,
        "scratch",
    ],
)
def test_parameters_come_back_as_they_were(value):
    assert decode_params(json.loads(json.dumps(encode_params({"p": value}))))["p"] == value


def test_numbers_of_numpy_become_plain_ones():
    assert encode_params({"p": (np.int64(3), np.float64(0.5))}) == {"p": {"tuple": [3, 0.5]}}


def test_a_label_that_is_there_twice_is_refused():
    with pytest.raises(ValueError, match="holds one label twice"):
        decode_labels({"dtype": "int64", "values": [3, 1, 3]})
