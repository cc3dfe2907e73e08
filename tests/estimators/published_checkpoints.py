"""Random checkpoints in the authors' format, of every variant."""

import json

import numpy as np
import torch
from tokenizers import Tokenizer, models, pre_tokenizers, processors

from muxlearn import MuxTextClassifier, MuxTokenTagger
from muxlearn.nn.reference import (
    MuxBertMaskedLM,
    MuxBertSequenceClassifier,
    MuxBertTokenClassifier,
    MuxElectraSequenceClassifier,
    MuxElectraTokenClassifier,
    ReferenceSequenceClassifier,
    ReferenceTokenClassifier,
)

SIZES = {
    "hidden_size": 8,
    "num_hidden_layers": 1,
    "num_attention_heads": 2,
    "intermediate_size": 12,
    "hidden_dropout_prob": 0.0,
    "attention_probs_dropout_prob": 0.0,
    "max_position_embeddings": 40,
}
BERT = SIZES | {"vocab_size": 700, "pad_token_id": 0, "type_vocab_size": 2}
ELECTRA = BERT | {"embedding_size": 6}
# The reference marks rows with words that only the whole vocabulary has.
ROBERTA = SIZES | {"vocab_size": 50265, "pad_token_id": 1, "type_vocab_size": 1}
OFFICIAL = {
    ReferenceSequenceClassifier: "RobertaSequenceClassificationMuxed",
    ReferenceTokenClassifier: "RobertaTokenClassificationMuxed",
    MuxBertSequenceClassifier: "MuxedBertForSequenceClassification",
    MuxBertTokenClassifier: "MuxedBertForTokenClassification",
    MuxElectraSequenceClassifier: "MuxedElectraForSequenceClassification",
    MuxElectraTokenClassifier: "MuxedElectraForTokenClassification",
    MuxBertMaskedLM: "MuxedBertForMaskedLM",
}
DATAMUX = {"n_mux": 3, "n_classes": 4, "demultiplexer": "index", "orthogonal": False}
MUXBERT = {
    "n_mux": 3,
    "n_classes": 4,
    "demultiplexer": "index_pos",
    "multiplexer": "vector",
    "n_demux_layers": 2,
}
VARIANTS = {
    "index": (ReferenceSequenceClassifier, DATAMUX),
    "mlp": (ReferenceSequenceClassifier, DATAMUX | {"demultiplexer": "mlp"}),
    "orthogonal": (ReferenceSequenceClassifier, DATAMUX | {"orthogonal": True}),
    "index-token": (ReferenceTokenClassifier, DATAMUX),
    "mlp-token": (ReferenceTokenClassifier, DATAMUX | {"demultiplexer": "mlp"}),
    "rsa": (MuxBertSequenceClassifier, MUXBERT),
    "rsa-3": (MuxBertSequenceClassifier, MUXBERT | {"n_demux_layers": 3}),
    "prefix": (MuxBertSequenceClassifier, MUXBERT | {"demultiplexer": "index"}),
    "matrix": (MuxBertSequenceClassifier, MUXBERT | {"multiplexer": "matrix"}),
    "contextual": (MuxBertSequenceClassifier, MUXBERT | {"multiplexer": "contextual"}),
    "electra": (MuxElectraSequenceClassifier, MUXBERT),
    "electra-prefix": (MuxElectraSequenceClassifier, MUXBERT | {"demultiplexer": "index"}),
    "electra-token": (MuxElectraTokenClassifier, MUXBERT),
    "rsa-token": (MuxBertTokenClassifier, MUXBERT),
    "prefix-token": (MuxBertTokenClassifier, MUXBERT | {"demultiplexer": "index"}),
    "contextual-token": (MuxBertTokenClassifier, MUXBERT | {"multiplexer": "contextual"}),
}
TEXTS = ["a b c", "b", "c a a b d", "e", "a e", "d d d", "b a", "c"]
SENTENCES = [text.split() for text in TEXTS]


def make_tokenizer(**words):
    """Return a tokenizer that knows a few words and puts a mark before a text and behind it."""
    words = {"[PAD]": 0, "[CLS]": 101, "[UNK]": 3, **{c: 10 + i for i, c in enumerate("abcde")}}
    tokenizer = Tokenizer(models.WordLevel(words, unk_token="[UNK]"))
    tokenizer.pre_tokenizer = pre_tokenizers.WhitespaceSplit()
    marks = [(mark, words[mark]) for mark in ("[CLS]", "[UNK]")]
    tokenizer.post_processor = processors.TemplateProcessing(
        single="[CLS] $A [UNK]", pair="[CLS] $A [UNK] $B [UNK]", special_tokens=marks
    )
    return tokenizer


def number_tokenizer(vocab_size):
    """Return a tokenizer whose words are the numbers of its tokens."""
    tokenizer = Tokenizer(models.WordLevel({str(i): i for i in range(vocab_size)}, unk_token="3"))
    tokenizer.pre_tokenizer = pre_tokenizers.WhitespaceSplit()
    return tokenizer


def write_folder(folder, config, tensors, tokenizer=None):
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "config.json").write_text(json.dumps(config))
    torch.save(tensors, folder / "pytorch_model.bin")
    if tokenizer is not None:
        tokenizer.save(str(folder / "tokenizer.json"))
    return folder


def make_checkpoint(model_class, kinds):
    """Return the configuration and the tensors of a random checkpoint under the authors' names."""
    module = model_class.__module__.rpartition(".")[2]
    config = {"muxbert": BERT, "muxelectra": ELECTRA}.get(module, ROBERTA)
    model = model_class(config, **kinds)
    for parameter in model.parameters():
        torch.nn.init.normal_(parameter, std=0.3)
    tensors = {k: v.detach().clone() for k, v in model.published_tensors().items()}
    said = {"architectures": [OFFICIAL[model_class]], "num_instances": model.n_mux}
    return {**config, **said}, tensors


def estimator_of(variant):
    return MuxTokenTagger if variant.endswith("token") else MuxTextClassifier


def rows_of(variant):
    return SENTENCES if variant.endswith("token") else TEXTS


def probabilities(estimator, rows, **options):
    proba = estimator.predict_proba(rows, **options)
    return np.concatenate(proba) if isinstance(proba, list) else proba
