import numpy as np
import pytest
import torch

from muxlearn.backbones import load_backbone
from muxlearn.training.teacher import _map_new_file, ask_teacher

TEXTS = ["the cat a", "my old dog and the cat", "it", "my old dog b"] * 3


@pytest.fixture(scope="module")
def teacher(bert):
    return load_backbone(bert, dropout=0.0)


def test_a_teacher_reads_each_text_alone(teacher):
    model, tokenizer = teacher
    table, answers = ask_teacher(model, tokenizer, TEXTS, with_tokens=True)
    assert answers.rows.shape == (len(TEXTS), 16)
    for number, text in enumerate(TEXTS):
        ids = torch.tensor([tokenizer.encode(text).ids])
        with torch.inference_mode():
            hidden = model(model.embedding(ids), torch.ones_like(ids))[0]
        mean = torch.nn.functional.normalize(hidden.mean(0), dim=0)
        np.testing.assert_allclose(answers.rows[number], mean, atol=2e-3)
        start = answers.starts[number]
        states = torch.nn.functional.normalize(hidden, dim=-1)
        own = answers.tokens[start : start + table.lengths[number]]
        np.testing.assert_allclose(own, states, atol=2e-3)


def test_nothing_is_kept_of_tokens_that_nobody_asks_for(teacher):
    assert ask_teacher(*teacher, TEXTS, with_tokens=False)[1].tokens is None


def test_what_is_on_the_disk_is_not_asked_again(teacher, tmp_path, monkeypatch):
    _, first = ask_teacher(*teacher, TEXTS, with_tokens=True, cache=tmp_path)

    def fail(*args):
        raise AssertionError("the teacher was asked")

    monkeypatch.setattr(type(teacher[0]), "forward", fail)
    _, second = ask_teacher(*teacher, TEXTS, with_tokens=True, cache=tmp_path)
    np.testing.assert_array_equal(first.rows, second.rows)
    np.testing.assert_array_equal(first.tokens, second.tokens)
    assert isinstance(second.tokens, np.memmap)


def test_other_texts_are_other_answers(teacher, tmp_path):
    ask_teacher(*teacher, TEXTS, with_tokens=False, cache=tmp_path)
    _, other = ask_teacher(*teacher, TEXTS[:2], with_tokens=False, cache=tmp_path)
    assert len(other.rows) == 2


def test_answers_that_the_disk_has_no_space_for_are_refused_before_they_are_written(small_disk):
    _map_new_file(small_disk / "small.npy", (100, 16))[:] = 1
    assert (np.load(small_disk / "small.npy") == 1).all()
    with pytest.raises(OSError, match="No space left on device"):
        _map_new_file(small_disk / "large.npy", (100_000, 16))
