import json

import numpy as np
import pytest
import torch

from muxlearn.nn.reference import MuxBertSequenceClassifier, MuxBertTokenClassifier
from muxlearn.nn.reference.module import ReferenceTextModule

CLASSES = {"sequence": MuxBertSequenceClassifier, "token": MuxBertTokenClassifier}


@pytest.fixture
def make(muxbert):
    """Build a module of three slots around a checkpoint of some kind."""

    def build(level="sequence", length=8, **kinds):
        config, tensors = muxbert(**kinds)
        model_class = CLASSES[level]
        model = model_class.from_state_dict(config, tensors)
        return ReferenceTextModule(model, config, model_class.read_kinds(tensors), length).eval()

    return build


@pytest.mark.parametrize("demultiplexer", ["index", "index_pos"])
@pytest.mark.parametrize("level", CLASSES)
def test_rows_that_fill_mixtures_are_given_to_the_model(make, words, level, demultiplexer):
    ids, mask = words
    module = make(level, demultiplexer=demultiplexer)
    logits = module.model(ids, attention_mask=mask).logits
    expected = logits if level == "sequence" else logits[mask.bool()]
    torch.testing.assert_close(module(ids, mask), expected)


@pytest.mark.parametrize("multiplexer", ["vector", "contextual"])
@pytest.mark.parametrize("level", CLASSES)
def test_rows_are_padded_to_one_length(make, words, level, multiplexer):
    ids, mask = words
    module = make(level, length=12, multiplexer=multiplexer)
    longer = torch.nn.functional.pad(torch.stack([ids, mask]), (0, 4))
    torch.testing.assert_close(module(ids, mask), module(*longer))
    short = make(level, length=8, multiplexer=multiplexer)
    assert (module(ids, mask) - short(ids, mask)).abs().max() > 1e-4


def test_what_stands_at_padding_does_not_matter(make, words):
    ids, mask = words
    module = make()
    torch.testing.assert_close(module(ids.masked_fill(mask == 0, 5), mask), module(ids, mask))


def test_tagged_tokens_are_read_in_order(make, words):
    ids, mask = words
    module = make("token", demultiplexer="index")
    logits = module.model(ids, attention_mask=mask).logits
    tagged = torch.zeros_like(mask, dtype=torch.bool)
    tagged[4, 2] = tagged[1, 3] = tagged[1, 0] = True
    expected = logits[[1, 1, 4], [0, 3, 2]]
    torch.testing.assert_close(module(ids, mask, tagged), expected)


@pytest.mark.parametrize("n_places", [1, 2])
def test_slots_of_one_row_are_averaged(make, words, n_places):
    ids, mask = (values[:n_places] for values in words)
    module = make()
    places = torch.arange(3) % n_places
    slots = module(ids[places], mask[places]).softmax(-1)
    expected = torch.stack([slots[places == p].mean(0) for p in range(n_places)])
    got = module(ids, mask, n_mux=n_places).exp()
    torch.testing.assert_close(got, expected)


@pytest.mark.parametrize("n_mux", [4, 0])
def test_rows_beyond_the_capacity_are_refused(make, words, n_mux):
    with pytest.raises(ValueError, match=f"n_mux={n_mux} is outside of 1 to 3"):
        make()(*words, n_mux=n_mux)


@pytest.mark.parametrize("multiplexer", ["vector", "contextual"])
def test_a_prediction_in_parts_is_the_same(make, words, multiplexer, monkeypatch):
    module = make("token", multiplexer=multiplexer)
    expected = module(*words)
    sizes = []
    module.model.backbone.register_forward_hook(lambda *args: sizes.append(len(args[2][0])))
    monkeypatch.setattr("muxlearn.nn.reference.module._CHUNK_ELEMENTS", 3 * 8 * 16)
    with torch.no_grad():
        torch.testing.assert_close(module(*words), expected)
    assert sizes == [1, 1]


@pytest.mark.parametrize("demultiplexer", ["index", "index_pos"])
def test_the_retrieval_task_reads_drawn_tokens(make, words, demultiplexer):
    ids, mask = words
    module = make("token", demultiplexer=demultiplexer)
    output = module(ids, mask, retrieval_samples=300)
    assert output.retrieval_logits.shape == (2, 3, 100, 700)
    own = ids.clone()
    if demultiplexer == "index_pos":
        own[:, 0] = 101
    for slot, (row, real) in enumerate(zip(own, mask.bool(), strict=True)):
        drawn = output.retrieval_targets.flatten(0, 1)[slot]
        assert set(drawn.tolist()) == set(row[real].tolist())
    # The model's own recovery of the same position and slot.
    marked, hidden = module.model._encode(ids, mask)
    first = module.model.n_prefix
    slots = torch.full(marked.shape[::2], 1)
    logits = module.model._recover(marked, hidden, slots).logits[0, first + 3]
    at = (output.retrieval_targets[0, 1] == own[1, 3]).nonzero()[0, 0]
    torch.testing.assert_close(output.retrieval_logits[0, 1, at], logits)


def test_classes_are_put_in_another_order(make, words):
    module = make()
    expected = module(*words)[:, [2, 0, 3, 1]]
    module.order_classes(torch.tensor([2, 0, 3, 1]))
    torch.testing.assert_close(module(*words), expected)


@pytest.mark.parametrize("kinds", [{}, {"multiplexer": "contextual", "n_demux_layers": 2}])
@pytest.mark.parametrize("level", CLASSES)
def test_the_setting_is_data_and_builds_the_module(make, words, level, kinds):
    module = make(level, length=11, **kinds)
    again = ReferenceTextModule.from_setting(json.loads(json.dumps(module.setting))).eval()
    again.load_state_dict(module.state_dict())
    torch.testing.assert_close(again(*words), module(*words), rtol=0, atol=0)
    assert again.setting == module.setting


def test_inference_has_a_copy_without_what_only_training_needs(make, words):
    module = make()
    copy = module.for_inference(torch.float64)
    assert not hasattr(copy.model, "retrieval_head")
    assert not any(parameter.requires_grad for parameter in copy.parameters())
    np.testing.assert_allclose(copy(*words), module(*words).detach(), atol=1e-5)
    with torch.no_grad():
        copy.model.head.out.bias.add_(1)
    assert {parameter.dtype for parameter in module.parameters()} == {torch.float32}
    assert (copy(*words) - module(*words)).mean() > 0.9
