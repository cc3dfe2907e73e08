"""The authors' numbers, from our parts. The data: see `muxlearn.benchmark.parity`."""

import os
import re
from pathlib import Path

import pytest
import torch

from muxlearn.benchmark import parity
from muxlearn.nn.reference import ReferenceSequenceClassifier

DATA = Path(__file__).parents[1] / "data"
COPIED = sorted(DATA.glob("datamux_seqcls_*.json"))
GOLDEN = Path(os.environ.get("MUXLEARN_GOLDEN", Path(__file__).parents[3] / "shared" / "golden"))
ABSENT = pytest.mark.skip(reason="no recorded cases; MUXLEARN_GOLDEN names their folder")
RECORDED = [
    pytest.param(path, id=path.stem) for path in sorted(GOLDEN.rglob("datamux_seqcls_*.json"))
] or [pytest.param(None, id="none", marks=ABSENT)]

QUANTITIES = {
    "demuxed",
    "embeddings_after_backbone_embedding_layer",
    "instance_embeddings_before_mux",
    "logits",
    "logits_without_labels",
    "loss",
    "mux_embedding",
    "retrieval_logits_at_ids",
    "retrieval_logsumexp",
    "retrieval_loss",
    "sequence_output",
    "task_loss",
}


@pytest.fixture(scope="module")
def index_case():
    return parity.load_case(DATA / "datamux_seqcls_random_ortho_index_N2.json")


@pytest.fixture(scope="module")
def mlp_case():
    return parity.load_case(DATA / "datamux_seqcls_gaussian_hadamard_mlp_N2.json")


def assert_parity(path):
    rows = parity.check_case(path)
    assert {row["quantity"] for row in rows} == QUANTITIES
    assert [row for row in rows if not row["ok"]] == []


@pytest.mark.parametrize("path", COPIED, ids=lambda path: path.stem)
def test_parity_on_the_copied_cases(path):
    assert_parity(path)


@pytest.mark.parametrize("path", RECORDED)
def test_parity_on_all_recorded_cases(path):
    assert_parity(path)


def test_both_demultiplexers_are_copied():
    assert {"index" in path.stem for path in COPIED} == {True, False}


# What a checkpoint may look like.


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
    with pytest.raises(ValueError, match=f"not a DataMUX .*{re.escape(name)}.*none"):
        ReferenceSequenceClassifier.from_state_dict(config, others)


@pytest.mark.parametrize("kept", ["retrieval_head.bias", "retrieval_head.decoder.bias"])
def test_either_name_of_the_shared_bias_will_do(index_case, kept):
    config, tensors, _ = index_case
    names = {"retrieval_head.bias", "retrieval_head.decoder.bias"}
    tensors = {k: v for k, v in tensors.items() if k == kept or k not in names}
    model = ReferenceSequenceClassifier.from_state_dict(config, tensors)
    torch.testing.assert_close(model.retrieval_head.bias.data, tensors[kept])


def test_old_position_ids_are_ignored(index_case):
    config, tensors, _ = index_case
    tensors = {**tensors, "roberta.embeddings.position_ids": torch.arange(514)[None]}
    assert not ReferenceSequenceClassifier.from_state_dict(config, tensors).training


def test_slots_are_counted_in_the_tensors_not_in_the_config(index_case):
    config, tensors, _ = index_case
    config = {**config, "num_instances": 40, "demuxing_variant": "mlp"}
    assert ReferenceSequenceClassifier.from_state_dict(config, tensors).n_mux == 2


# What a call does.


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


def test_slots_to_recover_are_drawn_if_not_given(index_case):
    config, tensors, recorded = index_case
    model = ReferenceSequenceClassifier.from_state_dict(config, tensors)
    ids, labels = recorded["input.input_ids"], recorded["input.labels"]
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
