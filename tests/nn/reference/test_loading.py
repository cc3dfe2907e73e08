import re

import pytest
import torch

from muxlearn.nn.reference import (
    MuxBertMaskedLM,
    MuxBertSequenceClassifier,
    MuxBertTokenClassifier,
    ReferenceSequenceClassifier,
    ReferenceTokenClassifier,
)


def test_wrong_number_of_slots_names_the_tensors_that_lack(mlp_case):
    config, tensors, _ = mlp_case
    three = {**tensors, "instance_embedding": torch.ones(3, 32)}
    with pytest.raises(ValueError, match="3 slots") as error:
        ReferenceSequenceClassifier.from_state_dict(config, three)
    assert "missing: demultiplexer.demux_module.dense_2.weight" in str(error.value)
    assert "missing: retrieval_head.demux_module.layer_norm_2.bias" in str(error.value)


def test_fewer_slots_than_layers_names_the_tensors_left_over(mlp_case):
    config, tensors, _ = mlp_case
    one = {**tensors, "instance_embedding": torch.ones(1, 32)}
    with pytest.raises(ValueError, match=r"unexpected: demultiplexer\.demux_module\.dense_1\.bias"):
        ReferenceSequenceClassifier.from_state_dict(config, one)


def test_missing_extra_and_misshaped_tensors_are_one_error(index_case):
    config, tensors, _ = index_case
    tensors = {**tensors, "roberta.pooler.dense.bias": torch.zeros(32)}
    tensors["demultiplexer.dense.weight"] = torch.zeros(32, 32)
    del tensors["retrieval_head.layer_norm.bias"]
    with pytest.raises(ValueError, match="do not fit") as error:
        ReferenceSequenceClassifier.from_state_dict(config, tensors)
    assert str(error.value).splitlines()[1:] == [
        "  missing: retrieval_head.layer_norm.bias",
        "  unexpected: roberta.pooler.dense.bias",
        "  mis-shaped: demultiplexer.dense.weight is (32, 32), not (32, 64)",
    ]


@pytest.mark.parametrize("name", ["instance_embedding", "demultiplexer.out_proj.weight"])
def test_other_checkpoints_are_refused(index_case, name):
    config, tensors, _ = index_case
    others = {k: v for k, v in tensors.items() if k != name}
    with pytest.raises(ValueError, match=f"not a DataMUX sequence .*{re.escape(name)} none"):
        ReferenceSequenceClassifier.from_state_dict(config, others)


def test_a_key_of_one_axis_is_refused(index_case):
    config, tensors, _ = index_case
    tensors = {**tensors, "instance_embedding": torch.ones(2)}
    with pytest.raises(ValueError, match=r"instance_embedding \(2 or 3 axes\).* \(2,\)"):
        ReferenceSequenceClassifier.from_state_dict(config, tensors)


def test_a_sequence_classifier_is_no_token_classifier(index_case):
    config, tensors, _ = index_case
    with pytest.raises(ValueError, match=r"token classifier.*decoder.weight none"):
        ReferenceTokenClassifier.from_state_dict(config, tensors)


@pytest.mark.parametrize("model", [MuxBertSequenceClassifier, MuxBertTokenClassifier])
def test_a_language_model_is_no_classifier(muxbert, model):
    with pytest.raises(ValueError, match=r"not a MUX-BERT \w+ classifier.*classifier.weight none"):
        model.from_state_dict(*muxbert(n_classes=None))


def test_a_classifier_is_no_language_model(muxbert):
    with pytest.raises(ValueError, match=r"unexpected: classifier\.weight"):
        MuxBertMaskedLM.from_state_dict(*muxbert())


