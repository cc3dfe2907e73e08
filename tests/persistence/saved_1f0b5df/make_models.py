"""Make the saved models of this folder, each with rows and what it answers for them.

Run once, with commit 1f0b5df checked out, from the root of the repository::

    python tests/persistence/saved_1f0b5df/make_models.py

The folders are fixed: they show that models saved by that commit still load and predict the same.
Do not make them again with later code.
"""

from __future__ import annotations

import json
import os
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import torch

HERE = Path(__file__).parent

TEXTS = [
    "snow and ice in the hills",
    "sun and sand",
    "a cold wind",
    "",
    "the beach is warm, and the sea is calm today",
    "Frost!",
    "rain",
]
LABELS = ["winter", "summer", "winter", "mild", "summer", "winter", "mild"]
PAIRS = [[first, second] for first, second in zip(TEXTS, TEXTS[::-1], strict=True)]
INTEGERS = [[1, 2, 3, 4], [4, 3, 2, 1, 0, 5], [7], [2, 2], [9, 1, 9], [5, 6, 7, 8], [3, 1]]
SENTENCES = [
    ["Ada", "lives", "in", "Paris"],
    ["Bo"],
    ["It", "rained", "on", "us", "all"],
    [],
    ["in", "New", "York", "Ada", "met", "Bo"],
]
TAGS = [
    ["B-PER", "O", "O", "B-LOC"],
    ["B-PER"],
    ["O"] * 5,
    [],
    ["O", "B-LOC", "I-LOC", "B-PER", "O", "B-PER"],
]
IMAGES = np.random.default_rng(0).integers(0, 17, (7, 8, 8), np.uint8)
DIGITS = [3, 1, 4, 1, 3, 4, 1]

TINY: dict[str, Any] = {
    "n_mux": 2,
    "hidden_size": 8,
    "num_hidden_layers": 1,
    "num_attention_heads": 2,
    "vocab_size": 270,
    "max_length": 16,
    "batch_size": 4,
    "random_state": 0,
}
TASK = {"backbone": "scratch", "max_epochs": 4, "warm_up_epochs": 1, "lr": 3e-2}
BERT = {
    "vocab_size": 270,
    "hidden_size": 8,
    "num_hidden_layers": 2,
    "num_attention_heads": 2,
    "intermediate_size": 16,
    "max_position_embeddings": 40,
    "initializer_range": 0.3,
}


def write_bert(folder: Path) -> None:
    """Write an encoder of the `transformers` library, and its tokenizer."""
    from muxlearn._texts import train_tokenizer
    from transformers import BertConfig, BertModel, PreTrainedTokenizerFast

    BertModel(BertConfig(**BERT)).save_pretrained(folder)
    special = {"pad_token": "[PAD]", "cls_token": "[CLS]", "sep_token": "[SEP]"}
    tokenizer = PreTrainedTokenizerFast(tokenizer_object=train_tokenizer(TEXTS, 270), **special)
    tokenizer.save_pretrained(folder)


def record(model: Any, X: Any, folder: Path, **options: Any) -> None:
    """Write what a model answers, with and without options of prediction."""
    cases = []
    for given in ({}, *({name: value} for name, value in options.items())):
        case: dict[str, Any] = {"options": given}
        if hasattr(model, "predict_proba"):
            case["proba"] = listed(model.predict_proba(X, **given))
            case["labels"] = listed(model.predict(X, **given))
        else:
            case["vectors"] = listed(model.transform(X, **given))
        cases.append(case)
    assert spread(cases) > 1e-2, folder.name
    rows = X.tolist() if isinstance(X, np.ndarray) else X
    answers = {"estimator": type(model).__name__, "X": rows, "cases": cases}
    (folder / "answers.json").write_text(json.dumps(answers))


def listed(answers: Any) -> list:
    """Return answers as lists that JSON keeps, numbers to seven digits."""
    if isinstance(answers, np.ndarray):
        answers = answers.tolist()
    return [
        listed(row)
        if isinstance(row, list | np.ndarray)
        else float(f"{row:.7g}")
        if isinstance(row, float)
        else row
        for row in answers
    ]


def spread(cases: list[dict[str, Any]]) -> float:
    """Return by how much the answers for the rows differ."""
    rows = cases[0].get("proba", cases[0].get("vectors"))
    if isinstance(rows[0][0], list):
        rows = [token for row in rows for token in row]
    return float(np.ptp(np.array(rows), axis=0).max())


def save(name: str, model: Any, X: Any, **options: Any) -> None:
    """Save a fitted model with what it answers."""
    model.save(HERE / name)
    record(model, X, HERE / name, **options)
    print(f"{name}: {sum(f.stat().st_size for f in (HERE / name).iterdir()) // 1024} KiB")


