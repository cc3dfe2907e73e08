"""Right classifiers pass every check."""

from muxlearn.testing import check_text_estimator, parametrize_with_text_checks
from muxlearn.testing._common import default_data
from tests.testing.letter_bayes import LetterBayes


@parametrize_with_text_checks([LetterBayes(), LetterBayes(class_weight="balanced")])
def test_a_right_classifier_passes(estimator, check):
    check(estimator)


class PairBayes(LetterBayes):
    """A right classifier of pairs."""

    def check_rows(self, X):
        return [" ".join(pair) for pair in super().check_rows(X)]

    def check_row(self, number, row):
        if not isinstance(row, tuple) or not all(isinstance(text, str) for text in row):
            raise TypeError(f"row {number} is {row!r}, not a pair")


def test_a_right_classifier_of_pairs_passes():
    texts, labels = default_data()
    results = check_text_estimator(PairBayes(), [(text, text[::-1]) for text in texts], labels)
    assert {result["status"] for result in results} == {"passed"}