@pytest.mark.parametrize("kept", ["retrieval_head.bias", "retrieval_head.decoder.bias"])
def test_either_name_of_the_shared_bias_will_do(index_case, kept):
    config, tensors, _ = index_case
    names = {"retrieval_head.bias", "retrieval_head.decoder.bias"}
    tensors = {k: v for k, v in tensors.items() if k == kept or k not in names}
    model = ReferenceSequenceClassifier.from_state_dict(config, tensors)
    torch.testing.assert_close(model.retrieval_head.bias.data, tensors[kept])


@pytest.mark.parametrize("kept", ["demultiplexer.demux_module.", "retrieval_head.demux_module."])
def test_any_name_of_the_shared_layers_will_do(muxbert, kept):
    config, tensors = muxbert()
    renamed = {re.sub(r"^demux_module\.", kept, k): v for k, v in tensors.items()}
    first, second = (MuxBertTokenClassifier.from_state_dict(config, t) for t in (tensors, renamed))
    assert all(map(torch.equal, first.parameters(), second.parameters()))


def test_the_decoder_may_stand_for_the_words(muxbert):
    config, tensors = muxbert()
    words = tensors.pop("bert.embeddings.word_embeddings.weight")
    tensors["retrieval_head.decoder.weight"] = words
    model = MuxBertTokenClassifier.from_state_dict(config, tensors)
    torch.testing.assert_close(model.backbone.embeddings.word_embeddings.weight.data, words)


def test_all_copies_may_be_there(muxbert):
    config, tensors = muxbert()
    copies = {f"retrieval_head.{k}": v for k, v in tensors.items() if k.startswith("demux_module")}
    copies |= {f"demultiplexer.{k}": v for k, v in tensors.items() if k.startswith("demux_module")}
    copies["retrieval_head.bias"] = tensors["retrieval_head.decoder.bias"]
    first, second = (
        MuxBertTokenClassifier.from_state_dict(config, t) for t in (tensors, tensors | copies)
    )
    assert all(map(torch.equal, first.parameters(), second.parameters()))


def test_copies_that_differ_are_refused(muxbert):
    config, tensors = muxbert()
    name = "retrieval_head.decoder.weight"
    tensors[name] = tensors["bert.embeddings.word_embeddings.weight"] + 1
    with pytest.raises(ValueError, match=f"differing: {re.escape(name)} and .*word_embeddings"):
        MuxBertTokenClassifier.from_state_dict(config, tensors)


def test_old_position_ids_are_ignored(index_case):
    config, tensors, _ = index_case
    tensors = {**tensors, "roberta.embeddings.position_ids": torch.arange(514)[None]}
    assert not ReferenceSequenceClassifier.from_state_dict(config, tensors).training


def test_slots_are_counted_in_the_tensors_not_in_the_config(index_case):
    config, tensors, _ = index_case
    config = {**config, "num_instances": 40, "demuxing_variant": "mlp"}
    assert ReferenceSequenceClassifier.from_state_dict(config, tensors).n_mux == 2


def test_sizes_are_those_of_the_tensors_not_of_the_config(muxbert):
    config, tensors = muxbert()
    config = {"num_attention_heads": 2, "hidden_size": 768, "num_hidden_layers": 12}
    model = MuxBertTokenClassifier.from_state_dict(config, tensors)
    assert (model.backbone.config.hidden_size, model.max_length) == (16, 20)
    assert len(model.backbone.encoder.layer) == 1


def test_what_a_pretrained_config_asks_for_besides_is_not_computed(muxbert, words):
    config, tensors = muxbert(n_classes=None)
    config = {**config, "output_attentions": True, "output_hidden_states": True}
    model = MuxBertMaskedLM.from_state_dict(config, tensors)
    assert model(words[0], words[0]).loss.isfinite()


def test_the_given_tensors_are_not_shared(mlp_case):
    config, tensors, _ = mlp_case
    before = tensors["instance_embedding"].clone()
    model = ReferenceSequenceClassifier.from_state_dict(config, tensors)
    with torch.no_grad():
        model.multiplexer.keys.zero_()
    assert torch.equal(tensors["instance_embedding"], before)