def make_classifiers() -> None:
    """Make text classifiers."""
    from muxlearn import MuxTextClassifier

    classifier = partial(MuxTextClassifier, **{**TINY, **TASK})
    points = {"n_mux": 1, "n_passes": 2}
    clf = classifier(n_mux=4, operating_points=(1, 2, 4), early_stopping=True)
    clf.set_params(validation_fraction=0.25)
    many = [f"{text} {end}" for end in "abcd" for text in TEXTS]
    save("text_subspace_rsa", clf.fit(many, LABELS * 4), TEXTS, n_mux=2, n_passes=2)
    clf = classifier(multiplexer="hadamard", demultiplexer="index", learn_keys=False)
    save("text_hadamard_index", clf.fit(TEXTS, [2, 1, 2, 0, 1, 2, 0]), TEXTS, **points)
    clf = classifier(multiplexer="orthogonal", demultiplexer="mlp", lexical_path=False)
    save("text_orthogonal_mlp", clf.fit(TEXTS, LABELS), TEXTS, **points)
    clf = classifier(multiplexer="contextual", demux_layers=2, n_mux=3)
    save("text_contextual_rsa", clf.fit(TEXTS, LABELS), TEXTS, **points)
    save("text_plain", classifier(n_mux=1, tokenizer="word").fit(TEXTS, LABELS), TEXTS)
    save("text_pairs", classifier().fit(PAIRS, LABELS), PAIRS, **points)
    save("text_integers", classifier(warm_up=None).fit(INTEGERS, LABELS), INTEGERS, **points)
    clf = classifier(backbone="bert", max_epochs=2)
    save("text_transformers", clf.fit(TEXTS, LABELS), TEXTS, **points)
    clf = classifier(backbone="pretrainer", lr=1e-2)
    save("text_warmed_up", clf.fit(TEXTS, LABELS), TEXTS, **points)
    sizes = {"architecture": "mimoformer", "n_mux": 4, "head_dim": 4, "n_features": 8}
    clf = classifier(**sizes, operating_points=(1, 4))
    save("mimoformer_att", clf.fit(TEXTS, LABELS), TEXTS, **points)
    sizes |= {"mimo_variant": "att+mlp", "pooling": "cls", "positions": "sinusoidal"}
    clf = classifier(**sizes, mux_grid=(2, 2), tied_layers=True, tokenizer="char", warm_up=None)
    save("mimoformer_attmlp", clf.fit(TEXTS, LABELS), TEXTS, **points)
    clf = classifier(architecture="revmux", backbone="bert", max_epochs=20, lr=1e-1)
    save("revmux", clf.fit(TEXTS, LABELS), TEXTS, **points)


def make_published() -> None:
    """Make estimators of checkpoints in the authors' format, with random weights."""
    from muxlearn import MuxTextClassifier, MuxTokenTagger
    from muxlearn.nn import reference

    bert = {
        "vocab_size": 260,
        "hidden_size": 8,
        "num_hidden_layers": 1,
        "num_attention_heads": 2,
        "intermediate_size": 12,
        "hidden_dropout_prob": 0.0,
        "attention_probs_dropout_prob": 0.0,
        "max_position_embeddings": 40,
        "pad_token_id": 0,
        "type_vocab_size": 2,
    }
    muxbert = {
        "n_mux": 2,
        "n_classes": 4,
        "demultiplexer": "index_pos",
        "multiplexer": "vector",
        "n_demux_layers": 2,
    }
    write_published(
        "published_muxbert",
        reference.MuxBertSequenceClassifier(bert, **muxbert),
        "MuxedBertForSequenceClassification",
        bert,
        MuxTextClassifier,
    )
    write_published(
        "published_muxbert_tagger",
        reference.MuxBertTokenClassifier(bert, **muxbert),
        "MuxedBertForTokenClassification",
        bert,
        MuxTokenTagger,
    )


