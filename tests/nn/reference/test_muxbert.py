import pytest
import torch

from muxlearn.nn.reference import (
    ContextualMultiplexer,
    MuxBertMaskedLM,
    MuxBertSequenceClassifier,
    MuxBertTokenClassifier,
)

CLASSIFIERS = [MuxBertSequenceClassifier, MuxBertTokenClassifier]
KINDS = [
    ("index", "vector"),
    ("index", "matrix"),
    ("index_pos", "vector"),
    ("index_pos", "matrix"),
    ("index_pos", "contextual"),
]


@pytest.mark.parametrize(("demultiplexer", "multiplexer"), KINDS)
@pytest.mark.parametrize("n_mux", [1, 3])
@pytest.mark.parametrize("model_class", CLASSIFIERS)
def test_kinds_are_read_off_the_tensors(
    muxbert, words, model_class, n_mux, demultiplexer, multiplexer
):
    config, tensors = muxbert(n_mux, demultiplexer, multiplexer)
    model = model_class.from_state_dict(config, tensors)
    output = model(*words[:1], attention_mask=words[1])
    per_token = (8,) if model_class is MuxBertTokenClassifier else ()
    assert output.logits.shape == (6, *per_token, 4)
    assert output.demuxed.shape == (6, *per_token, 16)
    assert isinstance(model.multiplexer, ContextualMultiplexer) == (multiplexer == "contextual")
    assert model.n_prefix == (n_mux + 1 if demultiplexer == "index" else 0)


@pytest.mark.parametrize("model_class", CLASSIFIERS)
def test_contextual_classifiers_have_no_prefix(muxbert, model_class):
    config, tensors = muxbert(demultiplexer="index", multiplexer="contextual")
    with pytest.raises(ValueError, match="'index_pos' only, not with 'index'"):
        model_class.from_state_dict(config, tensors)


@pytest.mark.parametrize("n_demux_layers", [2, 3, 5])
def test_hidden_layers_are_counted(muxbert, words, n_demux_layers):
    config, tensors = muxbert(n_demux_layers=n_demux_layers)
    logits = MuxBertTokenClassifier.from_state_dict(config, tensors)(words[0]).logits

    def changes(name):
        changed = {**tensors, name: tensors[name] + 1}
        other = MuxBertTokenClassifier.from_state_dict(config, changed)(words[0]).logits
        return not torch.equal(logits, other)

    # The last is not used.
    names = [f"demux_module.dense_{j}.bias" for j in range(1, n_demux_layers + 1)]
    assert [changes(name) for name in names] == [True] * (n_demux_layers - 1) + [False]
    assert not changes("demux_module.layer_norm_1.bias")


def test_one_hidden_layer_is_refused(muxbert):
    with pytest.raises(ValueError, match=r"n_demux_layers=1 .* fewer than 2"):
        MuxBertTokenClassifier.from_state_dict(*muxbert(n_demux_layers=1))


@pytest.mark.parametrize("model_class", [*CLASSIFIERS, MuxBertMaskedLM])
def test_caller_keeps_the_first_tokens(muxbert, words, model_class):
    ids = words[0].clone()
    n_classes = None if model_class is MuxBertMaskedLM else 4
    model = model_class.from_state_dict(*muxbert(n_classes=n_classes))
    labels = None if n_classes else ids.clone()
    model(ids, labels)
    assert torch.equal(ids, words[0])


def test_rows_that_fill_no_mixture_are_refused(rsa_case):
    config, tensors, recorded = rsa_case
    model = MuxBertTokenClassifier.from_state_dict(config, tensors)
    with pytest.raises(ValueError, match=r"3 rows cannot be divided .* n_mux=2"):
        model(recorded["input.input_ids"][:3])


def test_one_class_is_a_regression(muxbert, words):
    model = MuxBertSequenceClassifier.from_state_dict(*muxbert(n_classes=1))
    labels = torch.linspace(-1, 1, 6)
    output = model(words[0], labels)
    torch.testing.assert_close(output.task_loss, (output.logits[:, 0] - labels).square().mean())


def test_a_fine_tuned_model_weighs_the_task_only_unless_told(muxbert, words):
    config, tensors = muxbert()
    labels = torch.tensor([0, 1, 2, 3, 0, 1])
    output = MuxBertSequenceClassifier.from_state_dict(config, tensors)(words[0], labels)
    torch.testing.assert_close(output.loss, output.task_loss)
    config = {**config, "task_loss_coeff": 0.5, "retrieval_loss_coeff": 2.0}
    output = MuxBertSequenceClassifier.from_state_dict(config, tensors)(words[0], labels)
    torch.testing.assert_close(output.loss, 0.5 * output.task_loss + 2.0 * output.retrieval_loss)


def test_words_and_their_decoder_are_one_tensor(muxbert):
    model = MuxBertTokenClassifier.from_state_dict(*muxbert())
    assert model.retrieval_head.weight is model.backbone.embeddings.word_embeddings.weight


