import pytest
import torch
from torch.nn import functional as F

from muxlearn.nn.losses import (
    contrastive_logits,
    cosine_loss,
    retrieval_loss,
    weighted_cross_entropy,
    weighted_regression_loss,
)


def random_rows(n_rows=6, n_classes=3):
    return torch.randn(n_rows, n_classes), torch.randint(n_classes, (n_rows,))


def test_weights_of_1_give_the_mean_cross_entropy():
    logits, targets = random_rows()
    loss = weighted_cross_entropy(logits, targets, torch.ones(6))
    torch.testing.assert_close(loss, F.cross_entropy(logits, targets))


def test_a_row_of_weight_0_counts_as_absent():
    logits, targets = random_rows()
    weights = torch.tensor([1.0, 1, 0, 1, 0, 1])
    kept = weights > 0
    torch.testing.assert_close(
        weighted_cross_entropy(logits, targets, weights),
        F.cross_entropy(logits[kept], targets[kept]),
    )


def test_a_row_of_weight_2_pulls_as_much_as_two_rows():
    logits, targets = random_rows()
    weights = torch.tensor([2.0, 1, 1, 1, 1, 1])
    twice = F.cross_entropy(logits, targets, reduction="none")[[0, *range(6)]].sum()
    torch.testing.assert_close(weighted_cross_entropy(logits, targets, weights), twice / 6)


def test_a_batch_of_heavy_rows_stays_heavy():
    logits, targets = random_rows()
    heavy = weighted_cross_entropy(logits, targets, torch.full((6,), 5.0))
    torch.testing.assert_close(heavy, 5 * F.cross_entropy(logits, targets))


def test_without_any_weight_there_is_no_loss():
    logits, targets = random_rows()
    assert weighted_cross_entropy(logits, targets, torch.zeros(6)).item() == 0.0


def test_retrieval_is_the_mean_over_all_tokens():
    logits, targets = torch.randn(2, 3, 4, 11), torch.randint(11, (2, 3, 4))
    expected = -logits.log_softmax(-1).gather(-1, targets[..., None]).mean()
    torch.testing.assert_close(retrieval_loss(logits, targets), expected)


@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16])
def test_losses_are_computed_in_full_precision(dtype):
    logits, targets = torch.randn(6, 3).to(dtype), torch.randint(3, (6,))
    assert weighted_cross_entropy(logits, targets, torch.ones(6)).dtype == torch.float32
    assert retrieval_loss(logits, targets).dtype == torch.float32


def test_the_cosine_loss_looks_at_directions_alone():
    vectors = torch.randn(4, 5)
    torch.testing.assert_close(cosine_loss(3 * vectors, vectors), torch.zeros(()))
    torch.testing.assert_close(cosine_loss(-vectors, vectors), torch.tensor(2.0))


def test_contrastive_logits_are_cosines_by_the_temperature():
    vectors, targets = torch.randn(3, 5), torch.randn(4, 5)
    logits = contrastive_logits(vectors, targets, temperature=0.5)
    expected = F.cosine_similarity(vectors[:, None], targets[None], dim=-1) / 0.5
    torch.testing.assert_close(logits, expected)


def test_contrastive_logits_are_20_times_the_cosines_unless_told_otherwise():
    vectors, targets = torch.randn(3, 5), torch.randn(4, 5)
    expected = 20 * F.cosine_similarity(vectors[:, None], targets[None], dim=-1)
    torch.testing.assert_close(contrastive_logits(vectors, targets), expected)


def test_the_numbers_of_a_row_are_averaged():
    outputs, targets = torch.randn(6, 3), torch.randn(6, 3)
    loss = weighted_regression_loss(outputs, targets, torch.ones(6))
    torch.testing.assert_close(loss, F.mse_loss(outputs, targets))
