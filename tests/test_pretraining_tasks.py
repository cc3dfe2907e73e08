"""Masked and replaced tokens: MUX-PLMs' second stage of pre-training."""

import numpy as np
import pytest
import torch
from skorch.callbacks import Callback
from torch.nn import functional as F

from muxlearn import MuxTextClassifier
from muxlearn.backbones import Scratch
from muxlearn.metrics import retrieval_score
from muxlearn.nn.demultiplex import DEMULTIPLEXERS
from muxlearn.nn.embedding import MuxSequenceEmbedder
from muxlearn.nn.encoder import CompactEncoder
from muxlearn.nn.losses import retrieval_loss
from muxlearn.nn.multiplex import MULTIPLEXERS
from muxlearn.pretraining import MuxTextPretrainer
from muxlearn.training import MaskedTokens, ReplacedTokens
from muxlearn.training.corruption import CorruptionObjective, Vocabulary

TEXTS = [f"{a} {b} {c} {a}" for a in ("rain", "goal", "snow") for b in "pqrs" for c in "uvwxyz"]
LABELS = [text.split()[0] for text in TEXTS]
SIZES = {"num_hidden_layers": 1, "num_attention_heads": 2, "vocab_size": 300}
SMALL = Scratch(hidden_size=16, **SIZES)
WIDER = Scratch(hidden_size=32, **SIZES)


def pretrainer(objective, **params):
    defaults = {"n_mux": 2, "backbone": SMALL, "max_length": 16, "max_epochs": 2, "batch_size": 8}
    return MuxTextPretrainer(**{**defaults, "random_state": 0, "objective": objective, **params})


def corrupt(task, ids, mask=None):
    objective = CorruptionObjective(task, Vocabulary(100, (0, 1), 2), 0)
    mask = torch.ones_like(ids).bool() if mask is None else mask
    chosen = objective._choose(ids, mask)
    return chosen, objective._corrupt(ids, chosen)


# What is chosen and what becomes of it


def test_a_share_of_the_tokens_is_chosen_and_mostly_masked():
    ids = torch.randint(3, 100, (400, 50))
    chosen, corrupted = corrupt(MaskedTokens(), ids)
    assert chosen.float().mean().item() == pytest.approx(0.15, abs=0.01)
    assert torch.equal(corrupted[~chosen], ids[~chosen])
    masked, same = (corrupted[chosen] == 2), (corrupted == ids)[chosen]
    assert masked.float().mean().item() == pytest.approx(0.8, abs=0.02)
    assert same.float().mean().item() == pytest.approx(0.1, abs=0.02)


def test_replaced_tokens_are_any_of_the_vocabulary():
    ids = torch.randint(3, 100, (400, 50))
    chosen, corrupted = corrupt(ReplacedTokens(share=0.5), ids)
    assert chosen.float().mean().item() == pytest.approx(0.5, abs=0.02)
    assert torch.equal(corrupted[~chosen], ids[~chosen])
    assert len(corrupted[chosen].unique()) == 100


def test_special_tokens_and_padding_are_never_chosen():
    ids = torch.tensor([[0, 5, 6, 1, 7, 7]] * 200)
    mask = torch.tensor([[1, 1, 1, 1, 0, 0]] * 200).bool()
    chosen, _ = corrupt(MaskedTokens(share=0.9), ids, mask)
    assert not chosen[:, [0, 3, 4, 5]].any()
    assert chosen[:, 1:3].all(1).any()


def test_one_token_is_chosen_at_least_if_there_is_one():
    ids = torch.tensor([[0, 5, 6, 1]])
    assert all(corrupt(MaskedTokens(share=1e-6), ids)[0].sum() == 1 for _ in range(20))
    assert not corrupt(MaskedTokens(), torch.zeros(2, 3, dtype=torch.int64))[0].any()


# What a step sees of it


def run(task, ids, mask, n_mux, capacity):
    """A pass of a training, with the objective and its module."""
    parts = MULTIPLEXERS["hadamard"](capacity, 16), DEMULTIPLEXERS["mlp"](capacity, 16)
    module = MuxSequenceEmbedder(CompactEncoder(100, 16, 1, 2, 32, 16), *parts, 8)
    module.replacement_head = torch.nn.Linear(16, 1)
    objective = CorruptionObjective(task, Vocabulary(100, (0, 1), 2), 8)
    inputs = {"input_ids": ids, "attention_mask": mask}
    return objective, module, objective.run(module.train(), inputs, n_mux)


