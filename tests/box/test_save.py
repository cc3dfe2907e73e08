import pytest
import torch

from muxlearn import MuxTextClassifier, MuxTokenTagger
from muxlearn.box import save as command
from muxlearn.box._student import make_student, write_parts
from muxlearn.points import Point
from muxlearn.pretraining import MuxTextPretrainer
from muxlearn.rows._texts import train_tokenizer
from tests.box.test_training import teacher  # noqa: F401  (a fixture)

pytestmark = pytest.mark.slow  # the teacher is a real one

TEXTS = ["a cat and a dog", "a dog", "rain and wind", "wind"] * 3
LABELS = ["animal", "animal", "weather", "weather"] * 3
SHORT = {"max_length": 32}


@pytest.fixture
def student(teacher):  # noqa: F811
    return make_student(teacher, [Point(1, 1), Point(1, 2), Point(3, 2)])


@pytest.fixture
def folder(student, tmp_path):
    write_parts(student, tmp_path / "parts", [Point(3, 2), Point(1, 1)], 7)
    (tmp_path / "tokenizer.json").write_text(train_tokenizer(TEXTS, 300).to_str())
    options = ["--tokenizer", str(tmp_path / "tokenizer.json")]
    assert command.main([str(tmp_path / "parts"), str(tmp_path / "backbone"), *options]) == 0
    return tmp_path / "backbone"


def test_a_student_becomes_a_backbone(student, folder):
    clf = MuxTextClassifier(
        3,
        patch_size=2,
        operating_points=((1, 1), (3, 2), "words"),
        backbone=folder,
        max_epochs=1,
        **SHORT,
    ).fit(TEXTS, LABELS)
    assert clf.module_.warmed_up
    assert clf.warm_up_history_ is None
    assert len(clf.predict(TEXTS, n_mux="words")) == len(TEXTS)


def test_its_weights_are_those_of_the_training(student, folder):
    clf = MuxTextClassifier(2, patch_size=2, backbone=folder, max_epochs=0, **SHORT)
    weights = clf.fit(TEXTS, LABELS).module_.state_dict()
    for name, theirs in student.state_dict().items():
        if name.startswith("head.") or name not in weights:
            continue
        ours = weights[name]
        torch.testing.assert_close(ours, theirs[: len(ours)], atol=1e-2, rtol=1e-2)


def test_a_tagger_takes_all_but_what_is_of_another_size(folder):
    tagger = MuxTokenTagger(1, patch_size=2, backbone=folder, max_epochs=1, **SHORT)
    words = [text.split() for text in TEXTS]
    tagger.fit(words, [["X"] * len(row) for row in words])
    assert tagger.module_.warmed_up


def test_it_embeds_at_its_points(student, folder):
    pretrainer = MuxTextPretrainer.load(folder)
    for point in (1, (1, 2), (3, 2), "words"):
        vectors = pretrainer.transform(TEXTS, n_mux=point)
        assert vectors.shape == (len(TEXTS), student.vector_size)


def test_an_empty_folder_is_named(tmp_path, capsys):
    with pytest.raises(SystemExit):
        command.main([str(tmp_path), str(tmp_path / "to")])
    assert (
        "holds no encoder.safetensors.00; python -m muxlearn.box.train writes it"
        in capsys.readouterr().err
    )
