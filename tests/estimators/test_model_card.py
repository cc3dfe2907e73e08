"""Model cards, as the hub's library reads them and as a reader follows them."""

import copy
import json
import re

import numpy as np
import pytest
from huggingface_hub import ModelCard
from safetensors.torch import save_file
from sklearn.base import clone
from tokenizers import Tokenizer, models, pre_tokenizers

import muxlearn
from muxlearn import MuxImageClassifier, MuxTextClassifier, architectures, backbones
from muxlearn.estimators._card_scores import check_scores
from muxlearn.estimators._model_card import is_generated, model_card
from muxlearn.inspection import TradeoffDisplay
from muxlearn.nn._loading import rename_parameters
from muxlearn.nn.reference import MuxBertSequenceClassifier
from muxlearn.persistence import FORMAT_VERSION
from muxlearn.points import Point

TEXTS = ["the cat sat", "my old dog", "it", "a b c"] * 3
LABELS = ["x", "y"] * 6
SCORES = {
    1: {"accuracy": 0.95123, "rows_per_second": 410.4},
    2: {"accuracy": 0.9, "rows_per_second": 4100.4},
}


@pytest.fixture(scope="module")
def untrained(tiny_classifier):
    def fit(labels=LABELS, texts=TEXTS, **params):
        return tiny_classifier(max_epochs=0, warm_up=None, **params).fit(texts, labels)

    return fit


@pytest.fixture(scope="module")
def fitted(untrained):
    return untrained()


@pytest.fixture(scope="module")
def tagger(tiny_tagger):
    sentences = [["a", "b", "c"]] * 4
    return tiny_tagger(max_epochs=0, warm_up=None).fit(sentences, [["B-X", "I-X", "O"]] * 4)


@pytest.fixture(scope="module")
def images():
    clf = MuxImageClassifier(2, architecture="mlp", max_epochs=0, random_state=0)
    return clf.fit(np.eye(64).reshape(64, 8, 8)[:12], [0, 1] * 6)


def data_of(card):
    """Return the front matter as the hub's library reads it from a file's text."""
    return ModelCard(str(card)).data


def text_of(estimator, name="me/model", **given):
    return ModelCard(str(model_card(estimator, name, **given))).text


def block(text, head):
    """Return the first code under a heading."""
    return re.search(rf"## {head}\n.*?```python\n(.*?)```", text, re.DOTALL).group(1)


# The front matter


@pytest.mark.parametrize(
    ("kind", "tag"),
    [
        ("fitted", "text-classification"),
        ("tagger", "token-classification"),
        ("images", "image-classification"),
    ],
)
def test_the_front_matter_says_library_and_task(request, kind, tag):
    data = data_of(model_card(request.getfixturevalue(kind), "me/model"))
    assert data.library_name == "muxlearn"
    assert data.pipeline_tag == tag
    assert data.tags == ["multiplexing", "scikit-learn"]
    assert data.to_dict().keys() == {"library_name", "pipeline_tag", "tags"}


def test_metadata_is_added_and_replaces(fitted):
    given = {"license": "mit", "language": "en", "tags": "toy", "pipeline_tag": "zero-shot"}
    data = data_of(model_card(fitted, "me/model", metadata=given))
    assert (data.license, data.language, data.pipeline_tag) == ("mit", "en", "zero-shot")
    assert data.tags == ["multiplexing", "scikit-learn", "toy"]


def test_scores_on_a_dataset_are_in_the_hub_s_index(fitted):
    data = data_of(model_card(fitted, "me/model", scores=SCORES, dataset="stanfordnlp/sst2"))
    assert data.metrics == ["accuracy"]
    assert data.model_name == "model"
    found = {
        result.metric_args["n_mux"]: (result.metric_type, result.metric_value, result.dataset_type)
        for result in data.eval_results
    }
    assert found == {
        1: ("accuracy", 0.95123, "stanfordnlp/sst2"),
        2: ("accuracy", 0.9, "stanfordnlp/sst2"),
    }
    assert {result.task_type for result in data.eval_results} == {"text-classification"}


