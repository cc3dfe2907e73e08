import pytest
import torch

from muxlearn.nn.reference import ReferenceSequenceClassifier, ReferenceTokenClassifier


@pytest.fixture(scope="module")
def token_case(index_case):
    """The index case with the head of a token classifier."""
    config, tensors, recorded = index_case
    heads = ("demultiplexer.dense_before_out_proj.", "demultiplexer.out_proj.")
    tensors = {k: v for k, v in tensors.items() if not k.startswith(heads)}
    generator = torch.Generator().manual_seed(0)
    tensors["demultiplexer.decoder.weight"] = torch.randn(5, 32, generator=generator)
    tensors["demultiplexer.bias"] = torch.randn(5, generator=generator)
    return config, tensors, recorded


def test_caller_keeps_the_first_tokens(mlp_case):
    config, tensors, recorded = mlp_case
    ids = recorded["input.input_ids"].clone()
    ReferenceSequenceClassifier.from_state_dict(config, tensors)(ids)
    assert torch.equal(ids, recorded["input.input_ids"])


def test_rows_that_fill_no_mixture_are_refused(index_case):
    config, tensors, recorded = index_case
    model = ReferenceSequenceClassifier.from_state_dict(config, tensors)
    with pytest.raises(ValueError, match=r"3 rows cannot be divided .* n_mux=2"):
        model(recorded["input.input_ids"][:3])


def test_too_many_positions_are_refused(index_case):
    config, tensors, _ = index_case
    model = ReferenceSequenceClassifier.from_state_dict(config, tensors)
    ids = torch.full((2, 509), 5)
    model(ids)
    with pytest.raises(ValueError, match=r"513 positions, the prefix counted, exceed .* 512"):
        model(torch.full((2, 510), 5))


def test_a_mask_of_another_shape_is_refused(index_case):
    config, tensors, recorded = index_case
    model = ReferenceSequenceClassifier.from_state_dict(config, tensors)
    with pytest.raises(ValueError, match=r"attention_mask .* \(4, 9\).* input_ids, \(4, 10\)"):
        model(recorded["input.input_ids"], attention_mask=torch.ones(4, 9))


def test_slots_to_recover_are_drawn_if_not_given(index_case):
    config, tensors, recorded = index_case
    model = ReferenceSequenceClassifier.from_state_dict(config, tensors)
    ids, labels = recorded["input.input_ids"], recorded["input.labels"]
    with torch.random.fork_rng():
        torch.manual_seed(0)
        first, second = (model(ids, labels).retrieval_loss.item() for _ in range(2))
    assert first != second


def test_nothing_to_recover_makes_the_loss_nan_as_in_the_reference(index_case):
    config, tensors, recorded = index_case
    config = {**config, "retrieval_percentage": 0.0, "retrieval_loss_coeff": 0.0}
    model = ReferenceSequenceClassifier.from_state_dict(config, tensors)
    output = model(recorded["input.input_ids"], recorded["input.labels"])
    assert output.task_loss.isfinite()
    assert output.loss.isnan()


def test_gradients_reach_all_parts_but_the_keys(mlp_case):
    config, tensors, recorded = mlp_case
    model = ReferenceSequenceClassifier.from_state_dict(config, tensors)
    model(recorded["input.input_ids"], recorded["input.labels"]).loss.backward()
    without = [name for name, p in model.named_parameters() if p.grad is None]
    assert without == ["multiplexer.keys"]


def test_dropout_differs_from_slot_to_slot(mlp_case):
    config, tensors, _ = mlp_case
    config = {**config, "hidden_dropout_prob": 0.5}
    model = ReferenceSequenceClassifier.from_state_dict(config, tensors).train()
    read = []
    model.demultiplexer.register_forward_pre_hook(lambda _, args: read.append(args[0]))
    model.unfold(torch.ones(1, 4, 32), slice(0, 1))
    assert not torch.equal(read[0][:, 0], read[0][:, 1])


# Tokens.


def test_first_tokens_are_read_as_whole_rows_are(mlp_case):
    # The two classes of the mlp demultiplexer have the same tensors.
    config, tensors, recorded = mlp_case
    model = ReferenceTokenClassifier.from_state_dict(config, tensors)
    logits = model(recorded["input.input_ids"]).logits
    assert logits.shape == (4, 10, 3)
    torch.testing.assert_close(logits[:, 0], recorded["output.logits"], rtol=0, atol=2e-5)


def test_the_mark_at_the_start_is_to_be_recovered_by_token_classifiers_only(mlp_case):
    config, tensors, recorded = mlp_case
    rows = recorded["input.labels"]
    sequences = ReferenceSequenceClassifier.from_state_dict(config, tensors)
    tokens = ReferenceTokenClassifier.from_state_dict(config, tensors)
    ids = recorded["input.input_ids"]
    first = sequences(ids, rows).retrieval_targets[:, 0]
    assert first.tolist() == [-100, -100]
    first = tokens(ids, rows[:, None].expand(-1, 10)).retrieval_targets[:, 0]
    assert first.tolist() == [49923, 49923]


def test_the_position_of_rows_is_recovered_by_the_token_classifier(token_case):
    config, tensors, recorded = token_case
    model = ReferenceTokenClassifier.from_state_dict(config, tensors)
    demuxed = model.unfold(recorded["output.sequence_output"], slice(2, 3))[:, 0]
    torch.testing.assert_close(demuxed, recorded["output.demuxed"], rtol=0, atol=2e-5)


@pytest.mark.parametrize("labelled", [False, True])
def test_the_prefix_is_always_cut(token_case, labelled):
    config, tensors, recorded = token_case
    model = ReferenceTokenClassifier.from_state_dict(config, tensors)
    ids = recorded["input.input_ids"]
    output = model(ids, torch.zeros_like(ids) if labelled else None)
    whole = model.unfold(recorded["output.sequence_output"], slice(None))
    assert whole.shape == (4, 13, 32)
    torch.testing.assert_close(output.demuxed, whole[:, 3:], rtol=0, atol=2e-5)
    torch.testing.assert_close(output.logits, model.head(output.demuxed))


@pytest.mark.parametrize(("masked", "counted"), [(False, 5), (True, 3)])
def test_only_tokens_under_the_mask_with_labels_are_trained_on(token_case, masked, counted):
    config, tensors, recorded = token_case
    model = ReferenceTokenClassifier.from_state_dict(config, tensors)
    ids = recorded["input.input_ids"]
    labels, mask = torch.full_like(ids, -100), torch.ones_like(ids)
    labels[1, :5] = torch.arange(5)
    mask[1, 3:] = 0
    output = model(ids, labels, attention_mask=mask if masked else None)
    log_proba = output.logits[1].log_softmax(-1)
    expected = -log_proba[torch.arange(counted), torch.arange(counted)].mean()
    torch.testing.assert_close(output.task_loss, expected)


def test_either_name_of_the_decoders_bias_will_do(token_case):
    config, tensors, _ = token_case
    bias = tensors["demultiplexer.bias"]
    renamed = {k: v for k, v in tensors.items() if k != "demultiplexer.bias"}
    renamed["demultiplexer.decoder.bias"] = bias
    for given in (tensors, renamed):
        model = ReferenceTokenClassifier.from_state_dict(config, given)
        assert torch.equal(model.head.bias, bias)
