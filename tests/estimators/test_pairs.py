"""Pairs of texts, which the lexical path compares."""

import datasets
import numpy as np
import pandas as pd
import polars as pl
import pyarrow as pa
import pytest
from sklearn.base import clone
from skorch.callbacks import Callback

from muxlearn import MuxTextClassifier
from muxlearn.export import OnnxMuxClassifier, export_onnx
from muxlearn.pretraining import MuxTextPretrainer

POINTS = ((1, 1), (2, 1), (1, 2), "words")
TREES = ["ash", "oak", "elm", "fir"]


def same_or_not(n_pairs, seed=0):
    """Pairs of two texts with the same tree, or not: a bag of both does not tell the order."""
    rng = np.random.default_rng(seed)
    rows, labels = [], []
    for number in range(n_pairs):
        first, second = rng.choice(TREES, 2, replace=False)
        other = first if number % 2 else second
        filler = rng.choice(["by", "on", "at"], 2)
        rows.append((f"{filler[0]} the {first}", f"the {other} {filler[1]}"))
        labels.append("same" if number % 2 else "other")
    return rows, labels


@pytest.fixture(scope="module")
def clf(tiny_classifier):
    model = tiny_classifier(operating_points=POINTS, max_epochs=8, lr=1e-2)
    return model.fit(*same_or_not(300))


def test_the_words_alone_tell_what_two_texts_share(clf):
    assert clf.score(*same_or_not(100, seed=1), n_mux="words") > 0.9


@pytest.mark.parametrize("point", POINTS[:-1])
def test_every_point_compares_the_texts(clf, point):
    assert clf.score(*same_or_not(100, seed=1), n_mux=point) > 0.9


@pytest.mark.parametrize("point", [(1, 1), (1, 2), "words"])
def test_a_pair_that_shares_no_mixture_is_answered_alone(clf, point):
    rows, _ = same_or_not(9, seed=2)
    rows[0] = (rows[0][0], "")
    alone = np.vstack([clf.predict_proba([row], n_mux=point) for row in rows])
    np.testing.assert_allclose(clf.predict_proba(rows, n_mux=point), alone, atol=1e-5)


def test_it_is_saved_with_its_reader(clf, tmp_path):
    rows, _ = same_or_not(20, seed=3)
    clf.save(tmp_path)
    loaded = MuxTextClassifier.load(tmp_path)
    for point in POINTS:
        np.testing.assert_array_equal(
            loaded.predict_proba(rows, n_mux=point), clf.predict_proba(rows, n_mux=point)
        )


@pytest.fixture(scope="module")
def framed(tiny_classifier):
    rows, labels = same_or_not(20)
    frame = pd.DataFrame(rows, columns=["first", "second"])
    return tiny_classifier(max_epochs=1).fit(frame, labels)


@pytest.mark.parametrize(
    "container", [pd.DataFrame, pl.DataFrame, pa.table, datasets.Dataset.from_dict]
)
def test_columns_of_pairs_must_be_those_of_fit(framed, container):
    first, second = map(list, zip(*same_or_not(6, seed=1)[0], strict=True))
    expected = framed.predict_proba(list(zip(first, second, strict=True)))
    same = container({"first": first, "second": second})
    np.testing.assert_array_equal(framed.predict_proba(same), expected)
    for names in (("second", "first"), ("premise", "second")):
        with pytest.raises(ValueError, match=r"columns of `X` are .* given \['first', 'second'\]"):
            framed.predict(container(dict(zip(names, (first, second), strict=True))))


@pytest.mark.parametrize("names", [("text", "label"), ("label", "text")])
def test_labels_are_not_read_as_a_text_of_pairs(tiny_classifier, names):
    texts, labels = same_or_not(6)
    frame = pd.DataFrame({"text": [first for first, _ in texts], "label": labels})[list(names)]
    with pytest.raises(ValueError, match="holds the labels of `y`; give"):
        tiny_classifier().fit(frame, frame["label"])


