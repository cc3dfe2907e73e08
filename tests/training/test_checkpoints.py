import numpy as np
import pytest
import torch

from muxlearn.training.checkpoints import _write_state, fingerprint_of, fingerprint_of_rows


def test_a_full_disk_is_told_as_an_error_of_the_system(small_disk):
    with pytest.raises(OSError, match="No space left on device"):
        _write_state(small_disk / "state.pt", {"weight": torch.zeros(100_000)})


def test_a_state_that_cannot_be_written_is_no_matter_of_the_disk(tmp_path):
    with pytest.raises(AttributeError, match="local object"):
        _write_state(tmp_path / "state.pt", {"function": lambda: None})


def test_a_parameter_at_another_place_in_memory_is_the_same_training():
    kept = [lambda step: 1.0 for _ in range(2)]
    assert str(kept[0]) != str(kept[1])
    one, other = (fingerprint_of({"schedule": schedule}) for schedule in kept)
    assert one == other != fingerprint_of({"schedule": None})


def test_other_labels_or_weights_are_another_training():
    labels, weights = np.array([0, 1, 1]), np.ones(3, np.float32)
    others = (labels[::-1], weights), (labels, weights[::-1] * 2)
    made = {fingerprint_of({}, *arrays) for arrays in ((labels, weights), *others)}
    assert len(made) == 3


@pytest.mark.parametrize("as_rows", [np.array, list], ids=["array", "list"])
def test_rows_that_differ_in_one_place_are_another_training(as_rows):
    rows = np.arange(4000).reshape(2, 2000)
    other = rows.copy()
    other[1, 1000] = 0
    assert fingerprint_of_rows(as_rows(rows)) != fingerprint_of_rows(as_rows(other))


def test_a_state_is_read_as_it_was(tmp_path):
    _write_state(tmp_path / "state.pt", {"weight": torch.arange(3), "step": 1})
    read = torch.load(tmp_path / "state.pt", weights_only=True)
    assert read["weight"].tolist() == [0, 1, 2]
    assert read["step"] == 1
