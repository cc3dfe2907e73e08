"""Stages of a cascade: what users list, and what predicts."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from inspect import signature
from typing import Any, NamedTuple

import joblib
import numpy as np
from numpy.typing import NDArray
from sklearn.base import is_classifier
from sklearn.frozen import FrozenEstimator
from sklearn.pipeline import Pipeline

from muxlearn.points import WORDS, Point, as_point, as_points
from muxlearn.prediction import Predictor, choose_points, label_of

__all__ = [
    "OWN",
    "Stage",
    "check_classes",
    "find_mixing",
    "find_stages",
    "is_frozen",
    "named_classifiers",
    "predictor_of",
    "read_stages",
    "resolve_stages",
    "take_features",
    "takes",
    "unwrap",
    "with_digests",
]

#: What `stages` calls the estimator where it is asked for no operating point.
OWN = "estimator"

#: A model within a classifier has one of these; parts of scikit-learn's have no `predict`.
_METHODS = "predict", "predict_proba", "transform"

_ALLOWED = (
    "each stage must be an operating point of `estimator` such as 10, (2, 5) or 'words', "
    "'estimator' for `estimator` at its default, or a pair of a name and another classifier such "
    "as ('tfidf', pipeline)"
)

#: Why the points of `estimator` make no cascade.
_HAS_NONE = (
    "`stages` is None, which stands for the operating points of `estimator`, but a {} has none; "
    f"list the stages, from the fastest to the slowest: {_ALLOWED}"
)
_HAS_ONE = (
    "a cascade needs two stages or more, but `estimator` has a single operating point; set its "
    "`operating_points`, raise its `n_mux`, or list other classifiers in `stages`"
)


class Stage(NamedTuple):
    """A stage of a cascade.

    Attributes
    ----------
    name : str, int or pair of int
        The name of a classifier, or the operating point.
    classifier : classifier
        What predicts.
    n_mux : int, pair of int, "words" or None
        The operating point that it is asked for, None for its default.
    digest : str or None
        The digest of a fitted classifier that has no fingerprint; see `with_digests`.
    """

    name: Any
    classifier: Any
    n_mux: Any = None
    digest: str | None = None


# What users list


def named_classifiers(stages: Any) -> Iterator[tuple[str, Any]]:
    """Yield the names and classifiers among the entries of the parameter `stages`."""
    for entry in stages if isinstance(stages, list | tuple) else ():
        if isinstance(entry, tuple) and len(entry) == 2 and isinstance(entry[0], str):
            yield entry


def read_stages(stages: Any, estimator: Any, taken: Sequence[str]) -> list[Stage] | None:
    """Check the parameters `stages` and `estimator`.

    Parameters
    ----------
    stages : list or None
    estimator : classifier
    taken : sequence of str
        Names that no stage may have, since parameters have them.

    Returns
    -------
    list of Stage or None
        With classifiers as given; None where `estimator` decides once it is fitted.

    Raises
    ------
    TypeError, ValueError
        An entry is not valid; the message says which.
    """
    _check_classifier("`estimator`", estimator)
    if stages is None:
        _check_has_several_points(estimator)
        return None
    if not isinstance(stages, list | tuple):
        raise TypeError(
            f"`stages` must be a list or None, got {stages!r} ({type(stages).__name__}); {_ALLOWED}"
        )
    read = [_read_entry(entry, f"stages[{i}]", estimator) for i, entry in enumerate(stages)]
    names = [stage.name for stage in read]
    for name, _ in named_classifiers(stages):
        if name in taken or "__" in name or as_point(name) is not None:
            raise ValueError(
                f"a stage of `stages` is called {name!r}, which is the name of a parameter or of "
                "an operating point, or has '__' in it; choose another name"
            )
    _check_different(names)
    if all(stage.classifier is not estimator for stage in read):
        raise ValueError(
            f"no stage of `stages` uses `estimator`; add 'estimator' or one of its operating "
            f"points to {names}"
        )
    return read


def _read_entry(entry: Any, where: str, estimator: Any) -> Stage:
    if isinstance(entry, str) and entry == OWN:
        return Stage(OWN, estimator)
    point = as_point(entry)
    if point is not None:
        _check_has_points(estimator, entry, where)
        return Stage(entry if isinstance(entry, int | str) else tuple(point), estimator, entry)
    if isinstance(entry, tuple) and len(entry) == 2 and isinstance(entry[0], str):
        _check_classifier(f"the stage {entry[0]!r} of `stages`", entry[1])
        return Stage(*entry)
    error = ValueError if isinstance(entry, str | int) else TypeError
    raise error(f"`{where}` is {entry!r}; {_ALLOWED}")


def _check_has_points(estimator: Any, entry: Any, where: str) -> None:
    """Find what is wrong with an operating point before a long `fit`, as far as that is known."""
    if not takes(estimator, "n_mux"):
        raise ValueError(
            f"`{where}` is {entry!r}, an operating point, but `estimator`, a "
            f"{type(unwrap(estimator)).__name__}, has none; {_ALLOWED}"
        )
    capacity = getattr(unwrap(estimator), "n_mux", None)
    point = as_point(entry)
    if isinstance(capacity, int) and point is not None and point.n_mux > capacity:
        raise ValueError(
            f"`{where}` is {entry!r}, an operating point of more rows than n_mux={capacity}, which "
            "`estimator` has; raise its `n_mux` or leave the point out"
        )
    if point is not None and not is_frozen(estimator) and not _will_have(unwrap(estimator), point):
        raise ValueError(
            f"`{where}` is {entry!r}, which `estimator` is not trained at; add it to the "
            "`operating_points` of `estimator`, or leave it out"
        )


def _check_has_several_points(estimator: Any) -> None:
    """Find before a long `fit` that no cascade can come of it, as far as that is known."""
    found = unwrap(estimator)
    if isinstance(found, Pipeline) or not takes(estimator, "n_mux"):
        raise ValueError(_HAS_NONE.format(type(found).__name__))
    if is_frozen(estimator) or getattr(found, "operating_points", ()) is not None:
        return
    is_default = all(
        getattr(found, name) == parameter.default
        for name, parameter in signature(type(found)).parameters.items()
        if name in {"n_mux", "architecture", "backbone", "multiplexer", "demultiplexer"}
    )
    given_alone = getattr(found, "patch_size", "auto") != "auto"
    if found.n_mux == 1 or (found.n_mux == "auto" and (given_alone or is_default)):
        raise ValueError(_HAS_ONE)


def _will_have(estimator: Any, point: Point) -> bool:
    """Return False where it is known that a `fit` gives no such patch size, or not the words."""
    given = getattr(estimator, "operating_points", ())
    if given is not None and (not given or not isinstance(given, tuple | list | dict)):
        return True
    points, own = as_points(given or ()), getattr(estimator, "patch_size", 1)
    if point == WORDS:
        return WORDS in points
    auto = own == "auto" and not points
    return auto or point.patch_size in {1, own, *(trained.patch_size for trained in points)}


def _check_classifier(what: str, classifier: Any) -> None:
    if isinstance(classifier, type):
        raise TypeError(
            f"{what} is the class {classifier.__name__}; give an instance, {classifier.__name__}()"
        )
    if not is_classifier(classifier):
        raise TypeError(
            f"{what} is a {type(classifier).__name__}, which is not a classifier; a stage must be "
            "a classifier with `predict_proba`"
        )
    for method in ("fit", "predict_proba"):
        if not hasattr(classifier, method):
            raise TypeError(
                f"{what} is a {type(classifier).__name__}, which has no {method}; a stage must be "
                "a classifier with `predict_proba`, such as one in a "
                "sklearn.calibration.CalibratedClassifierCV"
            )


def _check_different(names: Sequence[Any]) -> None:
    twice = [name for i, name in enumerate(names) if name in names[:i]]
    if twice:
        raise ValueError(f"`stages` has {twice[0]!r} twice; stages must differ: {list(names)}")
    if len(names) < 2:
        raise ValueError(
            f"a cascade needs two stages or more, but `stages` has {list(names)}; {_ALLOWED}"
        )


# What predicts


def is_frozen(classifier: Any) -> bool:
    """Return whether a classifier is fitted already, and stays so."""
    return isinstance(classifier, FrozenEstimator)


def with_digests(stages: Iterable[Stage]) -> list[Stage]:
    """Return fitted stages with a digest of each classifier that has no fingerprint.

    It is taken once, as joblib has another for a copy that was pickled, and scikit-learn's
    vectorizers change when they predict.

    Parameters
    ----------
    stages : iterable of Stage

    Returns
    -------
    list of Stage
    """
    return [
        stage
        if predictor_of(stage.classifier) is not None
        else stage._replace(digest=joblib.hash(unwrap(stage.classifier)))
        for stage in stages
    ]


def unwrap(classifier: Any) -> Any:
    """Return what predicts within a frozen classifier or a fitted search."""
    while isinstance(classifier, FrozenEstimator):
        classifier = classifier.estimator
    return getattr(classifier, "best_estimator_", classifier)


def predictor_of(classifier: Any) -> Predictor | None:
    """Return the predictor of a fitted multiplexed classifier, None of any other."""
    return getattr(unwrap(classifier), "predictor_", None)


def take_features(cascade: Any, classifier: Any) -> None:
    """Give a cascade what its classifier knows of features, and nothing of an earlier one's."""
    for name in ("n_features_in_", "feature_names_in_"):
        if hasattr(classifier, name):
            setattr(cascade, name, getattr(classifier, name))
        elif hasattr(cascade, name):
            delattr(cascade, name)