def test_scores_on_no_dataset_are_in_no_index(fitted):
    data = data_of(model_card(fitted, "me/model", scores=SCORES))
    assert data.metrics == ["accuracy"]
    assert "model-index" not in data.to_dict()


def test_a_tagger_s_scores_have_the_hub_s_names(tagger):
    scores = {2: {"entity_f1": 0.5, "token_accuracy": 0.75, "my_score": 3}}
    data = data_of(model_card(tagger, "m", scores=scores, dataset="conll"))
    assert data.metrics == ["f1", "accuracy"]
    names = [result.metric_name for result in data.eval_results]
    assert names == ["entity_f1 at n_mux=2", "token_accuracy at n_mux=2"]


def with_backbone(fitted, backbone):
    model = copy.deepcopy(fitted).set_params(backbone=backbone)
    model._structure = model._structure | {"backbone": backbone}
    return model


def test_a_backbone_of_the_hub_is_the_base_model(fitted):
    card = model_card(with_backbone(fitted, "some/encoder"), "me/model")
    assert data_of(card).base_model == "some/encoder"
    assert "around `some/encoder`" in card.text
    assert "    backbone='some/encoder',\n" in card.text


@pytest.mark.parametrize("kind", [str, lambda folder: folder])
def test_a_card_does_not_name_the_folders_of_a_machine(fitted, tmp_path, kind):
    folder = tmp_path / "encoder"
    folder.mkdir()
    card = model_card(with_backbone(fitted, kind(folder)), "me/model")
    assert data_of(card).base_model is None
    assert str(tmp_path) not in str(card)
    assert "around `…/encoder`" in card.text


def test_a_folder_that_is_gone_is_no_base_model(fitted):
    card = model_card(with_backbone(fitted, "a/folder/once"), "me/model")
    assert data_of(card).base_model is None
    assert "around `a/folder/once`" in card.text


# The scores


def test_scores_are_a_table_by_falling_n_mux(fitted):
    text = text_of(fitted, scores=SCORES)
    assert (
        "| `n_mux` | accuracy | rows/s |\n"
        "| ---: | ---: | ---: |\n"
        "| 2 | 0.900 | 4,100 |\n"
        "| 1 | 0.951 | 410 |\n"
    ) in text
    assert "Speed depends on the machine." in text


def test_a_score_by_n_mux_alone_is_that_with_the_model_s_own_patches():
    scores = {"accuracy": 0.5}
    assert check_scores({5: scores}, Point(10, 2)) == {Point(5, 2): scores}


def test_a_score_that_was_not_measured_is_blank(fitted):
    text = text_of(fitted, scores={1: {"accuracy": 1}, 2: {"a|b": 12.34}}, dataset="mine")
    assert "| `n_mux` | a\\|b | accuracy |" in text
    assert "| 2 | 12.3 |  |\n| 1 |  | 1.000 |" in text
    assert "measured on `mine`." in text
    assert "machine" not in text


def test_without_scores_there_is_no_table(fitted):
    assert text_of(fitted) == text_of(fitted, scores={})
    assert "## Scores" not in text_of(fitted)


def test_what_a_display_has_measured_is_taken_as_it_is(fitted):
    display = TradeoffDisplay([1, 2], [0.95123, 0.9], [410.4, 4100.4], score_name="accuracy")
    given = {"dataset": "mine"}
    assert str(model_card(fitted, "m", scores=display, **given)) == str(
        model_card(fitted, "m", scores=SCORES, **given)
    )


