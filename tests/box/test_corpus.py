import lzma

import numpy as np
import pytest

from muxlearn.box._corpus import read_corpus, write_corpus

DOCUMENTS = [[[5, 6, 7], [8]], [[30521, 5]], [[5], [6, 6], [7]]]


def read_documents(corpus):
    documents = []
    for i, first in enumerate(corpus.first):
        if first:
            documents.append([])
        documents[-1].append(corpus.tokens[corpus.starts[i] : corpus.starts[i + 1]].tolist())
    return documents


def test_what_is_read_is_what_was_written(tmp_path):
    header = write_corpus(tmp_path / "corpus.xz", DOCUMENTS, {"sources": ["a"]})
    corpus = read_corpus(tmp_path / "corpus.xz")
    assert read_documents(corpus) == DOCUMENTS
    assert corpus.tokens.dtype == np.uint16
    assert corpus.header == header
    assert header["sources"] == ["a"]
    assert (header["n_tokens"], header["n_sentences"], header["n_documents"]) == (10, 6, 3)


def test_a_long_sentence_is_cut_into_several_of_one_document(tmp_path):
    write_corpus(tmp_path / "corpus.xz", [[list(range(7))], [[1]]], max_length=3)
    corpus = read_corpus(tmp_path / "corpus.xz")
    assert read_documents(corpus) == [[[0, 1, 2], [3, 4, 5], [6]], [[1]]]


def test_empty_sentences_and_documents_are_left_out(tmp_path):
    write_corpus(tmp_path / "corpus.xz", [[[], [1]], [], [[]], [[2]]])
    assert read_documents(read_corpus(tmp_path / "corpus.xz")) == [[[1]], [[2]]]


def test_nothing_is_a_corpus(tmp_path):
    write_corpus(tmp_path / "corpus.xz", [])
    corpus = read_corpus(tmp_path / "corpus.xz")
    assert corpus.starts.tolist() == [0]
    assert len(corpus.tokens) == len(corpus.first) == 0


def test_what_is_said_of_it_may_be_completed_while_it_is_written(tmp_path):
    about = {"n_rows": 0}

    def count():
        for document in DOCUMENTS:
            about["n_rows"] += len(document)
            yield document

    write_corpus(tmp_path / "corpus.xz", count(), about)
    assert read_corpus(tmp_path / "corpus.xz").header["n_rows"] == 6


@pytest.mark.parametrize("max_length", [0, 65_536])
def test_a_length_that_sixteen_bits_cannot_hold_is_refused(tmp_path, max_length):
    with pytest.raises(ValueError, match=f"from 1 to 65,535, not {max_length}"):
        write_corpus(tmp_path / "corpus.xz", DOCUMENTS, max_length=max_length)


def test_a_token_that_sixteen_bits_cannot_hold_is_refused(tmp_path):
    with pytest.raises(OverflowError):
        write_corpus(tmp_path / "corpus.xz", [[[65_536]]])


def test_a_file_that_ends_too_early_is_refused(tmp_path):
    write_corpus(tmp_path / "corpus.xz", DOCUMENTS)
    with lzma.open(tmp_path / "corpus.xz") as file:
        data = file.read()
    with lzma.open(tmp_path / "corpus.xz", "wb") as file:
        file.write(data[:-1])
    with pytest.raises(ValueError, match="does not hold what its first line says"):
        read_corpus(tmp_path / "corpus.xz")
