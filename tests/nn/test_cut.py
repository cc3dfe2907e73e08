import copy
import pickle

import pytest
import torch
import transformers
from transformers import AutoModel

from muxlearn.nn.cut import FrozenEncoder
from muxlearn.nn.encoder import PretrainedEncoder

N_LAYERS = 3
SIZES = {
    "vocab_size": 30,
    "hidden_size": 16,
    "num_hidden_layers": N_LAYERS,
    "num_attention_heads": 2,
    "intermediate_size": 32,
}
TOKENS = {
    "pad_token_id": 0,
    "cls_token_id": 1,
    "bos_token_id": 1,
    "sep_token_id": 2,
    "eos_token_id": 2,
}
FAMILIES = {
    "BERT": transformers.BertConfig(**SIZES),
    "RoBERTa": transformers.RobertaConfig(**SIZES),
    "DistilBERT": transformers.DistilBertConfig(
        vocab_size=30, dim=16, n_layers=N_LAYERS, n_heads=2, hidden_dim=32
    ),
    "ELECTRA": transformers.ElectraConfig(embedding_size=8, **SIZES),
    "ModernBERT": transformers.ModernBertConfig(**SIZES, **TOKENS),
    "MPNet": transformers.MPNetConfig(**SIZES),
}

every_family = pytest.mark.parametrize("family", FAMILIES)
every_layer = pytest.mark.parametrize("mux_layer", range(N_LAYERS))


def make_model(family="BERT"):
    return AutoModel.from_config(FAMILIES[family])


def make(mux_layer=1, family="BERT"):
    return FrozenEncoder(PretrainedEncoder(make_model(family)), mux_layer)


def random_rows(n_rows=4, length=7):
    ids = torch.randint(5, 30, (n_rows, length))
    lengths = torch.randint(1, length + 1, (n_rows, 1))
    lengths[0] = length
    return ids, torch.arange(length) < lengths


@every_family
@every_layer
def test_the_parts_in_succession_are_the_whole(family, mux_layer):
    model = make_model(family)
    encoder = FrozenEncoder(PretrainedEncoder(model), mux_layer)
    ids, mask = random_rows()
    expected = model(input_ids=ids, attention_mask=mask.long()).last_hidden_state
    found = encoder.encode(encoder.read(ids, mask), mask)
    torch.testing.assert_close(found[mask], expected[mask])


@every_layer
def test_each_layer_runs_in_one_part(mux_layer):
    encoder = make(mux_layer)
    parts = encoder.lower.encoder.layer, encoder.upper.encoder.layer
    assert [len(part) for part in parts] == [mux_layer, N_LAYERS - mux_layer]
    assert (encoder.mux_layer, encoder.n_layers) == (mux_layer, N_LAYERS)


def test_half_of_the_layers_is_the_default():
    assert make(None).mux_layer == N_LAYERS // 2


@pytest.mark.parametrize("mux_layer", [-1, N_LAYERS, 100])
def test_a_layer_that_is_not_there_is_refused(mux_layer):
    with pytest.raises(
        ValueError, match=f"mux_layer={mux_layer} is outside of 0 to 2: the encoder"
    ):
        make(mux_layer)


def test_a_model_without_a_stack_of_layers_is_refused():
    config = transformers.AlbertConfig(embedding_size=8, **SIZES)
    with pytest.raises(ValueError, match="AlbertModel cannot be cut after one of its layers"):
        FrozenEncoder(PretrainedEncoder(AutoModel.from_config(config)), 1)


@pytest.mark.parametrize("extra", [{"conv_kernel_size": 3}, {}], ids=["convolution", "no layer"])
def test_a_model_whose_parts_are_not_the_whole_is_refused(extra):
    # Behind its first layer stands a convolution; without any layer it does not run at all.
    config = transformers.DebertaV2Config(initializer_range=0.5, **SIZES, **extra)
    encoder = PretrainedEncoder(AutoModel.from_config(config))
    with pytest.raises(ValueError, match="DebertaV2Model cannot be cut"):
        FrozenEncoder(encoder, 1 if extra else 0)


def test_it_is_frozen_and_drops_nothing_in_training():
    encoder = make().train()
    ids, mask = random_rows()
    hidden = encoder.encode(encoder.read(ids, mask), mask)
    assert not hidden.requires_grad
    assert not any(module.training for module in encoder.modules())
    torch.testing.assert_close(encoder.encode(encoder.read(ids, mask), mask), hidden)


def test_the_original_is_left_with_all_its_layers():
    model = make_model()
    FrozenEncoder(PretrainedEncoder(model), 1)
    assert len(model.encoder.layer) == N_LAYERS
    assert isinstance(model.embeddings.word_embeddings, torch.nn.Embedding)


def test_the_fingerprint_is_that_of_the_weights_wherever_they_are_cut():
    model = make_model()
    prints = [FrozenEncoder(PretrainedEncoder(model), at).fingerprint for at in range(N_LAYERS)]
    assert len(set(prints)) == 1
    with torch.no_grad():
        model.encoder.layer[2].output.dense.bias[3] += 1e-6
    assert FrozenEncoder(PretrainedEncoder(model), 0).fingerprint != prints[0]


@pytest.mark.parametrize("copied", [copy.deepcopy, lambda e: pickle.loads(pickle.dumps(e))])
def test_parts_share_their_weights_in_copies_too(copied):
    encoder = copied(make())
    assert encoder.lower.embeddings.word_embeddings is encoder.embedding
    ids, mask = random_rows()
    torch.testing.assert_close(
        encoder.read(ids, mask),
        encoder.lower(
            inputs_embeds=encoder.embedding(ids), attention_mask=mask.long()
        ).last_hidden_state,
    )
