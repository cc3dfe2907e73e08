"""A cascade of classifiers: rows that a fast one is unsure of go on to a slower one."""

from __future__ import annotations

from collections.abc import Sequence
from copy import deepcopy
from typing import Any, ClassVar

import numpy as np
import sklearn
from numpy.typing import ArrayLike, NDArray
from sklearn.base import BaseEstimator, ClassifierMixin, MetaEstimatorMixin
from sklearn.utils import Tags, _safe_indexing, get_tags, indexable
from sklearn.utils.metadata_routing import MetadataRouter, MethodMapping, process_routing
from sklearn.utils.validation import _num_samples, check_is_fitted, check_random_state

from muxlearn._docs import fill_docs
from muxlearn._params import Constraint, Number, OneOf, RandomState, check_parameters
from muxlearn.model_selection._fitting import fit_to_rows, params_of_fit, set_aside
from muxlearn.model_selection._learning import check_rates, learn
from muxlearn.model_selection._running import Cascade
from muxlearn.model_selection._stages import (
    OWN,
    Stage,
    find_stages,
    is_frozen,
    named_classifiers,
    read_stages,
    resolve_stages,
    take_features,
    unwrap,
    with_digests,
)
from muxlearn.model_selection._streams import predict_dataset, predict_iter
from muxlearn.model_selection._thresholds import Aim
from muxlearn.rows import (
    check_groups,
    check_labels,
    check_pair_columns,
    check_rows,
    check_several,
    check_weights,
    has_other_columns,
    pair_columns,
)
from muxlearn.tasks import ClassesTask

__all__ = ["CascadeClassifier"]

_PREDICTIONS = ("predict", "predict_proba", "score")


