import json
import pickle

import numpy as np
import pytest

from muxlearn.rows import (
    READERS,
    ImageReader,
    IntegerReader,
    SentenceReader,
    TextReader,
    load_reader,
    train_tokenizer,
)

TEXTS = ["rain in the hills", "a goal", ""]
PAIRS = [("rain", "hills"), ("a goal", "")]


@pytest.fixture(scope="module")
def tokenizer():
    tokenizer = train_tokenizer(TEXTS, 300)
    tokenizer.enable_truncation(8)
    return tokenizer


@pytest.fixture(scope="module")
def readers(tokenizer):
    """Return for each kind a reader, rows that it reads and rows that it refuses."""
    images = np.arange(32, dtype=np.uint8).reshape(2, 4, 4)
    return {
        "texts": (TextReader(tokenizer, pairs=False), TEXTS, PAIRS),
        "integers": (IntegerReader(9, 4), [[0, 1, 8], [3]], [[9]]),
        "sentences": (SentenceReader(tokenizer, all_pieces=True), [["a", "goal"], []], TEXTS),
        "images": (
            ImageReader(
                "gray",
                (1, 4, 4),
                (4, 4),
                flat=False,
                resized=False,
                highest=31,
                mean=(1,),
                std=(2,),
            ),
            images,
            images[:, :3],
        ),
    }


@pytest.mark.parametrize("kind", READERS)
def test_a_folder_gives_a_reader_back(readers, kind):
    reader, rows, _ = readers[kind]
    loaded = load_reader(json.loads(json.dumps(reader.to_config())), reader.files())
    for other in (loaded, pickle.loads(pickle.dumps(reader))):
        assert type(other) is type(reader)
        assert other.to_config() == reader.to_config()
        assert other.files() == reader.files()
        table, expected = (r.table(r.check(rows)) for r in (other, reader))
        order = np.arange(len(table))[:, None]
        for name, values in expected.inputs(order).items():
            np.testing.assert_array_equal(table.inputs(order)[name], values)


@pytest.mark.parametrize("kind", READERS)
def test_rows_that_fit_was_not_given_are_refused(readers, kind):
    reader, rows, others = readers[kind]
    assert len(reader.check(list(reader.iterate(rows)))) == len(rows)
    with pytest.raises((TypeError, ValueError), match="`X`"):
        reader.check(others)


def test_texts_and_pairs_may_come_in_turn_where_both_are_read_alike(tokenizer):
    reader = TextReader(tokenizer)
    assert reader.check(TEXTS) == TEXTS
    assert reader.check(PAIRS) == PAIRS


def test_texts_of_a_pair_that_are_read_apart_are_two_sequences(tokenizer):
    reader = TextReader(tokenizer, pairs=True, apart=True)
    inputs = reader.table(reader.check(PAIRS)).inputs(np.arange(2)[:, None])
    assert inputs["input_ids"].shape[:3] == (2, 1, 2)
