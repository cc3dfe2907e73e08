"""Parameters, tags and signatures: the contract before any data is seen."""

from __future__ import annotations

from inspect import Parameter, signature
from typing import Any

import numpy as np
from sklearn.base import (
    BaseEstimator,
    ClassifierMixin,
    RegressorMixin,
    TransformerMixin,
    clone,
    is_classifier,
)
from sklearn.utils import Tags, get_tags

from muxlearn.testing._common import rejects, row_kind

_ODD_VALUES: tuple[Any, ...] = (None, -np.inf, "no such option", [], {}, np.array([1.0, 4.0]))


def _init_parameters(cls: type) -> dict[str, Parameter]:
    parameters = signature(cls).parameters
    named = (Parameter.POSITIONAL_OR_KEYWORD, Parameter.KEYWORD_ONLY)
    return {key: value for key, value in parameters.items() if value.kind in named}


def check_init_signature(name: str, estimator_orig: BaseEstimator, X: Any, y: Any) -> None:
    """``__init__`` names each of its parameters: no ``*args``, no ``**kwargs``."""
    every = set(signature(type(estimator_orig)).parameters)
    anonymous = every - set(_init_parameters(type(estimator_orig)))
    assert not anonymous, f"{name}.__init__ has unnamed parameters: {sorted(anonymous)}"


def check_no_attributes_set_in_init(
    name: str, estimator_orig: BaseEstimator, X: Any, y: Any
) -> None:
    """``__init__`` stores each parameter as it is under its own name and sets nothing else."""
    for value in _ODD_VALUES:
        params = dict.fromkeys(_init_parameters(type(estimator_orig)), value)
        stored = vars(type(estimator_orig)(**params))
        added = sorted(set(stored) - set(params))
        assert not added, f"{name}.__init__ also sets {added}"
        changed = [key for key in params if stored.get(key, stored) is not value]
        assert not changed, f"{name}.__init__ does not store {value!r} as given: {changed}"


def check_parameters_default_constructible(
    name: str, estimator_orig: BaseEstimator, X: Any, y: Any
) -> None:
    """Defaults cannot be mutated, and an estimator made without arguments holds them."""
    cls = type(estimator_orig)
    defaults = {
        key: parameter.default
        for key, parameter in _init_parameters(cls).items()
        if parameter.default is not Parameter.empty
    }
    given = {k: v for k, v in estimator_orig.get_params(deep=False).items() if k not in defaults}
    estimator = cls(**given)
    for key, default in defaults.items():
        value = getattr(estimator, key)
        assert value is default, f"the default of {key} is {default!r}, {name} holds {value!r}"
        immutable = isinstance(default, str | int | float | tuple | type(None) | np.generic)
        assert immutable or callable(default), f"the default of {key} can be mutated: {default!r}"


def check_do_not_raise_errors_in_init_or_set_params(
    name: str, estimator_orig: BaseEstimator, X: Any, y: Any
) -> None:
    """``__init__`` and ``set_params`` take any value: parameters are checked in ``fit``."""
    for value in _ODD_VALUES:
        params = dict.fromkeys(_init_parameters(type(estimator_orig)), value)
        type(estimator_orig)(**params).set_params(**params)


def check_get_params_invariance(name: str, estimator_orig: BaseEstimator, X: Any, y: Any) -> None:
    """``get_params`` lists every init parameter, and ``deep=True`` adds to ``deep=False``."""
    shallow = estimator_orig.get_params(deep=False)
    deep = estimator_orig.get_params(deep=True)
    assert set(shallow) == set(_init_parameters(type(estimator_orig)))
    changed = [key for key, value in shallow.items() if deep.get(key, deep) is not value]
    assert not changed, f"{name}.get_params(deep=True) differs in {changed}"


def check_set_params(name: str, estimator_orig: BaseEstimator, X: Any, y: Any) -> None:
    """``set_params`` returns self, stores what it is given and refuses unknown names."""
    estimator = clone(estimator_orig)
    params = estimator.get_params(deep=False)
    assert estimator.set_params() is estimator, f"{name}.set_params() does not return self"
    for key, value in params.items():
        for odd in _ODD_VALUES:
            stored = estimator.set_params(**{key: odd}).get_params(deep=False)
            assert stored[key] is odd, f"{key} was set to {odd!r} and reads {stored[key]!r}"
        estimator.set_params(**{key: value})
    assert all(estimator.get_params(deep=False)[key] is value for key, value in params.items())
    with rejects(f"{name}.set_params(no_such_parameter=1)"):
        estimator.set_params(no_such_parameter=1)


def check_valid_tag_types(name: str, estimator_orig: BaseEstimator, X: Any, y: Any) -> None:
    """Tags say what the estimator takes: strings, not tables, and always a target."""
    tags = get_tags(estimator_orig)
    assert isinstance(tags, Tags), f"{name}.__sklearn_tags__ returns {type(tags)}"
    assert not tags.input_tags.two_d_array, f"{name} is tagged two_d_array"
    if row_kind(estimator_orig, X) == "text":
        assert tags.input_tags.string, f"{name} is not tagged as taking strings"
    assert tags.target_tags.required, f"{name} is not tagged as requiring y"
    assert tags.requires_fit, f"{name} is not tagged as requiring fit"
    if is_classifier(estimator_orig):
        assert tags.classifier_tags is not None, f"{name} has no classifier tags"
        assert tags.classifier_tags.multi_class, f"{name} is not tagged as multi-class"


def check_mixin_order(name: str, estimator_orig: BaseEstimator, X: Any, y: Any) -> None:
    """Mixins stand to the left of `BaseEstimator`, or their tags are lost."""
    mro = type(estimator_orig).mro()
    late = [
        mixin.__name__
        for mixin in (ClassifierMixin, RegressorMixin, TransformerMixin)
        if mixin in mro and mro.index(mixin) > mro.index(BaseEstimator)
    ]
    assert not late, f"{name} inherits from {late} after BaseEstimator"


def check_fit_score_takes_y(name: str, estimator_orig: BaseEstimator, X: Any, y: Any) -> None:
    """``fit`` and ``score`` start with ``X, y``, and nothing after them is required."""
    for method in ("fit", "score"):
        parameters = signature(getattr(estimator_orig, method)).parameters
        assert list(parameters)[:2] == ["X", "y"], f"{name}.{method} takes {list(parameters)}"
        required = [
            key
            for key, parameter in list(parameters.items())[2:]
            if parameter.default is Parameter.empty
            and parameter.kind not in (Parameter.VAR_KEYWORD, Parameter.VAR_POSITIONAL)
        ]
        assert not required, f"{name}.{method} requires {required} beyond X and y"


CHECKS = (
    check_init_signature,
    check_no_attributes_set_in_init,
    check_parameters_default_constructible,
    check_do_not_raise_errors_in_init_or_set_params,
    check_get_params_invariance,
    check_set_params,
    check_valid_tag_types,
    check_mixin_order,
    check_fit_score_takes_y,
)
