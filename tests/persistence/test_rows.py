"""Rows of matrices that are bytes times a number, and folders that hold them."""

import numpy as np
import pytest
import torch
from safetensors.torch import load_file

from muxlearn import MuxTextClassifier
from muxlearn.backbones import load_packaged
from muxlearn.persistence import FormatError, read_folder, write_folder
from muxlearn.persistence._rows import expand_rows, shrink_rows

N_ROWS, WIDTH = 400, 200


def made_of_bytes(n_rows=N_ROWS, width=WIDTH):
    rows = torch.randint(-127, 128, (n_rows, width))
    rows[:, 0] = 127
    return rows * (torch.rand(n_rows, 1) / 100).half().float()


def same_bits(left, right):
    return torch.equal(left.view(torch.int32), right.view(torch.int32))


def test_rows_that_training_has_not_touched_take_a_quarter():
    matrix = made_of_bytes()
    matrix[::4] += 1e-3
    shrunk = shrink_rows({"table": matrix})
    assert {name: tuple(part.shape) for name, part in shrunk.items()} == {
        "table.bytes": (300, WIDTH),
        "table.scale": (N_ROWS, 1),
        "table.others": (100, WIDTH),
    }
    assert same_bits(expand_rows(shrunk)["table"], matrix)


@pytest.mark.parametrize("odd", [-0.0, torch.nan, torch.inf, -torch.inf, 1e-44, 3e38, 1e-9])
def test_each_number_comes_back_bit_by_bit(odd):
    matrix = made_of_bytes()
    matrix[1] = 0
    matrix[2] = -0.0
    matrix[3, 7] = odd
    matrix[4] = odd
    assert same_bits(expand_rows(shrink_rows({"table": matrix}))["table"], matrix)


@pytest.mark.parametrize(
    "tensor",
    [
        torch.randn(N_ROWS, WIDTH),
        made_of_bytes(3, 4),
        made_of_bytes().half(),
        made_of_bytes().reshape(4, 100, WIDTH),
    ],
    ids=["no such row", "small", "half", "three axes"],
)
def test_other_tensors_are_kept_as_they_are(tensor):
    assert list(shrink_rows({"table": tensor})) == ["table"]


@pytest.mark.parametrize(
    "damage",
    [
        lambda parts: parts.pop("table.scale"),
        lambda parts: parts.pop("table.others"),
        lambda parts: parts.update({"table.scale": torch.zeros(10**7, 1).half()}),
        lambda parts: parts.update({"table.scale": torch.zeros(()).half()}),
        lambda parts: parts.update({"table.bytes": torch.zeros((), dtype=torch.int8)}),
        lambda parts: parts.update({"table.others": torch.zeros(1, WIDTH)}),
    ],
)
def test_parts_that_do_not_belong_together_are_no_model(tmp_path, monkeypatch, damage):
    matrix = made_of_bytes()
    matrix[::4] += 1e-3
    parts = shrink_rows({"table": matrix})
    damage(parts)
    monkeypatch.setattr("muxlearn.persistence._folders.shrink_rows", lambda tensors: tensors)
    write_folder(tmp_path, {"estimator": "MuxTextClassifier", "params": {}}, parts, {})
    with pytest.raises(FormatError, match=r"the weights in .* cannot be read: .*table"):
        read_folder(tmp_path)


def test_a_saved_classifier_keeps_tokens_that_it_has_not_seen_as_the_packaged_encoder(tmp_path):
    texts, labels = ["shares fell in London", "a goal in the last minute"] * 4, [0, 1] * 4
    clf = MuxTextClassifier(patch_size=2, max_epochs=1, batch_size=4, random_state=0)
    clf.fit(texts, labels).save(tmp_path)
    kept = load_file(tmp_path / "model.safetensors")
    seen = {number for text in texts for number in clf.tokenizer_.encode(text).ids}
    table = clf.module_.encoder.embedding.weight
    assert 0 < len(kept["encoder.embedding.weight.others"]) <= len(seen)
    assert len(kept["encoder.embedding.weight.bytes"]) >= len(table) - len(seen)
    assert not torch.equal(table, load_packaged().tensors["encoder.embedding.weight"])
    loaded = MuxTextClassifier.load(tmp_path)
    assert same_bits(loaded.module_.encoder.embedding.weight.detach(), table.detach())
    np.testing.assert_array_equal(loaded.predict_proba(texts), clf.predict_proba(texts))
