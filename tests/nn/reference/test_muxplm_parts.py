import pytest
import torch
from torch.nn import functional as F
from transformers import BertConfig

from muxlearn.nn.reference._muxplm_parts import (
    ContextualMultiplexer,
    RetrievalRSADemultiplexer,
    RSALayers,
    TaskRSADemultiplexer,
)


@pytest.fixture
def layers():
    return RSALayers(3, 8, 4, eps=1e-12)


@pytest.fixture
def hidden():
    return torch.randn(2, 3, 5, 8, generator=torch.Generator().manual_seed(0))


def test_the_task_has_skips_and_no_norms(layers, hidden):
    demultiplexer = TaskRSADemultiplexer(layers, eps=1e-12)
    f = demultiplexer(hidden)
    d1, d2, d3, _ = layers.dense.values()
    z = F.gelu(d1(torch.cat([layers.keys[1], hidden[1, 1, 4]])))
    z = F.gelu(d2(z)) + z
    z = F.gelu(d3(z)) + z
    expected = demultiplexer.norm(F.gelu(demultiplexer.dense(z))) + z
    torch.testing.assert_close(f[1, 1, 4], expected)


def test_retrieval_has_norms_and_no_skips(layers, hidden):
    demultiplexer = RetrievalRSADemultiplexer(layers, eps=1e-12)
    z = torch.cat([layers.keys[2], hidden[0, 2, 3]])
    for dense, norm in list(zip(layers.dense.values(), layers.norm.values(), strict=True))[:2]:
        z = norm(F.gelu(dense(z)))
    expected = demultiplexer.norm(F.gelu(demultiplexer.dense(z)))
    torch.testing.assert_close(demultiplexer(hidden)[0, 2, 3], expected)


def test_task_and_retrieval_share_their_layers(layers):
    task, retrieval = TaskRSADemultiplexer(layers, 1e-12), RetrievalRSADemultiplexer(layers, 1e-12)
    assert set(layers.parameters()) == set(task.parameters()) & set(retrieval.parameters())


def make_contextual(**options):
    config = BertConfig(
        hidden_size=8,
        num_attention_heads=2,
        intermediate_size=16,
        hidden_dropout_prob=0.0,
        attention_probs_dropout_prob=0.0,
    )
    return ContextualMultiplexer(config, 3, **options).eval()


def test_what_is_masked_in_a_row_changes_nothing_elsewhere(hidden):
    multiplexer = make_contextual(mask_slots=True)
    mask = torch.ones(2, 3, 5)
    mask[0, 1, 3:] = 0
    changed = hidden.clone()
    changed[0, 1, 3:] += 1
    one, other = multiplexer(hidden, mask), multiplexer(changed, mask)
    torch.testing.assert_close(one[0, :3], other[0, :3])
    assert not torch.allclose(one[0, 3:], other[0, 3:])


def test_masks_of_slots_are_an_option(hidden):
    multiplexer = make_contextual(mask_slots=True)
    mask = torch.ones(2, 3, 5)
    mask[0, 1, 3:] = 0
    masked = multiplexer(hidden, mask)
    multiplexer.mask_slots = False
    unmasked = multiplexer(hidden, mask)
    torch.testing.assert_close(masked[0, :3], unmasked[0, :3])
    assert not torch.allclose(masked[0, 3:], unmasked[0, 3:])


def test_old_masks_leave_the_scores_where_all_slots_are_padding(hidden):
    # Softmax does not see a constant; only the rounding at 10,000 remains.
    multiplexer = make_contextual(mask_slots=True, legacy_mask=True)
    mask = torch.ones(2, 3, 5)
    mask[:, :, 4] = 0
    old = multiplexer(hidden, mask)
    multiplexer.mask_slots = False
    torch.testing.assert_close(old[:, 4], multiplexer(hidden, mask)[:, 4], rtol=0, atol=2e-3)
    multiplexer.mask_slots, multiplexer.legacy_mask = True, False
    torch.testing.assert_close(old[:, :4], multiplexer(hidden, mask)[:, :4])


def test_no_mask_is_a_mask_of_ones(hidden):
    multiplexer = make_contextual(mask_slots=True)
    torch.testing.assert_close(multiplexer(hidden), multiplexer(hidden, torch.ones(2, 3, 5)))
