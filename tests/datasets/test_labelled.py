import gzip

import numpy as np
import pytest

from muxlearn.datasets import load_conll, load_labelled, load_pairs

TEXTS = "pos\ta charming film\nneg\tbleak\x85 and desperate\n\npos\t\n"
PAIRS = "yes\tone\ttwo\r\nno\tthree\tfour\r\n"
TAGGED = "-DOCSTART- -X- O\n\nEU NNP B-ORG\n rejects  VBZ O \n\n \nJAPAN NNP B-LOC"


@pytest.fixture
def write(tmp_path):
    def write(content, name="file.tsv"):
        path = tmp_path / name
        data = content if isinstance(content, bytes) else content.encode()
        path.write_bytes(gzip.compress(data) if name.endswith(".gz") else data)
        return path

    return write


def test_what_editors_put_in_front_of_a_file_is_no_label(write):
    assert load_labelled(write("\ufeff" + TEXTS)).target_names == ["neg", "pos"]


def test_a_token_may_hold_a_space_that_does_not_break(write):
    X, y = load_conll(write("10\u00a0000  NNP B-MONEY\nyen NN O\n"), return_X_y=True)
    assert (X, y) == ([["10\u00a0000", "yen"]], [["B-MONEY", "O"]])


@pytest.mark.parametrize("name", ["plain.tsv", "zipped.tsv.gz"])
def test_texts_and_their_labels(write, name):
    bunch = load_labelled(write(TEXTS, name))
    assert bunch.data == ["a charming film", "bleak\x85 and desperate", ""]
    assert bunch.target.tolist() == ["pos", "neg", "pos"]
    assert bunch.target_names == ["neg", "pos"]


def test_pairs_and_their_labels(write):
    X, y = load_pairs(str(write(PAIRS)), return_X_y=True)
    assert X == [("one", "two"), ("three", "four")]
    assert y.tolist() == ["yes", "no"]


def test_numbers_as_targets(write):
    bunch = load_pairs(write("3.5\ta\tb\n1\tc\td\n"), target="number")
    np.testing.assert_array_equal(bunch.target, [3.5, 1.0])
    assert bunch.target.dtype == np.float64
    assert bunch.target_names == []


def test_sentences_and_their_tags(write):
    bunch = load_conll(write(TAGGED))
    assert bunch.data == [["EU", "rejects"], ["JAPAN"]]
    assert bunch.target == [["B-ORG", "O"], ["B-LOC"]]
    assert bunch.target_names == ["B-LOC", "B-ORG", "O"]


def test_columns_of_tags_may_be_separated_by_tabs(write):
    X, y = load_conll(write("New York\tB-LOC\nis\tO\n"), return_X_y=True)
    assert X == [["New York", "is"]]
    assert y == [["B-LOC", "O"]]


@pytest.mark.parametrize(
    ("load", "content", "message"),
    [
        (load_labelled, PAIRS, r"line 1 .* has 3 columns.* has 2; .*load_pairs"),
        (load_pairs, TEXTS, r"line 1 .* has 2 columns.* has 3; .*load_labelled"),
        (load_labelled, "a\tb\nonly\n", r"line 2 .* has 1 columns"),
        (load_labelled, "\n", "holds no rows"),
        (load_conll, "\n\n", "holds no sentences"),
        (load_conll, "EU B-ORG\nrejects\n", "line 2 .* has one column"),
        (load_conll, "EU\tB-ORG\t\n", "line 1 .* has an empty first or last column"),
        (load_conll, "\tB-ORG\n", "line 1 .* has an empty first or last column"),
        (load_labelled, b"pos\tcaf\xe9\n", "line 1 .* not in UTF-8"),
    ],
)
def test_a_line_of_another_form_is_named(write, load, content, message):
    with pytest.raises(ValueError, match=message):
        load(write(content))


@pytest.mark.parametrize(
    "damage",
    [
        lambda zipped: zipped[:-20],
        lambda zipped: zipped[:-8] + bytes(8),
        lambda zipped: zipped[:15] + b"\xff" * 50,
    ],
    ids=["cut off", "checksum", "content"],
)
def test_a_file_that_is_damaged_is_named(write, damage):
    path = write(TEXTS * 100, "cut.tsv.gz")
    path.write_bytes(damage(path.read_bytes()))
    with pytest.raises(ValueError, match=r"cut\.tsv\.gz' cannot be unzipped: .*; get it again"):
        load_labelled(path)


def test_a_label_that_is_no_number(write):
    with pytest.raises(ValueError, match=r"line 1 .* 'pos', which is not a number"):
        load_labelled(write(TEXTS), target="number")


@pytest.mark.parametrize("load", [load_labelled, load_pairs, load_conll])
def test_bad_arguments(tmp_path, load):
    with pytest.raises(FileNotFoundError, match="no file"):
        load(tmp_path / "missing.tsv")
    with pytest.raises(TypeError, match="`return_X_y`"):
        load(tmp_path, return_X_y="yes")