@pytest.mark.parametrize(
    ("given", "error", "message"),
    [
        ({"scores": 0.9}, TypeError, "`scores` must be a mapping of `n_mux` to scores by name"),
        ({"scores": {2: 0.9}}, TypeError, r"such as \{10: .* got 0\.9 for 2"),
        ({"scores": {2: {1: 0.9}}}, TypeError, r"got \{1: 0\.9\} for 2"),
        (
            {"scores": {3: {"accuracy": 1}}},
            ValueError,
            "`scores` is a mapping .* `n_mux` .* at most 2, got 3",
        ),
        ({"scores": {"2": {"accuracy": 1}}}, TypeError, r"whole number .* got '2' \(str\)"),
        ({"scores": {2: {"accuracy": "1"}}}, TypeError, r"`scores\[2\]\['accuracy'\]` must be"),
        ({"scores": {2: {"accuracy": np.nan}}}, ValueError, "must be a number, got nan"),
        ({"dataset": 3}, TypeError, "`dataset` must be the name of a dataset, got 3"),
        ({"metadata": "mit"}, TypeError, "`metadata` must be a mapping, got 'mit'"),
        ({"metadata": {1: 2}}, TypeError, "`metadata` must have names that are str, got 1"),
        ({"metadata": {"tags": 3}}, TypeError, "`metadata` has tags 3; give a list"),
        ({"metadata": {"x": np.float64(1)}}, TypeError, "`metadata` holds what a card cannot"),
    ],
)
def test_what_is_no_card(fitted, given, error, message):
    with pytest.raises(error, match=message):
        model_card(fitted, "me/model", **given)


# The text


@pytest.mark.parametrize("kind", ["fitted", "tagger"])
def test_the_code_on_a_card_runs(request, kind, tmp_path, monkeypatch):
    model = request.getfixturevalue(kind)
    model.save_pretrained(tmp_path / "model")
    monkeypatch.chdir(tmp_path)
    scope = {}
    exec(block((tmp_path / "model" / "README.md").read_text(encoding="utf-8"), "Use"), scope)
    assert type(scope["model"]) is type(model)
    assert scope["model"].get_params() == model.get_params()


def test_the_code_on_a_card_of_images_runs(images, tmp_path, monkeypatch):
    images.save_pretrained(tmp_path / "model")
    monkeypatch.chdir(tmp_path)
    scope = {"images": np.zeros((3, 8, 8))}
    exec(block((tmp_path / "model" / "README.md").read_text(encoding="utf-8"), "Use"), scope)
    assert type(scope["model"]) is MuxImageClassifier


def test_sequences_of_integers_are_no_texts(untrained, tmp_path, monkeypatch):
    model = untrained(texts=np.arange(60).reshape(12, 5) % 7)
    assert data_of(model_card(model, "model")).pipeline_tag == "other"
    model.save_pretrained(tmp_path / "model")
    monkeypatch.chdir(tmp_path)
    scope = {}
    exec(block((tmp_path / "model" / "README.md").read_text(encoding="utf-8"), "Use"), scope)
    assert type(scope["model"]) is MuxTextClassifier


def test_the_parameters_on_a_card_make_the_same_estimator(untrained):
    model = untrained(class_weight={"x": 2.0}, operating_points=(1, 2), device="cpu")
    names = {name: getattr(muxlearn, name) for name in muxlearn.__all__}
    made = eval(block(text_of(model), "Parameters"), names | vars(architectures) | vars(backbones))
    assert made.get_params() == model.get_params()


def test_only_data_is_shown_and_none_of_the_defaults(fitted):
    model = copy.deepcopy(fitted).set_params(random_state=np.random.RandomState(0), callbacks=[])
    assert "random_state" not in text_of(model)
    assert "callbacks" not in text_of(model)
    assert "dropout" not in text_of(model)
    plain = copy.deepcopy(fitted).set_params(**MuxTextClassifier().get_params())
    assert block(text_of(plain), "Parameters") == "MuxTextClassifier()\n"


def test_a_card_names_sizes_and_versions(fitted):
    text = text_of(fitted)
    n_weights = sum(weights.numel() for weights in fitted.module_.parameters())
    assert f"`architecture` `'tmux'`; {n_weights:,} weights" in text
    assert "1 to 2; trained at 2\n" in text
    assert f"muxlearn {muxlearn.__version__} (format {FORMAT_VERSION}), Python 3." in text


def test_operating_points_are_what_it_is_trained_at(untrained):
    assert "trained at 1, 2\n" in text_of(untrained(operating_points=(2, 1)))


def test_points_that_are_set_after_fit_are_not_called_trained(fitted):
    changed = copy.deepcopy(fitted).set_params(operating_points=(1, 2))
    assert "trained at 2\n" in text_of(changed)
    assert "trained at 1, 2\n" in text_of(changed.fit(TEXTS, LABELS))


