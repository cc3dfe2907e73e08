"""The scikit-learn API checks for estimators whose rows are text.

``sklearn.utils.estimator_checks`` feeds tables of numbers and skips every estimator that takes
strings. The checks here state the same contract for rows that are strings, pairs of strings or
lists of tokens. Names are those of scikit-learn's checks where one has the same purpose.
"""

from muxlearn.testing._runner import (
    check_text_estimator,
    parametrize_with_text_checks,
    text_estimator_checks,
)

__all__ = ["check_text_estimator", "parametrize_with_text_checks", "text_estimator_checks"]
