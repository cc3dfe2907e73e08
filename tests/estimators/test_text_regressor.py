import numpy as np
import pytest
from sklearn.base import clone
from sklearn.metrics import r2_score

from muxlearn import MuxTextRegressor
from muxlearn.architectures import TMUX, MIMOFormer
from muxlearn.backbones import Scratch
from muxlearn.testing import parametrize_with_text_checks

COMPANIONS = "a prediction depends on its companions"
INVARIANCE = {
    "check_methods_sample_order_invariance": COMPANIONS,
    "check_methods_subset_invariance": COMPANIONS,
}

TEXTS = ["a", "a b", "a b a", "a b a b", "a b b a b", "b a b a b a"] * 4
AMOUNTS = np.array([float(text.count("b")) for text in TEXTS])


def tiny(n_mux, **params):
    sizes = {"hidden_size": 16, "num_hidden_layers": 1, "num_attention_heads": 2}
    return MuxTextRegressor(
        n_mux,
        **{
            "backbone": Scratch(**sizes, vocab_size=300),
            "max_epochs": 1,
            "warm_up": None,
            "random_state": 0,
            **params,
        },
    )


@parametrize_with_text_checks(
    [tiny(1), tiny(2)],
    expected_failed_checks=lambda estimator: {} if estimator.n_mux == 1 else INVARIANCE,
)
def test_scikit_learn_api(estimator, check):
    check(estimator)


@pytest.fixture(scope="module")
def trained():
    points = (1, 2, (1, 2), "words")
    reg = tiny(2, max_epochs=60, lr=1e-2, dropout=0, operating_points=points)
    return reg.fit(TEXTS, 100 + 10 * AMOUNTS)


@pytest.mark.parametrize("point", [1, 2, (1, 2), "words"])
def test_it_learns_at_every_point(trained, point):
    assert trained.score(TEXTS, 100 + 10 * AMOUNTS, n_mux=point) > 0.8


def test_passes_are_averaged(trained):
    several = trained.predict(TEXTS[:6], n_passes=3)
    each, _ = trained.predictor_.predict_regrouped(TEXTS[:6], None, 3)
    np.testing.assert_allclose(several, each.mean(axis=0), rtol=1e-6)


@pytest.mark.parametrize("loss", ["squared_error", "absolute_error", "huber"])
def test_every_loss_learns(loss):
    reg = tiny(1, loss=loss, max_epochs=60, lr=1e-2, dropout=0).fit(TEXTS, AMOUNTS)
    assert reg.score(TEXTS, AMOUNTS) > 0.8


def test_a_robust_loss_lets_outliers_count_less():
    amounts = AMOUNTS.copy()
    amounts[::6] = 1000  # of rows that are all alike, the most
    texts = ["the same"] * 24
    squared, absolute = (
        tiny(1, loss=loss, max_epochs=60, lr=1e-2, dropout=0).fit(texts, amounts).predict(texts[:1])
        for loss in ("squared_error", "absolute_error")
    )
    assert abs(squared[0] - amounts.mean()) < 40
    assert absolute[0] < 60


def test_several_targets_come_back_in_their_units():
    targets = np.column_stack([AMOUNTS, 1000 - 100 * AMOUNTS, np.full(len(TEXTS), 3.0)])
    reg = tiny(2, max_epochs=60, lr=1e-2, dropout=0).fit(TEXTS, targets)
    predicted = reg.predict(TEXTS)
    assert predicted.shape == targets.shape
    assert r2_score(targets[:, :2], predicted[:, :2]) > 0.8
    np.testing.assert_allclose(predicted[:, 2], 3, atol=0.5)
    assert next(reg.predict_iter(TEXTS[:1])).shape == (3,)


def test_pairs_and_integers_are_read():
    pairs = [(text, text[::-1]) for text in TEXTS]
    assert tiny(2).fit(pairs, AMOUNTS).predict(pairs[:3]).shape == (3,)
    integers = [[ord(letter) for letter in text] for text in TEXTS]
    assert tiny(2).fit(integers, AMOUNTS).predict(integers[:3]).shape == (3,)


def test_another_architecture_answers_with_numbers():
    reg = tiny(4, architecture=MIMOFormer(head_dim=8, n_features=16)).fit(TEXTS, AMOUNTS)
    assert reg.predict(TEXTS, n_mux=1).shape == (len(TEXTS),)


@pytest.mark.filterwarnings("error")
def test_early_stopping_measures_the_points_by_r2():
    reg = tiny(2, max_epochs=2, early_stopping=True).fit(TEXTS, AMOUNTS)
    assert list(reg.measured_points_) == [1, 2]
    assert "valid_loss" in reg.history_[-1]
    assert "valid_acc" not in reg.history_[-1]
    assert reg.predictor_.task.score_name == "R2"


