from argparse import ArgumentParser
from dataclasses import replace

import numpy as np
import pytest
from sklearn.feature_extraction.text import CountVectorizer

from muxlearn import MuxTextClassifier
from muxlearn.backbones import Scratch
from muxlearn.benchmark.frontier._command import add_arguments, choose_defaults
from muxlearn.benchmark.frontier._data import read_task
from muxlearn.benchmark.frontier._estimators import Size
from muxlearn.benchmark.frontier._job import Job
from muxlearn.benchmark.frontier._linear import FEATURES, ChosenPenalty, PairFeatures, StaticVectors
from muxlearn.benchmark.frontier._plain import _distilled, plain_units
from muxlearn.benchmark.frontier._tags import MostFrequentTag, window_features
from muxlearn.nn.multiplex import NestedMultiplexer
from muxlearn.pretraining import MuxTextPretrainer


@pytest.fixture
def make_job(write_task, tmp_path):
    def make(kind, *options):
        parser = ArgumentParser()
        add_arguments(parser)
        data = write_task(kind)
        args = parser.parse_args(["--data", str(data), "--quick", *map(str, options)])
        choose_defaults(args)
        return Job(args, read_task(data), 0, tmp_path / "job")

    return make


def candidates(job, name):
    (unit,) = [unit for unit in plain_units(job.args, job.task) if unit.name == name]
    return list(unit.make(job))


@pytest.fixture
def start(make_job):
    return make_job("texts").start


def test_static_vectors_are_means_of_the_tokens_own(start):
    table = start.module_.encoder.embedding.weight.detach().numpy()
    ids = start.tokenizer_.encode("warm film", add_special_tokens=False).ids
    vectors = StaticVectors(start.tokenizer_, table).fit_transform(["warm film", ""])
    np.testing.assert_allclose(vectors[0], table[ids].mean(0), rtol=1e-5)
    assert not vectors[1].any()


def test_frequent_tokens_count_less_and_what_all_share_is_taken_away(start):
    texts = ["the film", "the story", "the music", "the actors"] * 3
    table = start.module_.encoder.embedding.weight.detach().numpy()
    model = StaticVectors(start.tokenizer_, table, weighted=True).fit(texts)
    often, seldom = (start.tokenizer_.encode(w).ids[-1] for w in ("the", "film"))
    shrunk = np.linalg.norm(model.table_, axis=1) / np.linalg.norm(table, axis=1)
    assert shrunk[often] < shrunk[seldom]
    np.testing.assert_allclose(model.transform(texts) @ model.common_, 0, atol=1e-5)


def test_both_features_are_pairs_of_words_and_the_plain_mean(start):
    texts = ["a warm film", "a cold story", "the warm actors"]
    both = FEATURES["TF-IDF + static"](start).fit_transform(texts).toarray()
    words, mean = (
        FEATURES[name](start).fit_transform(texts)
        for name in ("TF-IDF, two words", "static vectors")
    )
    np.testing.assert_allclose(both, np.hstack([words.toarray(), mean]), atol=1e-6)


def test_pairs_are_told_by_both_texts_their_distance_and_their_product():
    pairs = [("a b", "b"), ("b", "b")]
    words = CountVectorizer(token_pattern=r"\w")
    features = PairFeatures(words).fit(pairs).transform(pairs).toarray()
    assert features.tolist() == [[1, 1, 0, 1, 1, 0, 0, 1], [0, 1, 0, 1, 0, 0, 0, 1]]


def test_the_penalty_is_chosen_on_rows_that_are_not_learned_from(make_job):
    job = make_job("texts")
    model = ChosenPenalty(CountVectorizer(), job.task, [1e-9, 10.0])
    model.fit(job.task.train.X, job.task.train.y)
    assert model.model_.C == 10.0
    assert job.task.score(model.pipeline.predict(job.task.test.X)) > 0.9


def test_most_frequent_tag_takes_the_most_frequent_of_all_for_unknown_tokens():
    model = MostFrequentTag().fit([["a", "b", "a"], ["a"]], [["x", "y", "x"], ["z"]])
    assert model.predict([["a", "b", "c"]]) == [["x", "y", "x"]]


def test_a_window_holds_a_token_and_its_neighbours():
    first, last = window_features(["Ada", "wrote"])
    assert {"0=ada", "1=wrote", "-1=", "0:Xx", "suffix=ada"} <= set(first)
    assert {"0=wrote", "-1=ada", "-1:Xx", "1="} <= set(last)