@pytest.mark.parametrize("task", [MaskedTokens, ReplacedTokens])
def test_retrieval_counts_by_its_weight(task):
    ids = torch.randint(3, 100, (4, 6))
    objective, module, output = run(task(retrieval_weight=0.3), ids, torch.ones_like(ids), 2, 2)
    losses = []
    for weight in (0.3, 0.0):
        objective.corruption = task(retrieval_weight=weight)
        losses.append(objective.loss(module, output, None, None)[0])
    term = retrieval_loss(*output.output.retrieval)
    torch.testing.assert_close(losses[0] - losses[1], 0.3 * term, rtol=1e-4, atol=1e-5)


def test_the_loss_of_masked_tokens_is_their_mean():
    ids = torch.randint(3, 100, (4, 6))
    task = MaskedTokens(share=0.5, retrieval_weight=0)
    objective, module, output = run(task, ids, torch.ones_like(ids), 2, 2)
    logits = module.score_words(output.output.read)
    targets = logits.argmax(-1)
    targets[0] = logits[0].argmin(-1)  # the first mixture is all wrong
    loss, reported = objective.loss(module, output._replace(targets=targets), None, None)
    counted = output.counted
    torch.testing.assert_close(loss, F.cross_entropy(logits[counted], targets[counted]))
    right = counted[1:].sum() / counted.sum()
    assert {name: float(value) for name, value in reported.items()} == {"mlm_acc": float(right)}


def test_the_loss_of_replaced_tokens_is_the_mean_of_all():
    ids = torch.randint(3, 100, (4, 6))
    task = ReplacedTokens(retrieval_weight=0)
    objective, module, output = run(task, ids, torch.ones_like(ids), 2, 2)
    logits = module.replacement_head(output.output.read).squeeze(-1)
    targets = logits > 0
    targets[0, 0] ^= True  # the first of four rows is all wrong
    loss, reported = objective.loss(module, output._replace(targets=targets), None, None)
    torch.testing.assert_close(loss, F.binary_cross_entropy_with_logits(logits, targets.float()))
    assert {name: float(value) for name, value in reported.items()} == {"rtd_acc": 0.75}


def test_whether_special_tokens_and_padding_were_replaced_does_not_count():
    ids = torch.tensor([[0, 5, 6, 1, 7, 7], [0, 8, 9, 4, 3, 1]])
    mask = torch.tensor([[1, 1, 1, 1, 0, 0], [1, 1, 1, 1, 1, 1]])
    counted = run(ReplacedTokens(), ids, mask, 2, 2)[2].counted
    assert counted.int().tolist() == [[[0, 1, 1, 0, 0, 0], [0, 1, 1, 1, 1, 0]]]


def test_each_slot_of_a_row_is_asked_for_tokens_of_that_row():
    # Row r holds the token r + 3 only, and fills the slots r and r + 2.
    ids = torch.arange(3, 7)[:, None].expand(4, 6)
    targets = run(MaskedTokens(), ids, torch.ones_like(ids), 2, 4)[2].targets
    assert targets[..., 0].tolist() == [[3, 4, 3, 4], [5, 6, 5, 6]]


# Training


@pytest.mark.slow
@pytest.mark.parametrize(
    ("objective", "score"), [("mlm", "mlm_acc"), (ReplacedTokens(share=0.3), "rtd_acc")]
)
def test_the_task_is_learned_from_mixtures(objective, score):
    params = {"backbone": WIDER, "max_epochs": 60, "batch_size": 16, "lr": 3e-3, "max_length": 8}
    history = pretrainer(objective, **params).fit(TEXTS).history_
    assert np.mean(history[-5:, score]) > np.mean(history[:3, score]) + 0.05
    assert np.mean(history[-5:, "retrieval_acc"]) > np.mean(history[:3, "retrieval_acc"])


@pytest.mark.parametrize("objective", ["mlm", "rtd"])
@pytest.mark.parametrize(
    "params",
    [
        {},
        {"n_mux": 4, "operating_points": (1, 2, 4)},
        {"n_mux": 2, "patch_size": 2, "operating_points": ((1, 1), (2, 2), "words")},
        {"multiplexer": "hadamard", "demultiplexer": "index"},
    ],
    ids=["rows", "points", "patches", "prefix"],
)
def test_any_point_and_demultiplexer_trains(objective, params):
    fitted = pretrainer(objective, max_epochs=1, **params).fit(TEXTS)
    assert fitted.transform(TEXTS[:3]).shape == (3, 16)
    assert 0 <= fitted.score(TEXTS) <= 1