def test_a_scoring_callback_sees_the_targets():
    from skorch.callbacks import EpochScoring

    scoring = EpochScoring("r2", lower_is_better=False, name="valid_r2")
    reg = tiny(2, max_epochs=30, lr=1e-2, early_stopping=30, callbacks=[scoring], dropout=0)
    reg.fit(TEXTS, AMOUNTS)
    assert reg.history_[-1]["valid_r2"] > 0.5


def test_a_continued_training_keeps_the_scale():
    reg = tiny(2, warm_start=True).fit(TEXTS, AMOUNTS)
    mean = reg.predictor_.task.mean
    reg.fit(TEXTS, AMOUNTS + 100)
    np.testing.assert_array_equal(reg.predictor_.task.mean, mean)
    with pytest.raises(ValueError, match="3 numbers for each row, but the model was fitted to 1"):
        reg.fit(TEXTS, np.ones((len(TEXTS), 3)))
    reg.set_params(warm_start=False).fit(TEXTS, AMOUNTS + 100)
    np.testing.assert_allclose(reg.predictor_.task.mean, mean + 100)


@pytest.mark.parametrize(
    ("y", "message"),
    [
        (np.ones((24, 2, 2)), r"shape \(24, 2, 2\)"),
        (np.ones((24, 0)), r"shape \(24, 0\)"),
        (["many"] * 24, "`y` must hold numbers, as a dense array: could not convert"),
        (
            np.where(np.arange(24) == 3, np.nan, 1.0),
            "row 3 of `y` contains NaN or infinity: nan; drop",
        ),
        (
            np.where(np.eye(24, 2) > 0, np.inf, 1.0),
            "row 0 of `y` contains NaN or infinity: .inf, 1.0.",
        ),
        (np.ones(23), "24 rows and `y` has 23"),
        (None, "`y` is None"),
    ],
)
def test_bad_targets_are_refused(y, message):
    with pytest.raises(ValueError, match=message):
        tiny(2).fit(TEXTS, y)


@pytest.mark.parametrize("kind", ["datetime64[ns]", "timedelta64[s]"])
def test_dates_are_no_numbers(kind):
    with pytest.raises(TypeError, match="it holds dates or durations; convert them, such as"):
        tiny(2).fit(TEXTS, np.arange(24).astype(kind))


def test_another_number_of_true_targets_is_refused(trained):
    with pytest.raises(ValueError, match="2 numbers for each row, but the model was fitted to 1"):
        trained.score(TEXTS, np.ones((24, 2)))


def test_an_unknown_loss_is_refused():
    with pytest.raises(ValueError, match=r"`loss` must be .*did you mean 'huber'"):
        tiny(2, loss="hubr").fit(TEXTS, AMOUNTS)


def test_methods_of_classifiers_are_not_there(trained):
    assert not hasattr(trained, "predict_proba")
    assert not hasattr(trained, "classes_")
    with pytest.raises(ValueError, match="`method` must be 'predict'"):
        list(trained.predict_iter(TEXTS, method="predict_proba"))


@pytest.mark.parametrize("targets", [AMOUNTS, np.column_stack([AMOUNTS, -AMOUNTS])])
def test_a_folder_gives_a_regressor_back(tmp_path, targets):
    reg = tiny(2, architecture=TMUX(), loss="huber").fit(TEXTS, targets)
    reg.save(tmp_path / "model")
    loaded = MuxTextRegressor.load(tmp_path / "model")
    assert loaded.loss == "huber"
    np.testing.assert_array_equal(loaded.predict(TEXTS), reg.predict(TEXTS))
    np.testing.assert_allclose(loaded.predict(TEXTS, n_mux=1), reg.predict(TEXTS, n_mux=1))
    assert clone(loaded).get_params()["loss"] == "huber"


def test_a_data_set_is_predicted(trained, tmp_path):
    pd = pytest.importorskip("pandas")
    pd.DataFrame({"text": TEXTS}).to_parquet(tmp_path / "texts.parquet")
    pd.DataFrame({"text": TEXTS}, dtype="string")[:0].to_parquet(tmp_path / "none.parquet")
    for form, read in (("parquet", pd.read_parquet), ("csv", None)):
        out = trained.predict_dataset(tmp_path / "texts.parquet", tmp_path / form, form=form)
        found = read(out) if read else pd.read_csv(out / "part-000000.csv")
        np.testing.assert_allclose(found["prediction"], trained.predict(TEXTS), rtol=1e-6)
    nothing = trained.predict_dataset(tmp_path / "none.parquet", tmp_path / "out")
    assert pd.read_parquet(nothing)["prediction"].dtype == np.float64


def test_a_card_says_what_is_predicted(trained, tmp_path):
    trained.save_pretrained(tmp_path)
    card = (tmp_path / "README.md").read_text()
    assert "numbers for each text" in card
    assert "its own prediction" in card
    assert "Labels" not in card


@pytest.mark.parametrize("weights", [[1.0], [-1.0, 1.0]])
def test_weights_of_a_score_are_checked(trained, weights):
    with pytest.raises(ValueError, match="`sample_weight` must be one number for each row"):
        trained.score(["good", "bad"], [1.0, -1.0], sample_weight=weights)