def test_columns_of_pairs_are_saved_and_forgotten_with_the_next_fit(framed, tmp_path):
    rows, labels = same_or_not(20)
    swapped = pd.DataFrame(rows, columns=["second", "first"])
    framed.save(tmp_path)
    with pytest.raises(ValueError, match="the columns of `X`"):
        MuxTextClassifier.load(tmp_path).score(swapped, labels)
    fitted_to_lists = clone(framed).fit(rows, labels)
    assert fitted_to_lists.predict(swapped).tolist() == fitted_to_lists.predict(rows).tolist()


@pytest.mark.parametrize("framed_first", [True, False])
def test_warm_start_keeps_the_columns_of_pairs_and_learns_new_ones(tiny_classifier, framed_first):
    rows, labels = same_or_not(6)
    frame = pd.DataFrame(rows, columns=["first", "second"])
    clf = tiny_classifier(max_epochs=1, warm_start=True)
    for X in (frame, rows) if framed_first else (rows, frame):
        clf.fit(X, labels)
    for method in (clf.predict, lambda X: clf.fit(X, labels)):
        with pytest.raises(ValueError, match="the columns of `X`"):
            method(frame[["second", "first"]])


def test_callbacks_are_held_to_the_columns_of_pairs(tiny_classifier):
    rows, labels = same_or_not(6)
    frame = pd.DataFrame(rows, columns=["first", "second"])

    class ReadOthers(Callback):
        def on_train_end(self, net, **kwargs):
            net.predict(frame[["second", "first"]])

    clf = tiny_classifier(max_epochs=1, callbacks=[ReadOthers()])
    with pytest.raises(ValueError, match="the columns of `X`"):
        clf.fit(frame, labels)


@pytest.mark.slow
def test_graphs_compare_too(clf, tmp_path):
    pytest.importorskip("onnxscript")
    rows, _ = same_or_not(7, seed=4)
    export_onnx(clf, tmp_path, n_mux=[(1, 2), "words"])
    exported = OnnxMuxClassifier.load(tmp_path, n_threads=1)
    for point in ((1, 2), "words"):
        np.testing.assert_allclose(
            exported.predict_proba(rows, n_mux=point),
            clf.predict_proba(rows, n_mux=point),
            atol=1e-4,
        )


def test_single_texts_are_refused(clf):
    with pytest.raises(ValueError, match="`X` holds single texts, but `fit` was given pairs"):
        clf.predict(["the ash"])


def test_unlabeled_texts_may_be_single(tiny_classifier):
    rows, labels = same_or_not(20)
    model = tiny_classifier(operating_points=POINTS, warm_up=1)
    model.fit(rows, labels, unlabeled=[text for row in rows for text in row])
    assert len(model.predict(rows)) == len(rows)


def test_what_a_pretrainer_knows_of_words_is_taken_over(tiny_classifier):
    rows, labels = same_or_not(20)
    texts = [text for row in rows for text in row]
    pretrainer = MuxTextPretrainer(
        n_mux=2,
        operating_points=POINTS,
        backbone=tiny_classifier().backbone,
        objective="retrieval",
        max_length=16,
        max_epochs=1,
        random_state=0,
    ).fit(texts)
    model = tiny_classifier(
        operating_points=POINTS, backbone=pretrainer, warm_up=None, max_epochs=0
    ).fit(rows, labels)
    theirs, ours = pretrainer.module_.state_dict(), model.module_.state_dict()
    names = [name for name in ours if name.startswith("lexical_mean.")]
    assert names
    for name in names:
        np.testing.assert_array_equal(ours[name].numpy(), theirs[name].numpy())
    assert model.module_.pair_comparison is not None


def test_a_model_without_the_comparison_reads_pairs_as_before(tiny_classifier, tmp_path):
    """As models of version 0.1 were saved: nothing tells the reader to mark second texts."""
    rows, labels = same_or_not(20)
    model = tiny_classifier(operating_points=POINTS, architecture__lexical_length=None)
    model.fit([" ".join(row) for row in rows], labels).save(tmp_path)
    loaded = MuxTextClassifier.load(tmp_path)
    np.testing.assert_array_equal(loaded.predict_proba(rows), model.predict_proba(rows))


def test_a_plain_encoder_stays_plain(tiny_classifier):
    rows, labels = same_or_not(20)
    module = tiny_classifier(n_mux=1).fit(rows, labels).module_
    assert module.lexical_mean is None
    assert module.pair_comparison is None