class Stop(Callback):
    """Interrupts a training in its second epoch, as Ctrl-C does."""

    def on_batch_end(self, net, training=False, **kwargs):
        if len(net.history) == 2 and len(net.history[-1]["batches"]) == 5:
            raise KeyboardInterrupt


@pytest.mark.parametrize("objective", ["mlm", "rtd"])
def test_a_training_goes_on_saves_and_starts_a_classifier(objective, tmp_path):
    state, folder = tmp_path / "state", tmp_path / "saved"
    pretrainer(objective, callbacks=[Stop()]).fit(TEXTS, checkpoint=state)
    resumed = pretrainer(objective).fit(TEXTS, checkpoint=state)
    whole = pretrainer(objective).fit(TEXTS)
    np.testing.assert_allclose(resumed.transform(TEXTS), whole.transform(TEXTS), atol=1e-5)
    resumed.save(folder)
    loaded = MuxTextPretrainer.load(folder)
    np.testing.assert_array_equal(loaded.transform(TEXTS), resumed.transform(TEXTS))
    assert loaded.objective == objective
    params = {"max_length": 16, "max_epochs": 1, "batch_size": 8}
    clf = MuxTextClassifier(n_mux=2, patch_size=1, backbone=folder, **params)
    assert set(clf.fit(TEXTS, LABELS).predict(TEXTS)) <= set(LABELS)


@pytest.mark.parametrize("objective", ["mlm", "rtd"])
def test_the_stage_goes_on_from_retrieval(objective, tmp_path):
    pretrainer("retrieval").fit(TEXTS).save(tmp_path)
    second = pretrainer(objective, backbone=tmp_path, max_epochs=1).fit(TEXTS)
    assert retrieval_score(second, TEXTS) == pytest.approx(second.score(TEXTS))


def test_a_tokenizer_of_our_own_gets_a_mask_and_others_need_one(bert):
    own = pretrainer("mlm", max_epochs=1).fit(TEXTS)
    mask = own.tokenizer_.token_to_id("[MASK]")
    assert mask == own.tokenizer_.get_vocab_size() - 1
    assert own.module_.encoder.embedding.num_embeddings == mask + 1
    with pytest.raises(ValueError, match=r"'mlm' needs a tokenizer with one of \[MASK\], <mask>"):
        pretrainer("mlm", backbone=bert).fit(TEXTS)


def test_parameters_of_the_task_are_searched(tmp_path):
    made = pretrainer("mlm").set_params(objective__share=0.3, max_epochs=1)
    assert made.objective == MaskedTokens(share=0.3)
    made.fit(TEXTS).save(tmp_path)
    assert MuxTextPretrainer.load(tmp_path).objective == MaskedTokens(share=0.3)


def test_what_cannot_be_is_refused(bert):
    with pytest.raises(ValueError, match="objective='mlm' has none"):
        pretrainer("mlm", teacher=bert).fit(TEXTS)
    with pytest.raises(ValueError, match="`share`"):
        pretrainer(MaskedTokens(share=1.5)).fit(TEXTS)


@pytest.mark.parametrize("objective", ["mlm", "rtd"])
def test_a_batch_of_empty_texts_leaves_the_weights_finite(objective):
    fitted = pretrainer(objective, batch_size=1, max_epochs=1).fit(TEXTS[:4] + [""] * 8)
    assert all(torch.isfinite(t).all() for t in fitted.module_.state_dict().values())
    (epoch,) = fitted.net_.history
    assert all(
        np.isfinite(value) for name, value in epoch.items() if name.endswith(("loss", "acc"))
    )


def test_the_net_answers_with_the_vectors_of_rows():
    warm = pretrainer("mlm", max_epochs=1).fit(TEXTS)
    vectors = warm.transform(TEXTS)
    answers = warm.net_.predict(TEXTS)
    answers = answers / np.linalg.norm(answers, axis=1, keepdims=True)
    np.testing.assert_allclose(answers, vectors, atol=1e-5)
