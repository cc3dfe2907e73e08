"""The experiments on texts: DataMUX, MUX-PLMs and RevMUX."""

from __future__ import annotations

import math
from functools import partial
from typing import Any

from sklearn.base import clone
from sklearn.feature_extraction.text import TfidfVectorizer
from sklearn.linear_model import LogisticRegression
from sklearn.metrics import accuracy_score
from sklearn.pipeline import make_pipeline

from muxlearn import MuxTextClassifier, MuxTokenTagger
from muxlearn.architectures import TMUX, RevMUX
from muxlearn.backbones import Packaged, Scratch
from muxlearn.benchmark.frontier import MostFrequentTag
from muxlearn.benchmark.reproduce._data import (
    conll,
    file_task,
    glue,
    made_up_sentences,
    made_up_texts,
    sick,
    sst2,
    texts_of_file,
    wikitext,
)
from muxlearn.benchmark.reproduce._recipe import Recipe, Request, Source, Start, Variant
from muxlearn.benchmark.reproduce._starts import (
    PLAIN_ADAMW,
    VOCAB_SIZE,
    AuthorsWarmUp,
    FirstLayers,
    Pretraining,
    RandomRoberta,
    roberta_tokenizer,
    train_tokenizer,
)
from muxlearn.box import packaged_minilm
from muxlearn.datasets import load_conll
from muxlearn.metrics import entity_f1_score
from muxlearn.pretraining import MuxTextPretrainer

__all__ = ["datamux_mnli", "datamux_ner", "mux_plm_glue", "revmux_glue"]

_BASE = {
    "hidden_size": 768,
    "num_hidden_layers": 12,
    "num_attention_heads": 12,
    "intermediate_size": 3072,
}
_COMPACT = {
    "hidden_size": 128,
    "num_hidden_layers": 4,
    "num_attention_heads": 4,
    "intermediate_size": 512,
}
_TINY = {
    "hidden_size": 16,
    "num_hidden_layers": 1,
    "num_attention_heads": 2,
    "intermediate_size": 16,
}


def _own_texts(request: Request) -> list[str]:
    """Return made-up texts without labels."""
    return [str(text) for text in made_up_texts()(request).train.X]


# DataMUX

_DATAMUX: dict[str, dict[str, Any]] = {
    "paper": {
        "n_mux": (2, 5, 10, 20, 40),
        "sizes": _BASE,
        "tokenizer": roberta_tokenizer,
        "texts": wikitext,
        "warm_up_steps": 500_000,
        "steps": 500_000,
        "plain_epochs": 10,
        "params": {"max_length": 128, "lr": 5e-5, "dropout": 0.1, "optimizer": PLAIN_ADAMW},
        "ours": {"max_length": 128},
        "differs": (),
    },
    "small": {
        "n_mux": (2, 5),
        "sizes": {**_COMPACT, "vocab_size": VOCAB_SIZE},
        "tokenizer": train_tokenizer,
        "texts": partial(texts_of_file, n_texts=12_000),
        "warm_up_steps": 6_000,
        "steps": 2_000,
        "plain_epochs": 3,
        "params": {"max_length": 40, "lr": 5e-4, "dropout": 0.0, "optimizer": PLAIN_ADAMW},
        "ours": {"max_length": 40, "max_epochs": 3},
        "differs": (
            "4 layers of width 128 and 8,000 tokens; there 12 of 768 and 50,265",
            "6,000 steps of warm-up on texts of yours and 2,000 of the task at 5e-4; there 500,000 "
            "each, on WikiText-103, at 5e-5",
            "three epochs for B1, B2 and 'ours', which are fewer steps than DataMUX's",
        ),
    },
    "tiny": {
        "n_mux": (2,),
        "sizes": {**_TINY, "vocab_size": VOCAB_SIZE},
        "tokenizer": train_tokenizer,
        "texts": _own_texts,
        "warm_up_steps": 4,
        "steps": 4,
        "plain_epochs": 1,
        "params": {"max_length": 12, "lr": 5e-4, "optimizer": PLAIN_ADAMW},
        "ours": {"max_length": 12, "max_epochs": 1},
        "differs": ("made-up rows, a few steps",),
    },
}
_DATAMUX_CLAIM = (
    "20 and 40 rows at once cost less than 2 and 4 points of MNLI and are 11 and 18 times as fast"
)
_DATAMUX_DIFFERS = (
    "the authors' arithmetic, by `Published.create`; the head learns five times as fast as the "
    "rest, and attention has no dropout",
    "32 tokens of a mixture are recovered in a step of the warm-up, and in one of the task; there "
    "one at every position",
    "the model after the last step is judged on all rows; there the best of the test set's "
    "evaluations, without the rows that fill no batch",
    "B2 recovers tokens by our own retrieval task, one row at a time",
    "'ours' starts from the packaged encoder, with its own parts",
)