@fill_docs()
class CascadeClassifier(MetaEstimatorMixin, ClassifierMixin, BaseEstimator):
    """Classify by a fast stage, and by slower ones where it is unsure.

    Each stage answers the rows whose highest probability reaches its threshold; the others go on
    to the next stage, and the last one answers all that reach it. Stages are operating points of
    one multiplexed model, other classifiers with `predict_proba`, or both. A stage mixes only the
    rows that reach it.

    `fit` sets rows aside, on which it learns the thresholds: those of the highest speed at which
    the score is at most `max_drop` below that of the last stage, or those of the best score at a
    wanted speed.

    Parameters
    ----------
    estimator : classifier
        The classifier that has the operating points, such as a `MuxTextClassifier`, or any with
        `predict_proba`. A fitted one in a `sklearn.frozen.FrozenEstimator` stays as it is.

    stages : list, default=None
        The stages, from the fastest to the slowest. Each is

        - an operating point of `estimator`, as its `predict_proba` takes it for `n_mux`,
        - ``"estimator"``, which is `estimator` at its default, or
        - a pair of a name and another classifier, which is fitted to the same rows and searched
          as ``name__parameter``.

        ``[("tfidf", pipeline), 10, 1]`` asks a pipeline first, then mixtures of ten rows, then one
        row at a time. None stands for all operating points that `estimator` was trained at.

    max_drop : float or None, default=0.005
        How far the score (accuracy) may be below that of the last stage: 0.01 is one point. None
        allows any drop, and needs `min_rows_per_second`.

    min_rows_per_second : float, default=None
        The speed that is wanted. None stands for the highest one within `max_drop`.

    rows_per_second : sequence of float, default=None
        The speed of each stage, in their order. None measures it in `fit`; measurements differ a
        little from run to run, and thresholds with them. Give speeds where thresholds must be
        reproducible, or are learned for another machine.

    validation_fraction : float, default=0.2
        The fraction of the rows to set aside, each class in its share. Where all classifiers are
        frozen, the thresholds are learned from all rows, which must then be new to them.

    random_state : int, RandomState instance or None, default=None
        Seeds the choice of the rows to set aside.

    Attributes
    ----------
    {classes_}

    estimator_ : classifier
        The fitted `estimator`.

    stages_ : list of Stage
        Named tuples of `name` (the name or operating point), `classifier` (fitted) and `n_mux`
        (the operating point, None for the classifier's default).

    thresholds_ : ndarray of shape (n_stages - 1,)
        A row stops at a stage if its highest probability is at least this. A stage whose threshold
        is infinite is left out: it would cost more than it saves.

    temperatures_ : ndarray of shape (n_stages,)
        The logarithms of a stage's probabilities are divided by this. 1 leaves them as they are.

    stage_report_ : dict of dict of str to float
        By the name of the stage: "score" of the stage on all rows set aside, "rows_per_second",
        and the shares of the rows that "reached" it and "stopped" at it.

    cascade_report_ : dict of str to float
        "score" and "rows_per_second" of the cascade, "last_score" and "last_rows_per_second" of
        its last stage, "drop", the difference of the scores, its "drop_standard_error", and
        "n_rows", the number of rows set aside, on which "score" and "drop" are cross-validated.

    n_features_in_ : int
        Number of features, if `estimator` has it.

    feature_names_in_ : ndarray of shape (`n_features_in_`,)
        Names of the features, if `estimator` has them.

    See Also
    --------
    fastest_within : The fastest of several candidates, for all rows.

    Notes
    -----
    The probabilities of each stage are calibrated by one temperature [1]_ where that lowers the log
    loss on the rows set aside. It changes no label, and makes probabilities of different stages
    comparable.

    A stage that another beats in score and speed is left out. The thresholds of the others are
    searched together: every combination of quantiles of the confidences, at least ten rows apart,
    is compared, and any stage may be left out. So as not to fit the rows at hand,
    the search also runs on four fifths of them and is tried on the last fifth, each fifth once.
    While the drop found there plus half its standard error is above `max_drop`, the search repeats
    with a more cautious estimate of the drop, and with fewer stages. If that does not help, or the
    cascade would be faster by less than a twentieth, the last stage answers all rows. The drop on
    new rows is thus about `max_drop` or less on average, not in every case: of 200 rows set aside,
    one is half a point of the score. "score" of the report is of rows that thresholds were not
    learned from, but the choice among cautions makes it a little optimistic where rows are few.

    With metadata routing, `sample_weight` is given to the `fit` of the classifiers that request
    it and weights the score of the thresholds, and `groups` is given to `predict_proba` of those
    that request it. Without, all that take them get them.

    A cascade is saved by pickling, as other meta-estimators are, with all that this implies: load
    only files that you trust. Its estimators can be saved by their own methods.

    References
    ----------
    .. [1] C. Guo, G. Pleiss, Y. Sun, K. Q. Weinberger, "On Calibration of Modern Neural Networks",
       ICML 2017.

    Examples
    --------
    >>> from sklearn.datasets import make_classification
    >>> from sklearn.ensemble import RandomForestClassifier
    >>> from sklearn.linear_model import LogisticRegression
    >>> from muxlearn.model_selection import CascadeClassifier
    >>> X, y = make_classification(2000, flip_y=0, random_state=0)
    >>> cascade = CascadeClassifier(
    ...     RandomForestClassifier(random_state=0),
    ...     stages=[("linear", LogisticRegression()), "estimator"],
    ...     random_state=0,
    ... ).fit(X, y)
    >>> cascade.predict(X[:5]).shape
    (5,)
    >>> list(cascade.stage_report_)
    ['linear', 'estimator']
    """

    _constraints: ClassVar[dict[str, Constraint]] = {
        "max_drop": OneOf(None, Number(0, 1, open_high=True)),
        "min_rows_per_second": OneOf(None, Number(0, open_low=True)),
        "validation_fraction": Number(0, 1, open_low=True, open_high=True),
        "random_state": RandomState(),
    }

    def __init__(
        self,
        estimator: Any,
        *,
        stages: list | None = None,
        max_drop: float | None = 0.005,
        min_rows_per_second: float | None = None,
        rows_per_second: Sequence[float] | None = None,
        validation_fraction: float = 0.2,
        random_state: Any = None,
    ) -> None:
        self.estimator = estimator
        self.stages = stages
        self.max_drop = max_drop
        self.min_rows_per_second = min_rows_per_second
        self.rows_per_second = rows_per_second
        self.validation_fraction = validation_fraction
        self.random_state = random_state

    def fit(
        self, X: Any, y: ArrayLike, sample_weight: ArrayLike | None = None, **fit_params: Any
    ) -> CascadeClassifier:
        """Fit the classifiers to a part of the rows, and learn the thresholds from the others.

        Parameters
        ----------
        X : sequence of length n_samples
            Rows as the stages take them.

        y : array-like of shape (n_samples,)
            The labels.

        sample_weight : array-like of shape (n_samples,), default=None
            Weights of the rows, given to each `fit` that takes them and used in the score that
            thresholds are learned for. A row of weight 0 is not set aside.

        **fit_params
            Given to the `fit` of `estimator`, or with metadata routing of those that request it.

        Returns
        -------
        estimator
            The estimator itself.

        Raises
        ------
        TypeError, ValueError
            A parameter, a stage, a row or a label is not valid, or the wanted speed is out of
            reach within `max_drop`.
        """
        stages = self._check_parameters()
        columns = pair_columns(X) if self._reads_texts() else None
        X = self._check_rows(X)
        n_rows = _num_samples(X)
        if y is None:
            raise ValueError(
                "CascadeClassifier requires y to be passed, but the target y is None: give one "
                "label for each row of `X`"
            )
        if check_several(y, n_rows) is not None:
            raise ValueError(
                "`y` holds several labels, or shares of classes, for each row, but a cascade goes "
                "by the probability of one; give one label for each row, or fit the classifier "
                "without a cascade"
            )
        labels, codes = check_labels(y, n_rows)
        weights = check_weights(sample_weight, n_rows)
        if not weights.sum() > 0:
            raise ValueError("`sample_weight` is zero for every row; nothing could be learned")
        seed = int(check_random_state(self.random_state).randint(2**31))
        train, aside = self._split(codes, weights, seed)
        params = params_of_fit(self, self._classifiers(), sample_weight, fit_params)
        fitted = {
            name: fit_to_rows(classifier, X, labels[codes], train, params[name])
            for name, classifier in self._classifiers().items()
        }
        stages = find_stages(fitted[OWN]) if stages is None else resolve_stages(stages, fitted)
        learned = learn(
            stages,
            _safe_indexing(X, aside),
            labels[codes[aside]],
            weights[aside],
            aim=Aim(self.max_drop, self.min_rows_per_second),
            rates=self.rows_per_second,
            seed=seed,
        )
        self.estimator_ = fitted[OWN]
        self.stages_ = with_digests(learned.cascade.stages)
        self.thresholds_ = learned.cascade.thresholds
        self.temperatures_ = learned.cascade.temperatures
        self.classes_ = learned.cascade.classes
        self.stage_report_ = learned.stage_report
        self.cascade_report_ = learned.cascade_report
        self._pair_columns = columns
        take_features(self, self.estimator_)
        return self

    def predict(self, X: Any, groups: ArrayLike | None = None) -> NDArray:
        """Predict the labels of rows.

        Parameters
        ----------
        {predict.X}

        {predict.groups}
            Given to the stages that take it.

        Returns
        -------
        ndarray of shape (n_samples,)
            The labels, in the order of `X`.
        """
        proba = self._predict_proba("predict", X, groups)
        return self.classes_[proba.argmax(axis=1)]

    def predict_proba(self, X: Any, groups: ArrayLike | None = None) -> NDArray[np.float64]:
        """Predict the probabilities of the classes.

        Parameters
        ----------
        {predict.X}

        {predict.groups}
            Given to the stages that take it.

        Returns
        -------
        ndarray of shape (n_samples, n_classes)
            Columns in the order of `classes_`. Each row's are those of the stage that it stops at,
            calibrated by its temperature.
        """
        return self._predict_proba("predict_proba", X, groups)

    def score(
        self,
        X: Any,
        y: ArrayLike,
        sample_weight: ArrayLike | None = None,
        groups: ArrayLike | None = None,
    ) -> float:
        """Return the accuracy of `predict`.

        Parameters
        ----------
        {predict.X}

        y : array-like of shape (n_samples,)
            The true labels.

        {score.sample_weight}

        {predict.groups}
            Given to the stages that take it.

        Returns
        -------
        float
        """
        proba = self._predict_proba("score", X, groups)
        task = ClassesTask(self.classes_)
        return task.score(task.check_true(proba, y), task.classes[proba.argmax(1)], sample_weight)

    predict_iter = predict_iter
    predict_dataset = predict_dataset

    # Parameters

    def get_params(self, deep: bool = True) -> dict[str, Any]:
        """Return the parameters, with `deep` also those of the classifiers among the stages.

        Parameters
        ----------
        deep : bool, default=True

        Returns
        -------
        dict of str to object
        """
        params = super().get_params(deep=deep)
        for name, classifier in named_classifiers(self.stages) if deep else ():
            params[name] = classifier
            if hasattr(classifier, "get_params") and not isinstance(classifier, type):
                nested = classifier.get_params(deep=True)
                params.update({f"{name}__{key}": value for key, value in nested.items()})
        return params

    def set_params(self, **params: Any) -> CascadeClassifier:
        """Set parameters; the name of a stage replaces its classifier.

        Parameters
        ----------
        **params
            As in `get_params`.

        Returns
        -------
        estimator
            The estimator itself.
        """
        if "stages" in params:
            self.stages = params.pop("stages")
        named = dict(named_classifiers(self.stages))
        replaced = {name: params.pop(name) for name in named if name in params}
        if replaced:
            self.stages = [
                (entry[0], replaced[entry[0]])
                if isinstance(entry, tuple) and entry[0] in replaced
                else entry
                for entry in self.stages or ()
            ]
        super().set_params(**params)
        return self

    def __sklearn_tags__(self) -> Tags:
        tags = super().__sklearn_tags__()
        classifiers = [get_tags(classifier) for classifier in self._classifiers().values()]
        tags.input_tags = deepcopy(classifiers[0].input_tags)
        tags.input_tags.sparse = all(found.input_tags.sparse for found in classifiers)
        tags.input_tags.allow_nan = all(found.input_tags.allow_nan for found in classifiers)
        if classifiers[0].classifier_tags is not None:
            tags.classifier_tags = deepcopy(classifiers[0].classifier_tags)
        return tags

    def get_metadata_routing(self) -> MetadataRouter:
        """Return how metadata is routed to the classifiers of the stages.

        Returns
        -------
        sklearn.utils.metadata_routing.MetadataRouter
        """
        router = MetadataRouter(owner=self).add_self_request(self)
        for name, classifier in self._classifiers().items():
            mapping = MethodMapping()
            for caller in _PREDICTIONS:
                mapping.add(caller=caller, callee="predict_proba")
            if not is_frozen(classifier):
                mapping.add(caller="fit", callee="fit")
            router.add(method_mapping=mapping, **{name: unwrap(classifier)})
        return router

    def _classifiers(self) -> dict[str, Any]:
        """Return what `fit` fits, by name."""
        return {OWN: self.estimator, **dict(named_classifiers(self.stages))}

    def _check_parameters(self) -> list[Stage] | None:
        """Check the parameters and return the stages, unless `estimator` has yet to say them."""
        check_parameters(super().get_params(deep=False), self._constraints)
        if self.max_drop is None and self.min_rows_per_second is None:
            raise ValueError(
                "`max_drop` and `min_rows_per_second` are both None, so that there is nothing to "
                "learn thresholds for; set one of them"
            )
        stages = read_stages(self.stages, self.estimator, self._get_param_names())
        check_rates(self.rows_per_second, stages)
        return stages

    # Rows

    def _reads_texts(self) -> bool:
        tags = get_tags(self.estimator).input_tags
        return tags.string and not tags.two_d_array

    def _check_rows(self, X: Any, *, first_row: int = 0) -> Any:
        """Make rows something to choose from; errors of texts say which row of `X` it is."""
        if self._reads_texts():
            rows = check_rows(X, first_row=first_row)
            return X if has_other_columns(X) else rows
        if isinstance(X, str):
            raise TypeError("`X` is a single str; give a sequence of rows, for one text `[text]`")
        return indexable(X)[0]

    # Fitting

    def _split(
        self, codes: NDArray[np.int64], weights: NDArray[np.float64], seed: int
    ) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
        """Return the numbers of the rows to fit classifiers to, and of those to set aside."""
        if all(map(is_frozen, self._classifiers().values())):
            return np.arange(0), np.flatnonzero(weights > 0)
        aside = set_aside(codes, weights, self.validation_fraction, seed)
        return np.setdiff1d(np.arange(len(codes)), aside), aside

    # Prediction

    @property
    def _cascade(self) -> Cascade:
        check_is_fitted(self)
        return Cascade(self.stages_, self.thresholds_, self.temperatures_, self.classes_)

    def _predict_proba(self, method: str, X: Any, groups: Any) -> NDArray[np.float64]:
        cascade = self._cascade
        check_pair_columns(X, self._pair_columns)
        X = self._check_rows(X)
        codes = None if groups is None else check_groups(groups, _num_samples(X))
        return cascade.predict_proba(X, codes, self._grouped(method, groups))

    def _grouped(self, method: str, groups: Any) -> list[bool] | None:
        """Return which stages are given the groups, None where there are no groups."""
        if groups is None:
            return None
        requested = None
        if sklearn.get_config()["enable_metadata_routing"]:
            routed, known = process_routing(self, method, groups=groups), self._classifiers()
            named = {name for name in known if "groups" in routed[name].predict_proba}
            requested = [(s.name if s.name in known else OWN) in named for s in self.stages_]
        return self._cascade.grouped_stages(requested)