def _searched(classifier: Any) -> Any:
    """Return what a search that is not fitted will fit."""
    return unwrap(classifier.estimator) if _is_search(classifier) else classifier


def _is_search(classifier: Any) -> bool:
    return hasattr(classifier, "estimator") and hasattr(classifier, "refit")


def takes(classifier: Any, argument: str) -> bool:
    """Return whether `predict_proba` takes an argument, of a pipeline that of its last step."""
    found = _searched(unwrap(classifier))
    while isinstance(found, Pipeline):
        found = unwrap(found.steps[-1][1])
    return argument in signature(found.predict_proba).parameters


def find_mixing(classifier: Any) -> Any:
    """Return a fitted model within a classifier whose predictions mix rows.

    Parameters
    ----------
    classifier : classifier
        Fitted.

    Returns
    -------
    object
        None if there is none.
    """
    left, seen = [classifier], set()
    while left:
        found = unwrap(left.pop())
        if id(found) in seen:
            continue
        seen.add(id(found))
        # No interface names all that a calibrated classifier, a vote or a pipeline has fitted.
        if isinstance(found, np.ndarray) and found.dtype == object:
            left += found.ravel().tolist()
        elif isinstance(found, list | tuple):
            left += found
        elif isinstance(found, dict):
            left += found.values()
        elif any(hasattr(type(found), method) for method in _METHODS):
            predictor = predictor_of(found)
            if predictor is None:
                left += getattr(found, "__dict__", {}).values()
            elif predictor.resolve_point().n_mux > 1:
                return found
    return None


