import pytest
import torch
from torch import nn
from torch.nn import functional as F

from muxlearn.nn.alignment import Alignment

SIZE = 6


def random_alignment(with_words):
    alignment = Alignment(SIZE, with_words)
    nn.init.normal_(alignment.correction.weight)
    return alignment


@pytest.mark.parametrize("with_words", [False, True])
def test_a_new_one_corrects_nothing(with_words):
    vectors, words = torch.randn(2, 5, SIZE)
    alignment = Alignment(SIZE, with_words)
    torch.testing.assert_close(alignment(vectors, words if with_words else None), vectors)


def test_the_correction_is_a_map_of_directions():
    vectors, words = torch.randn(2, 5, SIZE)
    alignment = random_alignment(True)
    directions = torch.cat([F.normalize(vectors), F.normalize(words)], 1)
    wanted = F.normalize(vectors) + directions @ alignment.correction.weight.T
    aligned = alignment(vectors, words)
    torch.testing.assert_close(aligned, vectors.norm(dim=1, keepdim=True) * wanted)


def test_longer_vectors_are_corrected_by_as_much_more():
    vectors = torch.randn(5, SIZE)
    alignment = random_alignment(False)
    torch.testing.assert_close(alignment(3 * vectors), 3 * alignment(vectors))
