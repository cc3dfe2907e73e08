"""Texts that are made of others."""

import numpy as np
import pytest
from sklearn.feature_extraction.text import TfidfVectorizer

from muxlearn import MuxTextEmbedder
from muxlearn.training import augment_texts

#: Of 40 lengths, with the number of the text and the place in it as each word.
NUMBERED = [" ".join(f"{i}.{place}" for place in range(1 + i)) for i in range(40)]

#: Each word is in every text, so that each may become another one.
ANIMALS = ["cat cats dog dogs horse horses cow cows goat goats"] * 300

LETTERS = TfidfVectorizer(analyzer="char", ngram_range=(1, 2))


def _runs(text):
    """Return the parts of a text in which the words follow each other as in one of NUMBERED."""
    runs = []
    for word in text.split():
        number, place = word.split(".")
        if runs and runs[-1][-1] == f"{number}.{int(place) - 1}":
            runs[-1].append(word)
        else:
            runs.append([word])
    return runs


def test_a_part_of_each_and_a_part_of_another_are_put_together():
    made = augment_texts(NUMBERED, n_each=3, random_state=0)
    assert len(made) == 120
    first = []
    for i, text in enumerate(made):
        runs = _runs(text)
        assert len(runs) in (1, 2)  # of the same text, one may follow the other
        numbers = [run[0].split(".")[0] for run in runs]
        assert str(i % 40) in numbers
        first.append(numbers[0] == str(i % 40))
    assert 30 < sum(first) < 90


def test_parts_have_three_to_eight_tenths_of_the_words():
    long = [" ".join(f"{i}.{place}" for place in range(100)) for i in range(2)]
    made = augment_texts(long, n_each=200, random_state=0)
    sizes = [len(run) for text in made for run in _runs(text) if len(_runs(text)) == 2]
    apart = [size for size in sizes if size <= 80]
    assert min(apart) in range(30, 33)
    assert max(apart) in range(78, 81)
    starts = [int(_runs(text)[0][0].split(".")[1]) for text in made]
    assert min(starts) == 0
    assert max(starts) > 60


def test_words_become_near_ones_or_are_left_out():
    own = ANIMALS[0].split()
    made = augment_texts(ANIMALS, LETTERS, n_each=2, random_state=0)[len(ANIMALS) :]
    words = [text.split() for text in made]
    assert {word for text in words for word in text} == set(own)
    assert np.mean([len(text) for text in words]) == pytest.approx(9, abs=0.2)
    whole = [text for text in words if len(text) == len(own)]
    changed = np.mean([a != b for text in whole for a, b in zip(text, own, strict=True)])
    assert changed == pytest.approx(8 / 9 / 3, abs=0.05)


def test_a_word_becomes_the_nearest_ones():
    far = ["wxyz", "yzxw", "zwyx", "xyzw", "ywzx", "wzxy", "zyxw", "xwyz", "yxwz", "wyzx"]
    near = ["abcd", "abcc", "abdd", "abcb", "abca", "abbd", "abad", "bbcd", "abccd"]
    texts = [" ".join(near + far)] * 40
    made = augment_texts(texts, LETTERS, n_each=2, random_state=0)[40:]
    for text in made:
        of_near = [word[0] in "ab" for word in text.split()]
        assert of_near == sorted(of_near, reverse=True)


def test_ways_take_turns():
    made = augment_texts(NUMBERED, LETTERS, n_each=4, random_state=0)
    for turn in range(4):
        several = [
            len({w.split(".")[0] for w in text.split()}) > 1 for text in made[40 * turn :][:40]
        ]
        assert any(several) == (turn % 2 == 0)


def test_words_of_the_packaged_encoder():
    texts = [
        "a good film",
        "a Good, bad film",
        "an excellent film",
        "excellent, good and bad",
        "bad",
    ]
    made = augment_texts(
        [*texts, "excellent"], MuxTextEmbedder(n_mux="words"), n_each=80, random_state=0
    )
    ways = {text for i, text in enumerate(made) if (i // 6) % 2 and i % 6 == 1}
    assert {"a excellent, bad film", "a Good, bad"} < ways
    assert all(text.count(",") <= 1 for text in ways)


def test_rare_words_and_numbers_stay():
    texts = ["Zanzibar 1234 is is is", "Timbuktu at 1234 at is", "Kathmandu 1234 is"]
    made = augment_texts(texts, LETTERS, n_each=50, random_state=0)
    for i, text in enumerate(made):
        if i // 3 % 2:
            own = iter(texts[i % 3].split())
            assert all(word in own for word in text.split()), "its own words, in their order"


@pytest.mark.parametrize("embedder", [None, LETTERS])
def test_short_texts(embedder):
    made = augment_texts(["", "one", "a b"], embedder, n_each=20, random_state=0)
    assert len(made) == 60
    assert all(text == " ".join(text.split()) for text in made)
    replaced = made[3:6] if embedder else []
    assert replaced in ([], ["", "one", "a b"], ["", "one", "a"], ["", "one", "b"])


@pytest.mark.parametrize("embedder", [None, LETTERS])
def test_same_seed_same_texts(embedder):
    first, again, other = (
        augment_texts(ANIMALS, embedder, n_each=2, random_state=seed) for seed in (1, 1, 2)
    )
    assert first == again != other
    assert first == augment_texts(
        np.array(ANIMALS), embedder, n_each=2, random_state=np.random.RandomState(1)
    )


def test_the_embedder_stays_as_it_was():
    embedder = TfidfVectorizer()
    augment_texts(["cat dog", "dog cat", "cat", "dog"], embedder, n_each=2, random_state=0)
    assert not hasattr(embedder, "vocabulary_")


@pytest.mark.parametrize(
    ("params", "error", "message"),
    [
        ({"n_each": 0}, ValueError, r"`n_each` must be a whole number of at least 1, got 0"),
        ({"n_each": 1.5}, TypeError, r"`n_each` must .* got 1\.5 \(float\)"),
        ({"random_state": "0"}, TypeError, r"`random_state` must be .* got '0'"),
        ({"embedder": "words"}, TypeError, r"`embedder` must be .* None, got 'words' \(str\)"),
        ({"X": ["a", None]}, ValueError, r"row 1"),
        ({"X": "a text"}, TypeError, r"`X` is a single str; give a sequence"),
        ({"X": [("a", "b")]}, ValueError, r"`X` holds pairs of texts; give single texts"),
        ({"X": []}, ValueError, r"`X`"),
    ],
)
def test_what_is_not_allowed(params, error, message):
    with pytest.raises(error, match=message):
        augment_texts(**{"X": ["a", "b"], **params})