def _batch_size(n_mux: int) -> int:
    """Return the mixtures of a step, as the authors' scripts choose them."""
    return 16 if n_mux >= 40 else 20 if n_mux >= 20 else 24 if n_mux >= 2 else 32


def _datamux_variants(estimator: type[Any], scale: str) -> tuple[Variant, ...]:
    """Return DataMUX's networks from random weights, behind its two baselines of one row."""
    sizes = _DATAMUX[scale]
    architecture = TMUX(learn_keys=False, retrieval_weight=0.1)
    random = RandomRoberta(sizes["sizes"], sizes["tokenizer"])
    alone = {"n_mux": 1, "batch_size": _batch_size(1), **sizes["params"]}
    recovery = MuxTextPretrainer(
        objective="retrieval", patch_size=1, architecture=TMUX(lexical_path=False), **alone
    )
    plain = estimator(
        architecture=TMUX(lexical_path=False, retrieval_weight=0.0),
        warm_up=None,
        max_epochs=sizes["plain_epochs"],
        **alone,
    )
    variants = [
        Variant("B1, plain", plain, start=random, family="B1"),
        Variant(
            "B2, plain and warmed up",
            plain,
            start=Pretraining(((recovery, sizes["warm_up_steps"]),), random),
            family="B2",
        ),
    ]
    for n_mux in sizes["n_mux"]:
        params = {**sizes["params"], "batch_size": _batch_size(n_mux)}
        start = AuthorsWarmUp(
            n_mux, sizes["sizes"], sizes["tokenizer"], sizes["warm_up_steps"], params
        )
        variants.append(
            Variant(
                f"DataMUX, N={n_mux}",
                estimator(n_mux=n_mux, architecture=architecture, warm_up=None, **params),
                steps=sizes["steps"],
                start=start,
                family="DataMUX",
                n_mux=n_mux,
                paper={20: "< 2 points below", 40: "< 4 points below"}.get(n_mux, ""),
            )
        )
    return tuple(variants)


def _ours(estimator: type[Any], scale: str) -> tuple[Variant, ...]:
    """Return the packaged encoder at the same numbers of rows, and its words alone."""
    sizes = _DATAMUX[scale]
    n_mux = (1, *sizes["n_mux"])
    points = {f"N={n}": n for n in n_mux} | {"words alone": "words"}
    model = estimator(n_mux=n_mux[-1], operating_points=tuple(points.values()), **sizes["ours"])
    return (Variant("ours,", model, points=points, family="ours", n_mux=n_mux[-1]),)


