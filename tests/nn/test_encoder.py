import pytest
import torch
from torch.nn.attention import SDPBackend, sdpa_kernel
from transformers import BertConfig, BertModel

from muxlearn.nn.encoder import CompactEncoder, PretrainedEncoder

HIDDEN, LENGTH = 16, 7


def compact(**kwargs):
    return CompactEncoder(
        30, HIDDEN, num_hidden_layers=2, num_attention_heads=2, intermediate_size=32, **kwargs
    ).eval()


def pretrained():
    config = BertConfig(
        vocab_size=30,
        hidden_size=HIDDEN,
        num_hidden_layers=2,
        num_attention_heads=2,
        intermediate_size=32,
        max_position_embeddings=16,
    )
    return PretrainedEncoder(BertModel(config, add_pooling_layer=False)).eval()


every_encoder = pytest.mark.parametrize("make", [compact, pretrained])


@every_encoder
def test_every_position_gets_a_vector(make):
    encoder, x = make(), torch.randn(3, LENGTH, HIDDEN)
    assert encoder(x, torch.ones(3, LENGTH, dtype=torch.bool)).shape == x.shape


@every_encoder
def test_padding_does_not_speak(make):
    encoder, x = make(), torch.randn(3, LENGTH, HIDDEN)
    mask = torch.arange(LENGTH).expand(3, -1) < 4
    alone = encoder(x[:, :4], mask[:, :4])
    torch.testing.assert_close(encoder(x, mask)[:, :4], alone, atol=1e-5, rtol=0)


def test_attention_is_never_over_nothing():
    """Before torch 2.5 its answer would be NaN."""
    encoder, x = compact(), torch.randn(2, LENGTH, HIDDEN)
    mask = torch.arange(LENGTH) < torch.tensor([[4], [0]])
    seen = []
    encoder.layers[0].register_forward_pre_hook(lambda layer, args: seen.append(args[1]))
    assert encoder(x, mask).isfinite().all()
    assert torch.equal(seen[0][0, 0, 0], mask[0])
    assert seen[0][1].any()


@every_encoder
def test_positions_inside_of_the_text_speak(make):
    encoder, x = make(), torch.randn(3, LENGTH, HIDDEN)
    mask = torch.ones(3, LENGTH, dtype=torch.bool)
    other = x.clone()
    other[:, -1] = torch.randn(HIDDEN)
    assert (encoder(x, mask) - encoder(other, mask))[:, 0].abs().max() > 1e-3


@every_encoder
def test_the_order_of_positions_matters(make):
    encoder, x = make(), torch.randn(3, LENGTH, HIDDEN)
    mask = torch.ones(3, LENGTH, dtype=torch.bool)
    backwards = encoder(x.flip(1), mask).flip(1)
    assert (encoder(x, mask) - backwards).abs().max() > 1e-3


@every_encoder
def test_sizes_are_those_of_the_parts(make):
    encoder = make()
    assert encoder.hidden_size == HIDDEN
    assert encoder.embedding_size == encoder.embedding.weight.shape[1] == HIDDEN


@every_encoder
def test_an_encoder_runs_without_its_token_table(make):
    encoder, x = make(), torch.randn(3, LENGTH, HIDDEN)
    mask = torch.ones(3, LENGTH, dtype=torch.bool)
    before = encoder(x, mask)
    encoder.drop_embedding()
    assert encoder.embedding.weight.numel() == 0
    torch.testing.assert_close(encoder(x, mask), before)


def test_a_prefix_does_not_shorten_the_text():
    encoder = compact(max_length=LENGTH, n_prefix=3)
    x = torch.randn(2, 3 + LENGTH, HIDDEN)
    assert encoder(x, torch.ones(2, 3 + LENGTH, dtype=torch.bool)).shape == x.shape


def test_a_pretrained_encoder_computes_what_its_model_does():
    encoder = pretrained()
    ids = torch.randint(30, (3, LENGTH))
    mask = torch.arange(LENGTH) < torch.tensor([[3], [7], [5]])
    torch.testing.assert_close(
        encoder(encoder.embedding(ids), mask),
        encoder.model(input_ids=ids, attention_mask=mask.long()).last_hidden_state,
    )


def test_on_a_cpu_the_choice_of_attention_is_the_callers():
    encoder, seen = CompactEncoder(30, 8, 1, 2, 16, 12).eval(), []
    encoder.layers[0].register_forward_hook(
        lambda *_: seen.append(torch.backends.cuda.flash_sdp_enabled())
    )
    x, mask = torch.randn(2, 5, 8), torch.ones(2, 5, dtype=torch.bool)
    with sdpa_kernel(SDPBackend.MATH):
        encoder(x, mask)
    encoder(x, mask)
    assert seen == [False, True]
