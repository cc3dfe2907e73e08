import numpy as np
import pytest
import torch

from muxlearn import MuxTextClassifier, MuxTextRegressor
from muxlearn.nn.reference import MuxBertSequenceClassifier, ReferenceSequenceClassifier
from tests.estimators.published_checkpoints import (
    DATAMUX,
    MUXBERT,
    TEXTS,
    make_checkpoint,
    make_tokenizer,
    write_folder,
)

ONE = {"n_classes": 1}


@pytest.fixture(scope="module")
def checkpoints(tmp_path_factory):
    """Folders of random checkpoints with one output, as for STS-B."""
    folders = {}
    for name, kind, kinds in (
        ("muxbert", MuxBertSequenceClassifier, MUXBERT | ONE),
        ("datamux", ReferenceSequenceClassifier, DATAMUX | ONE),
        ("classes", MuxBertSequenceClassifier, MUXBERT),
    ):
        folder = tmp_path_factory.mktemp(name)
        folders[name] = write_folder(folder, *make_checkpoint(kind, kinds), make_tokenizer())
    return folders


@pytest.mark.parametrize("name", ["muxbert", "datamux"])
def test_a_published_regression_predicts_its_output(checkpoints, name, tmp_path):
    reg = MuxTextRegressor.from_reference(checkpoints[name], max_length=8)
    predicted = reg.predict(TEXTS[:6])
    table = reg.predictor_.reader.table(TEXTS[:6])
    inputs = table.inputs(np.arange(6).reshape(2, 3))
    with torch.no_grad():
        outputs = reg.module_(**{k: torch.from_numpy(v).flatten(0, 1) for k, v in inputs.items()})
    np.testing.assert_allclose(predicted, outputs[:, 0], rtol=1e-4)
    reg.save(tmp_path / "model")
    loaded = MuxTextRegressor.load(tmp_path / "model")
    np.testing.assert_allclose(loaded.predict(TEXTS[:6]), predicted, rtol=1e-5)


def test_slots_of_a_row_are_averaged_as_numbers(checkpoints):
    reg = MuxTextRegressor.from_reference(checkpoints["muxbert"], max_length=8)
    in_each = [reg.predict([TEXTS[0]] * 3)[slot] for slot in range(3)]
    np.testing.assert_allclose(reg.predict(TEXTS[:1], n_mux=1), [np.mean(in_each)], rtol=1e-5)


def test_a_published_regression_is_trained_further(checkpoints):
    reg = MuxTextRegressor.from_reference(
        checkpoints["muxbert"], max_length=8, warm_start=True, max_epochs=20, lr=1e-2
    )
    amounts = np.array([float(len(text)) for text in TEXTS])
    before = reg.score(TEXTS, amounts)
    assert reg.fit(TEXTS, amounts).score(TEXTS, amounts) > before


def test_a_checkpoint_of_the_other_kind_names_its_estimator(checkpoints):
    with pytest.raises(ValueError, match=r"a regression; load it with MuxTextRegressor\.from_ref"):
        MuxTextClassifier.from_reference(checkpoints["muxbert"])
    with pytest.raises(ValueError, match=r"4 classes, not a regression.*MuxTextClassifier"):
        MuxTextRegressor.from_reference(checkpoints["classes"])
    with pytest.raises(ValueError, match="`classes` names labels"):
        MuxTextRegressor.from_reference(checkpoints["muxbert"], classes=["a"])
