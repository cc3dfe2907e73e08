import pytest
import torch

from muxlearn.nn.links import LINKS, average_answers, decisions, means


@pytest.mark.parametrize("link", LINKS)
@pytest.mark.parametrize("n_places", [1, 2, 3, 5])
def test_slots_are_averaged_as_what_they_mean(link, n_places):
    outputs = torch.randn(4, 5, 3)
    averaged = average_answers(outputs, n_places, link)
    assert averaged.shape == (4, n_places, 3)
    for place in range(n_places):
        expected = means(outputs[:, place::n_places], link).mean(1)
        torch.testing.assert_close(means(averaged[:, place], link), expected)


@pytest.mark.parametrize("link", LINKS)
def test_full_mixtures_stay_as_they_are(link):
    outputs = torch.randn(2, 3, 4)
    assert average_answers(outputs, 3, link) is outputs


@pytest.mark.parametrize("link", LINKS)
def test_double_precision_stays(link):
    outputs = torch.randn(2, 4, 3, dtype=torch.float64)
    assert average_answers(outputs, 2, link).dtype == torch.float64


def test_far_logits_of_labels_are_averaged_without_infinity():
    outputs = torch.tensor([[[200.0, -200.0], [200.0, -200.0]]])
    assert average_answers(outputs, 1, "sigmoid").isfinite().all()


@pytest.mark.parametrize(
    "function", [means, decisions, lambda outputs, link: average_answers(outputs, 3, link)]
)
def test_unknown_links_are_refused(function):
    with pytest.raises(ValueError, match="link='logit' is not one of"):
        function(torch.randn(2, 3, 4), "logit")


def test_decisions_follow_the_means():
    outputs = torch.tensor([[2.0, -1.0, 0.5]])
    assert decisions(outputs, "softmax").tolist() == [0]
    assert decisions(outputs, "sigmoid").tolist() == [[True, False, True]]
    assert decisions(outputs, "identity") is outputs