def datamux_mnli(scale: str) -> Recipe:
    """Return DataMUX's experiment on sentences and their pairs."""
    tiny = (
        Source("texts", made_up_texts()),
        Source("pairs", made_up_texts(pairs=True)),
    )
    sources = {
        "paper": tuple(map(glue, ("mnli", "qqp", "qnli", "sst2"))),
        "small": (sick(7_927), sst2(8_000)),
        "tiny": tiny,
    }
    return Recipe(
        title=f"DataMUX on sentences and pairs, {scale}",
        sources=sources[scale],
        variants=(
            *_datamux_variants(MuxTextClassifier, scale),
            *_ours(MuxTextClassifier, scale),
            _linear(),
        ),
        score=accuracy_score,
        texts=_DATAMUX[scale]["texts"],
        paper=_DATAMUX_CLAIM,
        deviations=(*_DATAMUX[scale]["differs"], *_DATAMUX_DIFFERS),
    )


def _linear() -> Variant:
    """Return a linear model of the words."""
    model = make_pipeline(
        TfidfVectorizer(preprocessor=_as_text), LogisticRegression(C=10, max_iter=1000)
    )
    return Variant("TF-IDF", model, family="TF-IDF")


def _as_text(row: Any) -> str:
    """Join the two texts of a pair."""
    return (row if isinstance(row, str) else " ".join(row)).lower()


_TAGGED: dict[str, Any] = {
    "paper": Source("conll2003", conll),
    "small": file_task("conll2003", load_conll, 6_000, None),
    "tiny": Source("sentences", made_up_sentences),
}


def datamux_ner(scale: str) -> Recipe:
    """Return DataMUX's experiment on named entities, and ours: rows, tokens and words."""
    rows: tuple[int, ...] = (1, 2, 5, 10) if scale != "tiny" else (1, 2)
    tokens = [(1, n) for n in rows[1:]]
    points: dict[str, Any] = {f"{n} row{'s' * (n > 1)}": n for n in rows}
    points |= {f"{p} tokens": (n, p) for n, p in tokens}
    points |= {"words alone": "words"}
    ours = MuxTokenTagger(
        n_mux=rows[-1],
        operating_points=tuple(points.values()),
        backbone=Packaged(),
        max_epochs={"paper": 10, "small": 2, "tiny": 1}[scale],
    )
    authors = () if scale == "small" else _datamux_variants(MuxTokenTagger, scale)[2:]
    return Recipe(
        title=f"DataMUX on named entities, CoNLL-2003, {scale}",
        sources=(_TAGGED[scale],),
        variants=(
            Variant("ours,", ours, points=points, family="ours", n_mux=rows[-1]),
            *authors,
            Variant("most frequent tag", MostFrequentTag(), family="most frequent tag"),
        ),
        score=entity_f1_score,
        texts=_DATAMUX[scale]["texts"],
        paper="the tagger is in the paper's figures; its abstract has numbers of MNLI alone",
        deviations=(
            *(
                ("6,000 sentences to learn from, the packaged encoder alone; there 14,041",)
                if scale == "small"
                else (*_DATAMUX[scale]["differs"], *_DATAMUX_DIFFERS)
            ),
            "one model serves all rows of the table that are ours, each in its share of the steps",
        ),
    )


# MUX-PLMs

#: What the encoders learn before the task, behind the recovery of tokens, which a row alone need
#: not learn.
_PLM_OBJECTIVES = {"BERT": "mlm", "ELECTRA": "rtd"}

