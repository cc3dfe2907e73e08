"""Published checkpoints give the numbers of their authors."""

import json
import os
from pathlib import Path

import numpy as np
import pytest
import torch

from muxlearn import MuxTextClassifier, MuxTokenTagger
from muxlearn.benchmark.parity import load_case
from tests.estimators.published_checkpoints import (
    number_tokenizer,
    probabilities,
    write_folder,
)

DATA = Path(__file__).parents[1] / "data"
GOLDEN = Path(os.environ.get("MUXLEARN_GOLDEN", Path(__file__).parents[3] / "shared" / "golden"))


def recorded():
    absent = pytest.mark.skip(reason="no recorded cases; MUXLEARN_GOLDEN names their folder")
    paths = [p for p in GOLDEN.glob("*mux*/*cls*.json") if "regression" not in p.stem]
    return [pytest.param(p, id=p.stem) for p in sorted(paths)] or [
        pytest.param(None, id="none", marks=absent)
    ]


def check_parity(folder, path):
    """Compare an estimator's probabilities for the recorded rows with those recorded."""
    config, _, tensors = load_case(path)
    estimator = MuxTokenTagger if "tokcls" in path.stem else MuxTextClassifier
    loaded = estimator.from_reference(
        folder, tokenizer=number_tokenizer(config["vocab_size"]), max_length=10
    )
    # The recorded runs come from a later transformers; one has the mask of the authors'.
    logits = tensors.get("output_legacy_mask10000.logits", tensors["output.logits"])
    lengths = tensors["input.attention_mask"].sum(1).tolist()
    rows = [
        [str(token) for token in row[:length].tolist()]
        for row, length in zip(tensors["input.input_ids"], lengths, strict=True)
    ]
    expected = logits.double().softmax(-1)
    if estimator is MuxTokenTagger:
        expected = torch.cat([e[-10:][:n] for e, n in zip(expected, lengths, strict=True)])
    else:
        rows = [" ".join(row) for row in rows]
    assert np.abs(probabilities(loaded, rows) - expected.numpy()).max() <= 2e-5


def write_case(path, folder):
    config, tensors, _ = load_case(path)
    official = json.loads(path.read_text())["official_class"].rpartition(".")[2]
    return write_folder(folder, config | {"architectures": [official]}, tensors)


@pytest.mark.parametrize(
    "path",
    sorted([*DATA.glob("datamux*.json"), *DATA.glob("muxbert*.json")]),
    ids=lambda path: path.stem,
)
def test_the_copied_cases_give_their_numbers(path, tmp_path):
    check_parity(write_case(path, tmp_path), path)


@pytest.mark.parametrize("path", recorded())
def test_all_recorded_cases_give_their_numbers(path, tmp_path):
    check_parity(write_case(path, tmp_path), path)


@pytest.mark.skipif(not GOLDEN.is_dir(), reason="no recorded cases")
@pytest.mark.parametrize(
    ("folder", "case"),
    [
        ("datamux_seqcls_index_N2", "datamux/datamux_seqcls_gaussian_hadamard_index_N2"),
        ("muxbert_seqcls_index_pos_N2", "muxbert/muxbert_seqcls_gaussian_hadamard_index_pos_N2"),
    ],
)
def test_the_authors_own_folders_give_their_numbers(folder, case):
    check_parity(GOLDEN / f"ckpt_{folder}", GOLDEN / f"{case}.json")
