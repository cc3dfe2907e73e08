import pytest
import torch

from muxlearn.nn.demultiplex import DEMULTIPLEXERS, NestedDemultiplexer, RSADemultiplexer
from muxlearn.nn.embedding import EmbeddingParts, EmbeddingTrainingOutput, MuxSequenceEmbedder
from muxlearn.nn.encoder import CompactEncoder
from muxlearn.nn.multiplex import MULTIPLEXERS, NestedMultiplexer, SubspaceMultiplexer
from muxlearn.points import Point

N_MUX, HIDDEN, VOCAB, TEACHER, LENGTH = 4, 16, 30, 12, 6


def make_encoder():
    return CompactEncoder(VOCAB, HIDDEN, 1, 2, 32, max_length=16)


@pytest.fixture
def model():
    mux = SubspaceMultiplexer(N_MUX, HIDDEN, n_blocks=N_MUX)
    demux = RSADemultiplexer(N_MUX, HIDDEN, n_blocks=N_MUX)
    return MuxSequenceEmbedder(make_encoder(), mux, demux, TEACHER).eval()


@pytest.fixture
def rows():
    ids = torch.randint(VOCAB, (12, LENGTH))
    lengths = torch.arange(12)[:, None] % LENGTH + 1
    return ids, (torch.arange(LENGTH) < lengths).long()


@pytest.mark.parametrize("n_mux", [1, 2, 3, 4])
def test_every_row_gets_a_vector(model, rows, n_mux):
    vectors = model(*rows, n_mux=n_mux)
    assert vectors.shape == (12, TEACHER)
    assert len(vectors.unique(dim=0)) == 12


@pytest.mark.parametrize("n_mux", [1, 2, 4])
def test_the_copy_for_inference_says_the_same(model, rows, n_mux):
    torch.testing.assert_close(model.for_inference()(*rows, n_mux=n_mux), model(*rows, n_mux=n_mux))


def test_padding_does_not_speak(model, rows):
    ids, mask = (torch.nn.functional.pad(t, (0, 3)) for t in rows)
    torch.testing.assert_close(model(ids, mask), model(*rows))


@pytest.mark.parametrize("demux", [name for name, cls in DEMULTIPLEXERS.items() if name != "index"])
def test_slots_of_a_row_are_averaged_where_each_is_read_alone(rows, demux):
    parts = MULTIPLEXERS["hadamard"](N_MUX, HIDDEN), DEMULTIPLEXERS[demux](N_MUX, HIDDEN)
    model = MuxSequenceEmbedder(make_encoder(), *parts, TEACHER).eval()
    ids, mask = (t[:2] for t in rows)
    ids_in_slots, mask_in_slots = (t[torch.tensor([0, 1, 0, 1])] for t in (ids, mask))
    of_slots = model(ids_in_slots, mask_in_slots, parts=EmbeddingParts()).rows
    expected = of_slots.view(2, 2, TEACHER).mean(0)
    torch.testing.assert_close(model(ids, mask, n_mux=2), expected)


def test_training_gets_rows_with_and_without_the_lexical_path_and_tokens(model, rows):
    output = model(*rows, n_mux=2, parts=EmbeddingParts(token_samples=8))
    assert isinstance(output, EmbeddingTrainingOutput)
    assert output.rows.shape == output.mixed_rows.shape == (12, TEACHER)
    assert (output.rows - output.mixed_rows).abs().max() > 0.01
    vectors, positions = output.tokens
    assert vectors.shape == (6, 2, 4, TEACHER)
    lengths = rows[1].sum(1).view(6, 2, 1)
    assert (positions < lengths).all()
    assert output.retrieval is None


def test_tokens_are_read_at_the_positions_asked_for_beside_sampled_ones(model, rows):
    positions = torch.tensor([[4, 0, 1], [2, 2, 5]]).expand(6, 2, 3)
    asked = EmbeddingParts(positions=positions)
    read = model(*rows, n_mux=2, parts=asked._replace(token_samples=8)).read
    assert read.shape == (6, 2, 3, HIDDEN)
    torch.testing.assert_close(read, model(*rows, n_mux=2, parts=asked).read)
    all_of_them = EmbeddingParts(positions=torch.arange(LENGTH).expand(6, 2, LENGTH))
    everywhere = model(*rows, n_mux=2, parts=all_of_them).read
    index = positions[..., None].expand_as(read)
    torch.testing.assert_close(read, everywhere.gather(2, index))


def test_sampled_tokens_are_no_tokens_that_were_asked_for(model, rows):
    assert model(*rows, n_mux=2, parts=EmbeddingParts(token_samples=8)).read is None


class TestNested:
    """The model that the packaged encoder's training runs."""

    @pytest.fixture
    def model(self):
        torch.manual_seed(0)
        encoder = CompactEncoder(50, 16, 2, 2, 32, 12, dropout=0.0, norm_first=False)
        multiplexer, demultiplexer = NestedMultiplexer(3, 16), NestedDemultiplexer(3, 16)
        return MuxSequenceEmbedder(
            encoder, multiplexer, demultiplexer, 16, patch_sizes=[1, 2, 4]
        ).eval()

    def test_at_one_and_one_it_is_the_encoder_alone(self, model):
        ids = torch.randint(1, 50, (6, 8))
        hidden = model.encoder(model.encoder.embedding(ids), None)
        rows = model(ids, n_mux=1, patch_size=1, parts=EmbeddingParts()).rows
        torch.testing.assert_close(rows, model.head(hidden.mean(1)))

    @pytest.mark.parametrize(
        ("point", "name"),
        [
            (Point(1, 1), "mixed_rows"),
            (Point(1, 2), "mixed_rows"),
            (Point(1, 4), "rows"),
            (Point(2, 2), "rows"),
        ],
    )
    def test_words_help_where_much_shares_a_position(self, model, point, name):
        ids = torch.randint(1, 50, (6, 8))
        n_mux, patch_size = point
        parts = model(ids, n_mux=n_mux, patch_size=patch_size, parts=EmbeddingParts())
        vectors = model(ids, n_mux=n_mux, patch_size=patch_size)
        torch.testing.assert_close(vectors, getattr(parts, name))
        assert (parts.rows - parts.mixed_rows).abs().max() > 0 or point == Point(1, 1)

    @pytest.mark.parametrize("point", [Point(1, 2), Point(3, 1), Point(3, 4)])
    def test_dense_rows_need_no_mask(self, model, point):
        ids = torch.randint(1, 50, (6, 8))
        masked = model(ids, torch.ones_like(ids), *point[:1], patch_size=point.patch_size)
        torch.testing.assert_close(
            model(ids, None, point.n_mux, patch_size=point.patch_size), masked
        )

    def test_the_words_alone_know_no_order(self, model):
        ids = torch.randint(1, 50, (4, 8))
        forwards, backwards = (model(x, n_mux=1, patch_size=0) for x in (ids, ids.flip(1)))
        torch.testing.assert_close(forwards, backwards)

    def test_the_words_alone_do_not_run_the_encoder(self, model):
        model.encoder.forward = None
        assert model(torch.randint(1, 50, (4, 8)), n_mux=1, patch_size=0).shape == (4, 16)