_PLM: dict[str, dict[str, Any]] = {
    "paper": {
        "n_mux": (2, 5, 10),
        "tasks": tuple(map(glue, ("mnli", "qqp", "qnli", "sst2", "cola", "rte", "mrpc"))),
        "steps": {
            **{"mnli": 100_000, "qqp": 100_000, "qnli": 20_000, "sst2": 20_000},
            **{"cola": 10_000, "rte": 2_000, "mrpc": 10_000},
        },
        "stage_steps": 1_000_000,
        "pretraining": {"batch_size": 128, "max_length": 512, "lr": 1e-4},
        "encoder": Scratch(vocab_size=30_522, **_BASE),
        "texts": wikitext,
        "params": {"max_length": 128, "batch_size": 32, "lr": 5e-5, "dropout": 0.1},
        "differs": (
            "WikiText-103, with a vocabulary learned from it; there BookCorpus and Wikipedia with "
            "BERT's",
            "no accumulation over four batches",
        ),
    },
    "small": {
        "n_mux": (2, 5),
        "tasks": (sick(7_927), sst2(8_000)),
        "steps": {"sick": 1_000, "sst2": 1_000},
        "stage_steps": 1_000,
        "pretraining": {"batch_size": 32, "max_length": 40, "lr": 1e-3},
        "encoder": Scratch(vocab_size=8_000, **_COMPACT),
        "texts": partial(texts_of_file, n_texts=12_000),
        "params": {"max_length": 40, "batch_size": 32, "lr": 5e-4, "dropout": 0.0},
        "differs": ("4 layers of width 128, 1,000 steps a stage; there 12 of 768 and 1,000,000",),
    },
    "tiny": {
        "n_mux": (2,),
        "tasks": (Source("texts", made_up_texts()),),
        "steps": {"texts": 4},
        "stage_steps": 2,
        "pretraining": {"batch_size": 8, "max_length": 12},
        "encoder": Scratch(vocab_size=400, **_TINY),
        "texts": _own_texts,
        "params": {"max_length": 12, "batch_size": 8},
        "differs": ("made-up rows, a few steps",),
    },
}