def test_a_shallower_network_starts_from_layers_of_the_encoder(make_job, write_backbone, tmp_path):
    from transformers import BertConfig

    sizes = {"hidden_size": 16, "num_hidden_layers": 4, "num_attention_heads": 2}
    config = BertConfig(vocab_size=300, intermediate_size=32, **sizes)
    folder = write_backbone(tmp_path / "bert", config)
    job = make_job("texts", "--backbone", folder, "--plain", "2x16", "5x16", "--max-length", 16)
    job.args.epochs = 0
    (network,) = candidates(job, "plain 2x16")
    own = network.predict.__self__.module_.encoder.model.encoder.layer
    whole = job.start.module_.encoder.model.encoder.layer
    assert len(own) == 2
    for layer, first in zip(own, whole, strict=False):
        for mine, theirs in zip(layer.parameters(), first.parameters(), strict=True):
            assert mine.equal(theirs)
    model = network.predict.__self__
    model.save(tmp_path / "saved")
    loaded = MuxTextClassifier.load(tmp_path / "saved")
    texts = job.task.test.X
    np.testing.assert_allclose(loaded.predict_proba(texts), model.predict_proba(texts), rtol=1e-5)
    with pytest.raises(ValueError, match="5x16 has more layers than the encoder, which is 4x16"):
        candidates(job, "plain 5x16")


@pytest.mark.parametrize("kind", ["texts", "pairs"])
def test_a_narrower_network_starts_from_components_of_the_token_table(make_job, bert, kind):
    job = make_job(kind, "--backbone", bert, "--plain", "1x8", "--max-length", 16)
    job.args.epochs = 0
    (network,) = candidates(job, "plain 1x8")
    table = network.predict.__self__.module_.encoder.embedding.weight.detach().numpy()
    whole = job.start.module_.encoder.embedding.weight.detach().numpy()
    assert table.shape == (job.start.tokenizer_.get_vocab_size(), 8)
    whole = whole[: len(table)]
    # What a linear map makes of the encoder's own.
    mapped = whole @ np.linalg.lstsq(whole, table, rcond=None)[0]
    np.testing.assert_allclose(mapped, table, atol=1e-4)


@pytest.mark.parametrize("kind", ["pairs", "sentences"])
def test_a_narrower_network_is_taught_where_there_is_a_teacher(make_job, bert, kind):
    job = make_job(kind, "--backbone", bert, "--teacher", bert, "--plain", "1x8")
    job.args.max_length = 16
    (network,) = candidates(job, "plain 1x8")
    assert network.predict.__self__.module_.warmed_up
    assert len(network.predict(job.task.test.X)) == len(job.task.test.X)


def test_a_narrower_network_is_taught_on_texts_without_labels_too(make_job, bert, monkeypatch):
    read = []
    fit = MuxTextPretrainer.fit
    monkeypatch.setattr(MuxTextPretrainer, "fit", lambda self, X: read.extend(X) or fit(self, X))
    job = make_job("texts", "--teacher", bert)
    job.args.max_length = 16
    job.task = replace(job.task, unlabeled=["a film that has no label"])
    _distilled(job, Size(1, 8))
    assert {"a film that has no label", *job.task.train.X} == set(read)


@pytest.fixture(scope="module")
def nested(bert, tmp_path_factory):
    """The folder of a narrow encoder that was warmed up with another multiplexer."""
    folder = tmp_path_factory.mktemp("pretrainer") / "nested"
    pretrainer = MuxTextPretrainer(
        n_mux=2,
        operating_points=((1, 1), (2, 2), "words"),
        multiplexer="nested",
        demultiplexer="nested",
        backbone=Scratch(hidden_size=8, num_hidden_layers=1, num_attention_heads=2),
        teacher=bert,
        max_length=16,
        max_epochs=1,
        batch_size=4,
    )
    pretrainer.fit([f"the cat {verb} my old dog" for verb in "abcdefgh"]).save(folder)
    return folder


def test_a_folder_of_a_narrow_network_mixes_as_it_was_warmed_up(make_job, bert, nested):
    job = make_job("texts", "--backbone", bert, "--plain", nested, "--max-length", 16)
    (network,) = candidates(job, "plain nested")
    assert network.name == "plain nested"
    assert isinstance(network.predict.__self__.module_.multiplexer, NestedMultiplexer)
    assert network.predict.__self__.module_.warmed_up


@pytest.mark.slow
@pytest.mark.parametrize("kind", ["texts", "sentences"])
def test_int8_stands_beside_a_plain_network(make_job, kind):
    job = make_job(kind)
    job.args.int8 = True
    plain, int8 = candidates(job, "plain")
    assert int8.name == "plain, int8"
    assert int8.kind == "plain"
    assert len(int8.predict(job.task.test.X)) == len(plain.predict(job.task.test.X))