def test_labels_are_named(fitted):
    assert "- Labels: 2, `'x'`, `'y'`\n" in text_of(fitted)


def test_many_labels_are_cut_off(untrained):
    text = text_of(untrained(labels=[*range(30)] * 2, texts=TEXTS * 5))
    assert "- Labels: 30, `0`, `1`," in text
    assert "`19` and 10 more\n" in text
    assert "`20`" not in text


@pytest.mark.parametrize(
    ("label", "shown"),
    [
        ("a`b", "`` 'a`b' ``"),
        ("``", "``` '``' ```"),
        ("a\n## b", r"`'a\n## b'`"),
        ("<b> | *c*", "`'<b> | *c*'`"),
        ("x" * 300, f"`'{'x' * 198}…`"),
    ],
)
def test_a_label_of_any_kind_stays_code(untrained, label, shown):
    text = text_of(untrained(labels=["other", label] * 6))
    assert shown in text.partition("- Labels: 2, ")[2].partition("\n")[0]


def test_limits_speak_of_companions(fitted):
    limits = text_of(fitted).partition("## Limits")[2]
    for part in ("depends on the other texts of its mixture", "`groups=`", "`n_passes=`"):
        assert part in limits
    assert "Only the first 16 tokens of a text are read" in limits


def test_a_model_without_mixtures_has_no_companions(untrained):
    text = text_of(untrained(n_mux=1))
    assert "reads texts one by one" in text
    assert "mixture" not in text
    assert "n_mux=1)" not in block(text, "Use")


def test_a_class_of_one_s_own_is_imported_from_where_it_is(fitted):
    own = type("Own", (MuxTextClassifier,), {"__module__": "mine.models"})
    model = own(**fitted.get_params(deep=False))
    model.__setstate__(fitted.__getstate__())
    assert "from mine.models import Own\n" in text_of(model)
    assert "text-classification" in str(model_card(model, "me/model"))


def test_a_published_model_is_said_to_be_one(tmp_path):
    sizes = {"hidden_size": 8, "num_hidden_layers": 1, "num_attention_heads": 2, "vocab_size": 300}
    config = sizes | {
        "intermediate_size": 12,
        "max_position_embeddings": 40,
        "pad_token_id": 0,
        "type_vocab_size": 2,
        "hidden_dropout_prob": 0.0,
        "attention_probs_dropout_prob": 0.0,
        "architectures": ["MuxedBertForSequenceClassification"],
        "num_instances": 2,
    }
    kinds = {"multiplexer": "vector", "demultiplexer": "index_pos", "n_demux_layers": 2}
    model = MuxBertSequenceClassifier(config, n_mux=2, n_classes=3, **kinds)
    names = model._names() | {"backbone.": model._backbone_name}
    tensors = rename_parameters(model, names).items()
    save_file(
        {key: value.detach().clone() for key, value in tensors}, tmp_path / "model.safetensors"
    )
    (tmp_path / "config.json").write_text(json.dumps(config))
    words = Tokenizer(models.WordLevel({str(i): i for i in range(40)}, unk_token="3"))
    words.pre_tokenizer = pre_tokenizers.WhitespaceSplit()
    loaded = MuxTextClassifier.from_reference(tmp_path, tokenizer=words)
    assert "as by the code of its authors (DataMUX, MUX-PLMs)" in text_of(loaded)
    loaded.save_pretrained(tmp_path / "own")
    again = MuxTextClassifier.from_pretrained(tmp_path / "own")
    np.testing.assert_array_equal(again.predict_proba(["1 2"]), loaded.predict_proba(["1 2"]))


# Whose card it is


def test_a_card_is_generated_until_its_first_comment_is_gone(fitted, tmp_path):
    card = model_card(clone(fitted).fit(TEXTS, LABELS), "me/model")
    card.save(tmp_path / "README.md")
    assert is_generated(tmp_path / "README.md")
    (tmp_path / "README.md").write_text(re.sub("<!--.*-->", "", str(card)), encoding="utf-8")
    assert not is_generated(tmp_path / "README.md")
