"""Parameters of `TMUX` that have no effect beside others are refused."""

import pytest
from sklearn.model_selection import GridSearchCV

from muxlearn.architectures import TMUX

TEXTS = ["rain and wind", "goal and penalty", "snow in the hills", "a late equaliser"] * 4
LABELS = ["weather", "sport"] * 8
SENTENCES = [text.split() for text in TEXTS]


@pytest.mark.parametrize(
    ("architecture", "message"),
    [
        (
            TMUX(lexical_path=False, lexical_length=50),
            "`lexical_length` is 50, but has no effect with lexical_path=False; leave it out",
        ),
        (
            TMUX(retrieval_weight=0, retrieval_samples=5),
            "`retrieval_samples` is 5, but has no effect with retrieval_weight=0 and without",
        ),
    ],
    ids=str,
)
def test_parameters_without_effect_are_refused(tiny_classifier, architecture, message):
    with pytest.raises(ValueError, match=message):
        tiny_classifier(architecture=architecture, warm_up=None).fit(TEXTS, LABELS)


def test_the_width_of_a_path_that_is_left_out_is_refused(tiny_tagger):
    tagger = tiny_tagger(architecture=TMUX(lexical_path=False, lexical_size=16))
    with pytest.raises(ValueError, match="`lexical_size` is 16, but has no effect with lexical_"):
        tagger.fit(SENTENCES, SENTENCES)


def test_a_warm_up_reads_samples_without_a_retrieval_loss_beside_the_task(tiny_classifier):
    architecture = TMUX(retrieval_weight=0, retrieval_samples=5)
    assert tiny_classifier(architecture=architecture).fit(TEXTS, LABELS).warm_up_history_


def test_a_search_over_rows_may_set_what_one_row_has_no_use_for(tiny_classifier):
    clf = tiny_classifier(architecture=TMUX(demux_layers=2), multiplexer="hadamard", warm_up=1)
    search = GridSearchCV(clf, {"n_mux": [1, 2]}, cv=2, error_score="raise")
    assert len(search.fit(TEXTS, LABELS).cv_results_["params"]) == 2