def mux_plm_glue(scale: str) -> Recipe:
    """Return MUX-PLMs' experiment: recovery of tokens, masked or replaced ones, then the task."""
    sizes = _PLM[scale]

    n_layers = sizes["encoder"].num_hidden_layers
    # As fast as a mixture, or nearly: that part of the layers.
    fewer = sorted({max(1, n_layers // n_mux) for n_mux in sizes["n_mux"]}, reverse=True)

    def start(n_mux: int, objective: str, n_layers: int = n_layers) -> Start:
        stage = MuxTextPretrainer(
            n_mux=n_mux,
            multiplexer="hadamard" if n_mux > 1 else "auto",
            demultiplexer="rsa" if n_mux > 1 else "auto",
            architecture=TMUX(lexical_path=False),
            backbone=clone(sizes["encoder"]).set_params(num_hidden_layers=n_layers),
            **sizes["pretraining"],
        )
        objectives = ("retrieval", objective) if n_mux > 1 else (objective,)
        stages = (clone(stage).set_params(objective=each) for each in objectives)
        return Pretraining(tuple((each, sizes["stage_steps"]) for each in stages))

    def classifier(n_mux: int) -> MuxTextClassifier:
        architecture = TMUX(lexical_path=False, retrieval_weight=0.0)
        return MuxTextClassifier(
            n_mux=n_mux, architecture=architecture, warm_up=None, **sizes["params"]
        )

    def variants(task: str) -> tuple[Variant, ...]:
        of_paper = (
            Variant(
                f"MUX-{name}, N={n_mux}" if n_mux > 1 else f"plain {name}",
                classifier(n_mux),
                steps=sizes["steps"][task],
                start=start(n_mux, objective),
                points={"": None, "as an ensemble": 1} if n_mux > 1 else None,
                family=f"MUX-{name}" if n_mux > 1 else name,
                n_mux=n_mux,
            )
            for name, objective in _PLM_OBJECTIVES.items()
            for n_mux in (1, *sizes["n_mux"])
        )
        smaller = (
            Variant(
                f"plain BERT, {n} layer{'s' * (n > 1)}",
                classifier(1),
                steps=sizes["steps"][task],
                start=start(1, _PLM_OBJECTIVES["BERT"], n),
                family="BERT",
            )
            for n in fewer
        )
        return (*of_paper, *smaller, _linear())

    return Recipe(
        title=f"MUX-PLMs, {scale}",
        sources=sizes["tasks"],
        variants=variants,
        score=accuracy_score,
        texts=sizes["texts"],
        paper="2 and 5 times the speed at 1 to 4 points below the plain model",
        deviations=(
            *sizes["differs"],
            "one hidden layer in the demultiplexer; there two, and three in fine-tuning",
            "our encoder: pre-norm, positions once, padding masked, a text read off the mean",
            "accuracy for all tasks; there Matthews' correlation for CoLA",
        ),
    )


# RevMUX

_REVMUX: dict[str, dict[str, Any]] = {
    "paper": {
        "tasks": tuple(map(glue, ("sst2", "rte", "qnli", "mrpc"))),
        "n_mux": (2, 4),
        "n_layers": 12,
        "mux_layer": 6,
        "params": {
            "backbone": "google-bert/bert-base-uncased",
            "max_epochs": 50,
            "max_length": 128,
            "lr": 2e-5,
        },
        "differs": (),
    },
    "small": {
        "tasks": (sst2(4_000),),
        "n_mux": (2, 4),
        "n_layers": 6,
        "mux_layer": 3,
        "params": {"max_epochs": 2, "max_length": 40},
        "differs": (
            "MiniLM, 6 layers of width 384, and 4,000 rows of SST-2 for two epochs; there "
            "BERT-base, all rows and 50 epochs",
            "a learning rate of 1e-3; there 2e-5",
        ),
    },
    "tiny": {
        "tasks": (Source("texts", made_up_texts()),),
        "n_mux": (2,),
        "n_layers": 6,
        "mux_layer": 3,
        "params": {"max_epochs": 1, "max_length": 12},
        "differs": ("made-up rows, a few steps",),
    },
}


#: The method and the baselines of its paper, as values of `adapters`.
_REVMUX_ROWS = {"RevMUX": "reversible", "ora": "ora", "adapter": "adapter"}


def revmux_glue(scale: str) -> Recipe:
    """Return RevMUX's experiment: a frozen encoder with adapters, beside it trained and whole."""
    sizes = _REVMUX[scale]
    params = {"warm_up": None, "dropout": 0.0, **sizes["params"]}
    if "backbone" not in params:
        params["backbone"] = packaged_minilm()

    def make(n_mux: int, architecture: Any) -> MuxTextClassifier:
        batch_size = max(1, 32 // n_mux)
        return MuxTextClassifier(
            n_mux=n_mux, architecture=architecture, batch_size=batch_size, **params
        )

    plain = TMUX(lexical_length=None, retrieval_weight=0.0)
    variants = [Variant("trained", make(1, plain), family="trained")]
    below = sizes["mux_layer"]
    for n_mux in sizes["n_mux"]:
        # As many layers as a row costs in a mixture.
        n_layers = below + math.ceil((sizes["n_layers"] - below) / n_mux)
        variants.append(
            Variant(
                f"trained, {n_layers} layers",
                make(1, plain),
                start=FirstLayers(params["backbone"], n_layers),
                family="trained",
            )
        )
    variants.append(Variant("frozen", make(1, RevMUX()), family="RevMUX"))
    variants += [
        Variant(
            f"{name}, N={n_mux}",
            make(n_mux, RevMUX(mux_layer=sizes["mux_layer"], adapters=adapters)),
            family=name,
            n_mux=n_mux,
        )
        for name, adapters in _REVMUX_ROWS.items()
        for n_mux in sizes["n_mux"]
    ]
    variants.append(_linear())
    return Recipe(
        title=f"RevMUX, {scale}",
        sources=sizes["tasks"],
        variants=tuple(variants),
        score=accuracy_score,
        paper="an average over SST-2, RTE, QNLI and MRPC close to the fine-tuned encoder at N = 2",
        deviations=(
            *sizes["differs"],
            "the parts of the table of differences on the page of RevMUX: a butterfly for N > 2, a "
            "head in place of words, the mean of a text's positions",
            "an epoch of mixtures of N rows has N times the steps of one of single rows, and reads "
            "each row N times",
        ),
    )
