import re
from pathlib import Path

import numpy as np
import pytest
from skorch.callbacks import Callback

from muxlearn._params import (
    Boolean,
    Callbacks,
    Choice,
    Instance,
    Integer,
    IntegerTuple,
    Number,
    OneOf,
    PathName,
    RandomState,
    check_parameters,
)

CHOICE = Choice("subspace", "hadamard", None)
WEIGHT = OneOf(None, Choice("balanced"), Instance((dict,), "a dict from label to weight"))


@pytest.mark.parametrize(
    ("constraint", "values"),
    [
        (Integer(1), [1, 7, np.int64(3), 10**400]),
        (Integer(0, 3), [0, 3]),
        (Number(0), [0, 0.5, 7, np.float32(0.1)]),
        (Number(0, 1, open_low=True, open_high=True), [0.001, 0.999]),
        (IntegerTuple(1), [(1,), (1, 2, 5), [2, 1], (np.int64(3), 1)]),
        (Boolean(), [True, False, np.True_]),
        (PathName(), ["folder", Path("folder")]),
        (Instance((dict, list), "a dict or a list"), [{}, []]),
        (RandomState(), [None, 0, 2**32 - 1, np.random.RandomState(0), np.random]),
        (Callbacks(), [[], [Callback()], (Callback(),), [("name", Callback())], [Callback]]),
        (CHOICE, ["subspace", None]),
        (WEIGHT, [None, "balanced", {"a": 1}]),
    ],
)
def test_what_is_allowed_is_accepted(constraint, values):
    for value in values:
        assert constraint.accepts(value)
        constraint.check("width", value)


@pytest.mark.parametrize(
    ("constraint", "value", "error", "message"),
    [
        (Integer(1), 0, ValueError, "a whole number of at least 1, got 0 (int)"),
        (Integer(0, 3), 4, ValueError, "of at least 0 and of at most 3, got 4 (int)"),
        (Integer(1), 2.0, TypeError, "a whole number of at least 1, got 2.0 (float)"),
        (Integer(1), True, TypeError, "got True (bool)"),
        (Integer(1), "2", TypeError, "got '2' (str)"),
        (Integer(1), None, TypeError, "got None (NoneType)"),
        (Number(0), -1, ValueError, "a number of at least 0, got -1 (int)"),
        (Number(0), float("nan"), ValueError, "got nan (float)"),
        (Number(0), float("inf"), ValueError, "got inf (float)"),
        (Number(0), False, TypeError, "got False (bool)"),
        (Number(), float("nan"), ValueError, "a number, got nan (float)"),
        (Number(0, open_low=True), 0, ValueError, "a number above 0, got 0 (int)"),
        (Number(0, 1, open_high=True), 1.0, ValueError, "of at least 0 and below 1, got 1.0"),
        (IntegerTuple(1), 2, TypeError, "such as (1, 2, 5), got 2 (int)"),
        (IntegerTuple(1), (), ValueError, "got () (tuple)"),
        (IntegerTuple(1), (0, 1), ValueError, "at least 1, such as (1, 2, 5), got (0, 1)"),
        (IntegerTuple(1), (1, 1), ValueError, "different whole numbers"),
        (IntegerTuple(1), (True, 2), ValueError, "got (True, 2)"),
        (Boolean(), 1, TypeError, "True or False, got 1 (int)"),
        (PathName(), "", ValueError, "a folder or the name of a model on the hub, got ''"),
        (PathName(), b"folder", TypeError, "got b'folder' (bytes)"),
        (Instance((dict,), "a dict"), [], TypeError, "a dict, got [] (list)"),
        (RandomState(), -1, ValueError, "None, a whole number of at least 0"),
        (RandomState(), "7", TypeError, "or a numpy.random.RandomState, got '7' (str)"),
        (RandomState(), np.random.default_rng(0), TypeError, "(Generator)"),
        (Callbacks(), Callback(), TypeError, "a list of skorch callbacks, or of pairs"),
        (Callbacks(), [Callback(), 3], TypeError, "3] (list)"),
        (Callbacks(), [("name",)], TypeError, "got [('name',)] (list)"),
        (CHOICE, 3, TypeError, "one of 'subspace', 'hadamard', None, got 3 (int)"),
        (CHOICE, ["subspace"], TypeError, "got ['subspace'] (list)"),
        (Choice("tmux"), "cnn", ValueError, "must be 'tmux', got 'cnn'"),
        (WEIGHT, 3, TypeError, "None or 'balanced' or a dict from label to weight, got 3 (int)"),
        (OneOf(None, Integer(1)), 0, ValueError, "None or a whole number of at least 1, got 0"),
    ],
)
def test_what_is_not_allowed_is_refused_with_what_is(constraint, value, error, message):
    assert not constraint.accepts(value)
    with pytest.raises((TypeError, ValueError)) as raised:
        constraint.check("width", value)
    assert raised.type is error
    assert str(raised.value).startswith("`width` must be ")
    assert message in str(raised.value)


@pytest.mark.parametrize(
    ("constraint", "given", "meant"),
    [
        (CHOICE, "subspce", "subspace"),
        (CHOICE, "Hadamard", "hadamard"),
        (WEIGHT, "balance", "balanced"),
    ],
)
def test_the_nearest_name_is_suggested(constraint, given, meant):
    message = str(constraint.complain("name", given))
    assert message.endswith(f"(did you mean {meant!r}?)")


@pytest.mark.parametrize("constraint", [CHOICE, WEIGHT])
def test_nothing_is_suggested_for_a_name_like_no_other(constraint):
    assert "did you mean" not in str(constraint.complain("name", "xyz"))


def test_a_long_value_is_shortened_in_the_message():
    message = str(Integer(1).complain("n", list(range(10_000))))
    assert len(message) < 200
    assert message.endswith("... (list)")


def test_check_parameters_names_the_parameter_at_fault():
    constraints = {"first": Integer(1), "second": Boolean()}
    check_parameters({"first": 1, "second": True, "unconstrained": object()}, constraints)
    with pytest.raises(TypeError, match=re.escape("`second` must be True or False, got 0")):
        check_parameters({"first": 1, "second": 0}, constraints)
