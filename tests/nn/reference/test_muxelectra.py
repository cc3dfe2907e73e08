"""MUX-ELECTRA's classifiers against what the authors' own classes answer."""

from pathlib import Path

import pytest
import torch

from muxlearn.benchmark import parity
from muxlearn.nn.reference import MuxElectraSequenceClassifier, MuxElectraTokenClassifier

DATA = Path(__file__).parents[2] / "data"
KINDS = {"seqcls": MuxElectraSequenceClassifier, "tokcls": MuxElectraTokenClassifier}


@pytest.fixture(scope="module", params=list(KINDS))
def case(request):
    file = DATA / f"muxelectra_{request.param}_gaussian_hadamard_index_pos_N2.json"
    return KINDS[request.param], *parity.load_case(file)


def test_the_authors_numbers_are_reproduced(case):
    model_class, config, weights, recorded = case
    model = model_class.from_state_dict(config, weights)
    names = ("input_ids", "labels", "retrieval_slots", "attention_mask")
    output = model(*(recorded[f"input.{name}"] for name in names))
    for name in ("logits", "loss", "task_loss", "retrieval_loss"):
        torch.testing.assert_close(
            getattr(output, name), recorded[f"output.{name}"], atol=2e-5, rtol=0
        )


def test_embeddings_may_be_narrower_than_the_layers(case):
    model_class, config, weights, _ = case
    unsaid = {k: v for k, v in config.items() if k not in ("embedding_size", "hidden_size")}
    model = model_class.from_state_dict(unsaid, weights)
    assert model.multiplexer.width == 12
    assert model.backbone.config.hidden_size == 16


def test_the_first_token_stays_what_it_is(case):
    model_class, config, weights, recorded = case
    model = model_class.from_state_dict(config, weights)
    ids = recorded["input.input_ids"]
    changed = ids.clone()
    changed[:, 0] = 200
    assert not torch.allclose(model(changed).logits, model(ids).logits)


def test_a_new_head_takes_the_place_of_the_discriminator_s(case):
    model_class, config, weights, recorded = case
    pretrained = {k: v for k, v in weights.items() if not k.startswith("classifier.")}
    pretrained["discriminator_predictions.dense.weight"] = torch.zeros(16, 16)
    model = model_class.from_state_dict(config, pretrained, n_classes=5)
    assert model(recorded["input.input_ids"]).logits.shape[-1] == 5
    with pytest.raises(ValueError, match=r"not a MUX-ELECTRA .* classifier, which"):
        model_class.from_state_dict(config, pretrained)


@pytest.mark.parametrize("model_class", list(KINDS.values()))
@pytest.mark.parametrize("multiplexer", ["vector", "matrix"])
def test_a_prefix_is_read_and_not_answered(case, model_class, multiplexer):
    config = {**case[1], "embedding_size": 16}
    model = model_class(config, 3, "index", multiplexer, 0, 4).eval()
    output = model(torch.randint(103, 600, (6, 8)))
    per_token = (8,) if model_class is MuxElectraTokenClassifier else ()
    assert output.logits.shape == (6, *per_token, 4)
    assert model.n_prefix == 4