def write_published(
    name: str, model: Any, official: str, config: dict[str, Any], estimator: Any
) -> None:
    """Write a checkpoint as the authors do, load it as an estimator and save that."""
    import tempfile

    from tokenizers import Tokenizer, models, pre_tokenizers

    from muxlearn.nn.reference._loading import rename_parameters

    for parameter in model.parameters():
        torch.nn.init.normal_(parameter, std=0.5)
    names = model._names() | {"backbone.": model._backbone_name}
    words = {str(i): i for i in range(40)}
    tokenizer = Tokenizer(models.WordLevel(words, unk_token="3"))
    tokenizer.pre_tokenizer = pre_tokenizers.WhitespaceSplit()
    with tempfile.TemporaryDirectory() as folder:
        said = {**config, "architectures": [official], "num_instances": model.n_mux}
        (Path(folder) / "config.json").write_text(json.dumps(said))
        torch.save(rename_parameters(model, names), Path(folder) / "pytorch_model.bin")
        loaded = estimator.from_reference(folder, tokenizer=tokenizer, max_length=10)
    X: Any = ["11 12 13", "20", "31 30 9 8", "15 16", "34 35 36 37 38"]
    if estimator.__name__ == "MuxTokenTagger":
        X = [text.split() for text in X]
    save(name, loaded, X, n_passes=2)


def make_taggers() -> None:
    """Make token taggers."""
    from muxlearn import MuxTokenTagger

    tagger = partial(MuxTokenTagger, lexical_size=8, **{**TINY, **TASK})
    points = {"n_mux": 1, "n_passes": 2}
    save("tagger_argmax", tagger().fit(SENTENCES, TAGS), SENTENCES, **points)
    decoded = tagger(decode="viterbi", demultiplexer="index")
    save("tagger_viterbi", decoded.fit(SENTENCES, TAGS), SENTENCES, **points)


def make_image_classifiers() -> None:
    """Make image classifiers."""
    from muxlearn import MuxImageClassifier

    sizes = {"width": 1, "initial_width": 1, "batch_size": 4, "max_epochs": 2, "random_state": 0}
    classifier = partial(MuxImageClassifier, 2, **sizes)
    points = {"n_mux": 1, "n_passes": 2}
    images = IMAGES.astype(np.float32)
    for multiplexer in ("subspace", "hrr", "mbat"):
        clf = classifier(multiplexer=multiplexer).fit(images, DIGITS)
        save(f"image_mimoconv_{multiplexer}", clf, images, **points)
    clf = classifier(architecture="cnn", max_epochs=20, lr=1e-2)
    save("image_cnn", clf.fit(images, DIGITS), images, **points)


def make_pretrainer() -> None:
    """Make a warmed-up encoder, which a classifier starts from."""
    from muxlearn.pretraining import MuxTextPretrainer

    model = MuxTextPretrainer(**TINY, objective="retrieval", max_epochs=2).fit(TEXTS * 2)
    save("pretrainer", model, TEXTS, n_mux=1)


def make_onnx() -> None:
    """Export fitted models to ONNX; the answers are those of onnxruntime."""
    from muxlearn import MuxImageClassifier, MuxTextClassifier, MuxTokenTagger
    from muxlearn.export import OnnxMuxClassifier, OnnxMuxTagger, export_onnx

    kinds = {
        "onnx_text": (MuxTextClassifier, "text_hadamard_index", OnnxMuxClassifier, TEXTS),
        "onnx_tagger": (MuxTokenTagger, "tagger_viterbi", OnnxMuxTagger, SENTENCES),
        "onnx_image": (MuxImageClassifier, "image_cnn", OnnxMuxClassifier, IMAGES.astype(float)),
    }
    for name, (estimator, source, exported, X) in kinds.items():
        export_onnx(estimator.load(HERE / source), HERE / name)
        forget_sources(HERE / name)
        record(exported.load(HERE / name, n_threads=1), X, HERE / name, n_passes=2)


def forget_sources(folder: Path) -> None:
    """Strip the graphs in a folder of the lines of code that torch's exporter notes in them."""
    import onnx

    from muxlearn.persistence import write_contents

    config = json.loads((folder / "config.json").read_text())
    contents = {name: (folder / name).read_bytes() for name in config.pop("sha256")}
    for name in contents:
        if name.endswith(".onnx"):
            model = onnx.load_from_string(contents[name])
            forget_metadata(model)
            contents[name] = model.SerializeToString()
    write_contents(folder, config, contents)


def forget_metadata(part: Any) -> None:
    """Clear the metadata of a part of a graph, and of the parts in it."""
    if "metadata_props" in part.DESCRIPTOR.fields_by_name:
        del part.metadata_props[:]
    for field, value in part.ListFields():
        if field.message_type is not None:
            for inner in value if field.is_repeated else (value,):
                forget_metadata(inner)


def main() -> None:
    """Make everything; the names of backbones are those of folders beside the models."""
    os.chdir(HERE)
    torch.manual_seed(0)
    torch.set_num_threads(1)
    write_bert(HERE / "bert")
    make_pretrainer()
    make_classifiers()
    make_published()
    make_taggers()
    make_image_classifiers()
    make_onnx()


if __name__ == "__main__":
    main()
