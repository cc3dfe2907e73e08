"""Each method hands all arguments of a prediction on, as wrong ones show."""

import pandas as pd
import pytest
from sklearn.base import clone

from muxlearn import MuxTextEmbedder, MuxTextRegressor
from tests.conftest import make_tiny

TEXTS = ["rain and wind", "goal and penalty", "snow in the hills", "a late equaliser"] * 2
NUMBERS = [0, 1, 2, 1] * 2
SENTENCES = [text.split() for text in TEXTS]
CLASSIFIES = ("predict", "predict_proba", "predict_log_proba", "decision_function")

wrong = pytest.mark.parametrize(
    "wrong", [{"n_mux": 99}, {"groups": [1]}, {"n_passes": 0}, {"patch_size": 99}], ids=str
)


@pytest.fixture(scope="module")
def fitted(tiny_classifier, tiny_tagger, encoder_folder):
    params = {"max_epochs": 0, "warm_up": None}
    return {
        "classifier": tiny_classifier(**params).fit(TEXTS, NUMBERS),
        "regressor": make_tiny(MuxTextRegressor, "tmux", **params).fit(TEXTS, NUMBERS),
        "tagger": tiny_tagger(**params).fit(SENTENCES, SENTENCES),
        "embedder": MuxTextEmbedder(backbone=encoder_folder).fit(),
    }


@wrong
@pytest.mark.parametrize(
    ("kind", "method"),
    [
        *(("classifier", name) for name in (*CLASSIFIES, "transform", "predict_iter", "score")),
        *(("regressor", name) for name in ("predict", "predict_iter", "score")),
        *(("tagger", name) for name in (*CLASSIFIES, "predict_iter", "score")),
        *(("embedder", name) for name in ("transform", "transform_iter")),
    ],
)
def test_no_argument_of_a_prediction_is_lost(fitted, kind, method, wrong):
    X = SENTENCES if kind == "tagger" else TEXTS
    y = {"tagger": [SENTENCES], "embedder": []}.get(kind, [NUMBERS]) if method == "score" else []
    with pytest.raises(ValueError, match=next(iter(wrong))):
        list(getattr(fitted[kind], method)(X, *y, **wrong))


@pytest.mark.parametrize(
    "wrong",
    [
        *({"column": "gone"}, {"groups": "gone"}, {"keep": ["gone"]}, {"n_mux": 99}),
        *({"n_passes": 0}, {"rows_per_part": 0}, {"patch_size": 99}),
    ],
    ids=str,
)
@pytest.mark.parametrize(
    ("kind", "method"), [("classifier", "predict_dataset"), ("embedder", "transform_dataset")]
)
def test_no_argument_of_a_data_set_is_lost(fitted, tmp_path, kind, method, wrong):
    pd.DataFrame({"text": TEXTS}).to_parquet(tmp_path / "texts.parquet")
    with pytest.raises(ValueError, match=next(iter(wrong))):
        getattr(fitted[kind], method)(tmp_path / "texts.parquet", tmp_path / "out", **wrong)


@wrong
@pytest.mark.parametrize("kind", ["classifier", "embedder"])
def test_fit_transform_hands_them_to_transform(fitted, kind, wrong):
    with pytest.raises(ValueError, match=next(iter(wrong))):
        clone(fitted[kind]).fit_transform(TEXTS, NUMBERS, **wrong)


@pytest.mark.parametrize("kind", ["classifier", "regressor", "tagger"])
def test_weights_of_a_score_are_not_lost(fitted, kind):
    X, y = (SENTENCES, SENTENCES) if kind == "tagger" else (TEXTS, NUMBERS)
    with pytest.raises(ValueError, match="sample_weight"):
        fitted[kind].score(X, y, [1.0])