@pytest.mark.parametrize(("multiplexer", "matters"), [("vector", False), ("contextual", True)])
def test_the_mask_matters_to_the_contextual_multiplexer_only(muxbert, words, multiplexer, matters):
    model = MuxBertTokenClassifier.from_state_dict(*muxbert(multiplexer=multiplexer))
    with_mask, without = (model(words[0], attention_mask=mask).logits for mask in (words[1], None))
    assert torch.equal(with_mask, without) != matters


@pytest.mark.parametrize(
    ("model_class", "matters"), [(MuxBertSequenceClassifier, True), (MuxBertTokenClassifier, False)]
)
def test_the_old_mask_matters_where_slots_are_masked(muxbert, words, model_class, matters):
    config, tensors = muxbert(multiplexer="contextual")
    old, new = (
        model_class.from_state_dict(config, tensors, legacy_mask=legacy_mask)(
            words[0], attention_mask=words[1]
        ).logits
        for legacy_mask in (True, False)
    )
    assert torch.allclose(old, new, atol=1e-6) != matters


def test_the_old_mask_is_the_default(muxbert):
    model = MuxBertTokenClassifier.from_state_dict(*muxbert(multiplexer="contextual"))
    assert model.multiplexer.legacy_mask


# The masked language model.


@pytest.fixture
def masked(words):
    labels = torch.full_like(words[0], -100)
    labels[0, 1], labels[4, 2], labels[2, 7] = 200, 300, 400
    return words[0], labels


def test_words_are_predicted_where_labels_are(muxbert, masked):
    model = MuxBertMaskedLM.from_state_dict(*muxbert(n_classes=None))
    output = model(*masked)
    assert output.logits.shape == (6, 8, 700)
    assert output.demuxed.shape == (3, 16)
    assert torch.equal(output.logits.abs().sum(-1) > 0, masked[1] != -100)
    log_proba = output.logits.log_softmax(-1)
    expected = -(log_proba[0, 1, 200] + log_proba[4, 2, 300] + log_proba[2, 7, 400]) / 3
    torch.testing.assert_close(output.task_loss, expected)


@pytest.mark.parametrize("multiplexer", ["vector", "contextual"])
def test_the_prefix_pushes_tokens_out(muxbert, masked, multiplexer):
    config, tensors = muxbert(2, "index", multiplexer, n_classes=None)
    output = MuxBertMaskedLM.from_state_dict(config, tensors)(*masked)
    # Three positions later, so that the label at 7 is lost.
    assert (output.task_targets != -100).nonzero().tolist() == [[0, 4], [4, 5]]
    assert torch.equal(output.logits.abs().sum(-1) > 0, output.task_targets != -100)


def test_rows_shorter_than_the_prefix_are_refused(muxbert, masked):
    model = MuxBertMaskedLM.from_state_dict(*muxbert(2, "index", n_classes=None))
    with pytest.raises(ValueError, match="rows of 3 tokens are too short"):
        model(*(x[:, :3] for x in masked))


def test_labels_are_required(muxbert, masked):
    model = MuxBertMaskedLM.from_state_dict(*muxbert(n_classes=None))
    with pytest.raises(ValueError, match="labels is None"):
        model(masked[0])


def test_padding_is_recovered_by_the_language_model_only(muxbert, words):
    config, tensors = muxbert()
    config = {**config, "retrieval_loss_coeff": 0.1}
    slots = torch.ones(2, 8, dtype=torch.long)
    tokens = MuxBertTokenClassifier.from_state_dict(config, tensors)
    targets = tokens(words[0], torch.zeros_like(words[0]), slots).retrieval_targets
    assert targets[0, 4:].tolist() == [words[0][1, 4], -100, -100, -100]
    tensors = {k: v for k, v in tensors.items() if not k.startswith("classifier")}
    targets = MuxBertMaskedLM.from_state_dict(config, tensors)(
        words[0], words[0], slots
    ).retrieval_targets
    assert targets[0, 4:].tolist() == [words[0][1, 4], 0, 0, 0]


def test_without_weight_nothing_is_recovered_by_the_language_model(muxbert, masked):
    config, tensors = muxbert(n_classes=None)
    config = {**config, "retrieval_loss_coeff": 0.0, "task_loss_coeff": 0.5}
    output = MuxBertMaskedLM.from_state_dict(config, tensors)(*masked)
    assert output.retrieval_loss is None
    torch.testing.assert_close(output.loss, 0.5 * output.task_loss)


def test_token_types_change_the_language_models_words(muxbert, masked):
    model = MuxBertMaskedLM.from_state_dict(*muxbert(n_classes=None))
    zeros = torch.zeros_like(masked[0])
    plain, same, other = (
        model(*masked, token_type_ids=types).logits for types in (None, zeros, zeros + 1)
    )
    torch.testing.assert_close(same, plain)
    assert not torch.allclose(other, plain)


def test_gradients_reach_what_the_language_model_uses(muxbert, masked):
    model = MuxBertMaskedLM.from_state_dict(*muxbert(n_classes=None, n_demux_layers=3))
    model(*masked).task_loss.backward()
    without = {name.rpartition(".")[0] for name, p in model.named_parameters() if p.grad is None}
    assert without == {
        "multiplexer",
        "demultiplexer.dense",
        "demultiplexer.norm",
        "demultiplexer.layers.dense.3",
        "demultiplexer.layers.norm.3",
    }
