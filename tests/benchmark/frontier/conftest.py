import numpy as np
import pytest

GOOD, BAD = ("charming", "lovely", "warm"), ("bleak", "dull", "poor")
OTHERS = ("the", "film", "story", "of", "actors", "with", "music")
NAMES = {"Ada": "B-PER", "Bo": "B-PER", "Rome": "B-LOC", "Oslo": "B-LOC"}


@pytest.fixture(scope="session")
def write_task(tmp_path_factory):
    """Write the files of a tiny task; returns that of the training rows."""

    def write(kind, n_train=80, n_test=24):
        rng = np.random.default_rng(0)
        folder = tmp_path_factory.mktemp(kind)
        for part, n_rows in (("train", n_train), ("test", n_test)):
            lines = [LINES[kind](rng) for _ in range(n_rows)]
            (folder / f"tiny-{part}.tsv").write_text("\n".join(lines))
        return folder / "tiny-train.tsv"

    return write


def draw_text(rng, words):
    drawn = list(rng.choice(OTHERS, rng.integers(2, 6)))
    return " ".join([*drawn, str(rng.choice(words))])


def draw_labelled(rng):
    label, words = (("pos", GOOD), ("neg", BAD))[rng.integers(2)]
    return f"{label}\t{draw_text(rng, words)}"


def draw_pair(rng):
    first, second = rng.integers(2, size=2)
    texts = [draw_text(rng, (GOOD, BAD)[side]) for side in (first, second)]
    return "\t".join(["same" if first == second else "other", *texts])


def draw_sentence(rng):
    words = [*rng.choice(OTHERS, 3), str(rng.choice(list(NAMES)))]
    return "".join(f"{word}\t{NAMES.get(word, 'O')}\n" for word in words)


LINES = {"texts": draw_labelled, "pairs": draw_pair, "sentences": draw_sentence}
