"""Checkpoints in the layout of MIMONets' authors give their recorded numbers as estimators."""

import json
from pathlib import Path

import numpy as np
import pytest
import torch

from muxlearn import MuxImageClassifier, MuxTextClassifier, MuxTokenTagger
from muxlearn.benchmark import parity
from muxlearn.persistence import FormatError

DATA = Path(__file__).parents[1] / "data"
IMAGES = "mimoconv_mimonet-2stage_hrr_n2_1x28"
TEXTS = ["mimoformer_att_m2n2_tied_fixedpos", "mimoformer_attmlp_m2n2_tied"]


def write(folder, name, **said):
    """Write a recorded case as a checkpoint; return what was recorded."""
    config, weights, recorded = parity.load_case(DATA / f"{name}.json")
    folder.mkdir(exist_ok=True)
    (folder / "config.json").write_text(json.dumps({**config, **said}))
    torch.save(weights, folder / "pytorch_model.bin")
    return recorded


def proba(logits):
    return torch.softmax(logits.double(), -1).numpy()


# Images


@pytest.fixture
def images(tmp_path):
    recorded = write(tmp_path / "conv", IMAGES)
    return tmp_path / "conv", recorded


def load_images(folder, recorded, **options):
    given = recorded["input.images"].numpy()
    return MuxImageClassifier.from_reference(folder, given, mean=[0], std=[1], **options)


def test_images_get_the_recorded_answers(images, tmp_path):
    folder, recorded = images
    clf = load_images(folder, recorded)
    given = recorded["input.images"].numpy()
    assert (clf.n_mux, clf.multiplexer) == (2, "hrr")
    clf.save(tmp_path / "saved")
    for model in (clf, MuxImageClassifier.load(tmp_path / "saved")):
        for n_mux in (2, 1):
            expected = proba(recorded[f"output.logits_sup{n_mux}"])
            np.testing.assert_allclose(model.predict_proba(given, n_mux=n_mux), expected, atol=2e-5)


@pytest.mark.parametrize(
    ("statistics", "message"),
    [
        ({"mean": [0.5], "std": [0.0]}, "`std` must be"),
        ({"mean": [np.nan], "std": [1]}, "`mean` must be"),
        ({"mean": [0.1307], "std": [0.3081]}, "are of pixels from 0 to 1.* divide `images` by"),
    ],
)
def test_statistics_must_fit_the_images(images, statistics, message):
    folder, recorded = images
    given = (recorded["input.images"].abs() * 99).numpy()
    with pytest.raises(ValueError, match=message):
        MuxImageClassifier.from_reference(folder, given, **statistics)


def test_no_image_is_dropped(images):
    folder, recorded = images
    clf = load_images(folder, recorded)
    assert len(clf.predict(recorded["input.images"].numpy()[:3])) == 3


def test_labels_come_in_the_order_of_the_outputs(images):
    folder, recorded = images
    given = recorded["input.images"].numpy()
    plain = load_images(folder, recorded)
    names = [f"{9 - i}th" for i in range(len(plain.classes_))]
    named = load_images(folder, recorded, classes=names)
    assert named.predict(given).tolist() == [names[i] for i in plain.predict(given)]


def test_a_model_of_the_authors_trains_on(images):
    folder, recorded = images
    clf = load_images(folder, recorded, warm_start=True, max_epochs=1, batch_size=2)
    given = np.concatenate([recorded["input.images"].numpy()] * 5)
    before = clf.predict_proba(given)
    clf.fit(given, np.arange(20) % 10)
    assert np.abs(clf.predict_proba(given) - before).max() > 1e-6


def test_what_does_not_fit_is_named(images, tmp_path):
    folder, recorded = images
    given = recorded["input.images"].numpy()
    with pytest.raises(ValueError, match=r"`images` has 3 channels, but .* takes images of 1"):
        MuxImageClassifier.from_reference(folder, np.repeat(given, 3, 1))
    with pytest.raises(ValueError, match="`n_mux` is read from the model"):
        MuxImageClassifier.from_reference(folder, given, n_mux=2)
    write(tmp_path / "other", IMAGES, architecture="ResNet-18")
    with pytest.raises(ValueError, match="not a MIMOConv checkpoint: architecture='ResNet-18'"):
        MuxImageClassifier.from_reference(tmp_path / "other", given)
    write(tmp_path / "text", TEXTS[0])
    with pytest.raises(FormatError, match="lacks 'architecture'"):
        MuxImageClassifier.from_reference(tmp_path / "text", given)


# Texts


@pytest.mark.parametrize("name", TEXTS)
def test_sequences_get_the_recorded_answers(name, tmp_path):
    recorded = write(tmp_path / "former", name)
    names = sorted(key for key in recorded if key.startswith(("input.ids", "input.input_ids")))
    ids, mask = recorded[names[0]], recorded["input.mask"].bool()
    rows = [row[kept].numpy() for row, kept in zip(ids, mask, strict=True)]
    clf = MuxTextClassifier.from_reference(tmp_path / "former", max_length=ids.shape[1])
    clf.save(tmp_path / "saved")
    for model in (clf, MuxTextClassifier.load(tmp_path / "saved")):
        np.testing.assert_allclose(
            model.predict_proba(rows), proba(recorded["output.logits"]), atol=2e-5
        )
    assert clf.n_mux == 4
    assert clf.predict(rows[:3], n_mux=1).shape == (3,)


def test_a_mimoformer_is_for_texts_and_has_so_many_positions(tmp_path):
    write(tmp_path, TEXTS[0])
    with pytest.raises(ValueError, match="MIMOFormer, which classifies texts"):
        MuxTokenTagger.from_reference(tmp_path)
    with pytest.raises(ValueError, match="`max_length` is 9999, but the model in"):
        MuxTextClassifier.from_reference(tmp_path, max_length=9999)
    with pytest.raises(TypeError, match="`tokenizer` is of type int"):
        MuxTextClassifier.from_reference(tmp_path, tokenizer=3)
