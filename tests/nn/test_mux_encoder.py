import pytest
import torch

from muxlearn.nn.encoder import CompactEncoder
from muxlearn.nn.mux_encoder import MuxEncoder
from muxlearn.nn.patches import Point


@pytest.fixture
def model():
    torch.manual_seed(0)
    encoder = CompactEncoder(50, 16, 2, 2, 32, 12, dropout=0.0, norm_first=False)
    return MuxEncoder(encoder, n_mux=3, patch_sizes=[2, 4]).eval()


def rows(n_rows, length, seed=0):
    ids = torch.randint(1, 50, (n_rows, length), generator=torch.Generator().manual_seed(seed))
    lengths = torch.arange(n_rows) % length + 1
    return ids, torch.arange(length) < lengths.flip(0)[:, None]


def test_at_one_and_one_it_is_the_encoder_alone(model):
    ids, mask = rows(6, 8)
    encoded = model.encode(model.embed(ids), mask, Point())
    wanted = model.encoder(model.encoder.embedding(ids), mask)
    torch.testing.assert_close(encoded.hidden[mask], wanted[mask])


@pytest.mark.parametrize("patch_size", [1, 2, 4])
def test_without_companions_no_row_depends_on_another(model, patch_size):
    ids, mask = rows(6, 8)
    point = Point(1, patch_size)
    together = model.read_rows(model.encode(model.embed(ids), mask, point))
    for row in range(6):
        alone = model.read_rows(model.encode(model.embed(ids[[row]]), mask[[row]], point))
        torch.testing.assert_close(alone[0], together[row])


@pytest.mark.parametrize("point", [Point(1, 2), Point(3, 1), Point(3, 4)])
def test_padding_does_not_speak(model, point):
    ids, mask = rows(6, 7)
    encoded = model.encode(model.embed(ids), mask, point)
    longer = torch.nn.functional.pad(ids, (0, 5), value=9)
    more = model.encode(
        model.embed(longer), torch.nn.functional.pad(mask, (0, 5), value=False), point
    )
    torch.testing.assert_close(model.read_rows(more), model.read_rows(encoded))


def test_dense_rows_need_no_mask(model):
    ids, mask = rows(6, 8)[0], torch.ones(6, 8, dtype=torch.bool)
    for point in (Point(1, 2), Point(3, 4)):
        masked = model.encode(model.embed(ids), mask, point)
        dense = model.encode(model.embed(ids), mask, point, dense=True)
        torch.testing.assert_close(dense.hidden, masked.hidden)


def test_tokens_are_read_off_the_position_that_they_stand_in(model):
    ids, mask = rows(6, 8)[0], torch.ones(6, 8, dtype=torch.bool)
    vectors, point = model.embed(ids), Point(3, 2)
    encoded = model.encode(vectors, mask, point)
    read = model.read_tokens(encoded, vectors, torch.tensor([4, 1]), torch.tensor([5, 0]))
    for number, (row, place) in enumerate([(4, 5), (1, 0)]):
        position = encoded.hidden[[row // 3], place // 2][:, None, None]  # (1, 1, 1, width)
        of_row = model.demultiplexer(position.expand(1, 3, 1, -1))[:, row % 3, 0]
        wanted = model.patch_reader(of_row, vectors[[row], place], torch.tensor([place % 2]), 2)
        torch.testing.assert_close(read[number], wanted[0])


def test_a_second_text_is_marked(model):
    ids, mask = rows(2, 8)[0], torch.ones(2, 8, dtype=torch.bool)
    with torch.no_grad():
        model.second_text.fill_(1.0)
    second = torch.arange(8) >= 5
    torch.testing.assert_close(model.embed(ids, second)[:, :5], model.embed(ids)[:, :5])
    marked = model.encode(model.embed(ids, second), mask, Point(1, 2))
    plain = model.encode(model.embed(ids), mask, Point(1, 2))
    assert (model.read_rows(marked) - model.read_rows(plain)).abs().max() > 1e-3


def test_the_words_alone_know_no_order(model):
    ids, mask = rows(4, 8)[0], torch.ones(4, 8, dtype=torch.bool)
    torch.testing.assert_close(model.read_words(ids.flip(1), mask), model.read_words(ids, mask))