def find_stages(estimator: Any) -> list[Stage]:
    """Return a fitted estimator at all its operating points, from the fastest to the slowest.

    Raises
    ------
    ValueError
        It has none, or one alone.
    """
    found, predictor = unwrap(estimator), predictor_of(estimator)
    if predictor is None:
        raise ValueError(_HAS_NONE.format(type(found).__name__))
    runner = predictor.runner
    # An exported model has no other points than its `operating_points`.
    trained = getattr(found, "trained_points_", found.operating_points)
    points = choose_points(None, trained, runner)[::-1]
    names = [label_of(point, runner) for point in points]
    if len(names) < 2:
        raise ValueError(_HAS_ONE)
    return [Stage(name, estimator, name) for name in names]


def resolve_stages(stages: Sequence[Stage], fitted: Mapping[str, Any]) -> list[Stage]:
    """Return the stages that users have listed, with fitted classifiers.

    Parameters
    ----------
    stages : sequence of Stage
        From `read_stages`.
    fitted : mapping of str to classifier
        By name; `estimator` is "estimator".

    Returns
    -------
    list of Stage

    Raises
    ------
    TypeError, ValueError
        The estimator has no such operating point, or two are the same to it.
    """
    resolved = []
    for stage in stages:
        stage = stage._replace(classifier=fitted.get(stage.name, fitted[OWN]))
        predictor = predictor_of(stage.classifier)
        if stage.n_mux is not None and predictor is not None:
            try:
                point = predictor.resolve_point(stage.n_mux)
            except (TypeError, ValueError) as error:
                raise type(error)(
                    f"`stages` holds {stage.n_mux!r}, which `estimator` cannot predict at: {error}"
                ) from error
            label = label_of(point, predictor.runner)
            stage = stage._replace(name=label, n_mux=label)
        resolved.append(stage)
    _check_different([stage.name for stage in resolved])
    return resolved


def check_classes(stages: Sequence[Stage], labels: NDArray) -> NDArray:
    """Return the classes that all stages have.

    Parameters
    ----------
    stages : sequence of Stage
        Fitted.
    labels : ndarray
        The labels of the rows that thresholds are learned from; they must be among the classes.

    Returns
    -------
    ndarray of shape (n_classes,)

    Raises
    ------
    ValueError
        Stages have different classes, or lack a label.
    """
    classes = unwrap(stages[-1].classifier).classes_
    for stage in stages:
        others = unwrap(stage.classifier).classes_
        if len(others) != len(classes) or any(a != b for a, b in zip(others, classes, strict=True)):
            raise ValueError(
                f"the stage {stage.name!r} has the classes {_listed(others)} and the stage "
                f"{stages[-1].name!r} has {_listed(classes)}; all stages must be fitted to the "
                "same labels"
            )
    known = set(classes.tolist())
    unknown = [label for label in np.unique(labels).tolist() if label not in known]
    if unknown:
        raise ValueError(
            f"`y` has the label {unknown[0]!r}, which the stages were not fitted to; they know "
            f"{_listed(classes)}"
        )
    return classes


def _listed(classes: NDArray) -> str:
    shown = ", ".join(map(repr, classes[:10].tolist()))
    return f"[{shown}, … {len(classes)} in all]" if len(classes) > 10 else f"[{shown}]"
