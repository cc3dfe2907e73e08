"""Preparations of networks for their tasks."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from sklearn.base import clone

from muxlearn import MuxTextClassifier
from muxlearn.backbones import Published
from muxlearn.benchmark._models import layers_of
from muxlearn.benchmark.reproduce._schedules import LinearFall
from muxlearn.nn.reference.module import ReferenceTextModule
from muxlearn.persistence import quiet_transformers, write_files
from muxlearn.pretraining import MuxTextPretrainer
from muxlearn.training import Optimizer

__all__ = [
    "PLAIN_ADAMW",
    "VOCAB_SIZE",
    "AuthorsWarmUp",
    "FirstLayers",
    "Pretraining",
    "RandomRoberta",
    "roberta_tokenizer",
    "train_tokenizer",
]

#: The optimizer of DataMUX's scripts: AdamW of transformers without decay, a rate that falls.
PLAIN_ADAMW = Optimizer(schedule=LinearFall(), weight_decay=0.0, betas=(0.9, 0.999), eps=1e-8)

#: Of a tokenizer that is trained on the texts, and of the networks that read with it.
VOCAB_SIZE = 8_000

_MARKS = ("<s>", "<pad>", "</s>", "<unk>", "<mask>")


def roberta_tokenizer(texts: Callable[[], Sequence[str]]) -> Any:
    """Return the tokenizer of RoBERTa from the hub."""
    from tokenizers import Tokenizer

    return Tokenizer.from_pretrained("roberta-base")


def train_tokenizer(texts: Callable[[], Sequence[str]]) -> Any:
    """Train a tokenizer of RoBERTa's kind, of `VOCAB_SIZE` tokens at most, on the texts."""
    from tokenizers import Tokenizer, decoders, models, pre_tokenizers, processors, trainers

    tokenizer = Tokenizer(models.BPE(unk_token="<unk>"))
    tokenizer.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=True)
    tokenizer.decoder = decoders.ByteLevel()
    alphabet = pre_tokenizers.ByteLevel.alphabet()
    trainer = trainers.BpeTrainer(
        vocab_size=VOCAB_SIZE,
        special_tokens=list(_MARKS),
        initial_alphabet=alphabet,
        show_progress=False,
    )
    tokenizer.train_from_iterator(texts(), trainer)
    tokenizer.post_processor = processors.TemplateProcessing(
        single="<s> $A </s>",
        pair="<s> $A </s> </s> $B </s>",
        special_tokens=[("<s>", 0), ("</s>", 2)],
    )
    return tokenizer


@dataclass(frozen=True)
class RandomRoberta:
    """The plain network of DataMUX: RoBERTa with random weights, one row in a pass.

    Attributes
    ----------
    sizes : mapping of str to int
        Entries of RoBERTa's configuration.
    tokenizer : callable
        Takes what returns texts, returns a tokenizer.
    """

    sizes: Mapping[str, int]
    tokenizer: Callable[[Callable[[], Sequence[str]]], Any]

    def prepare(self, folder: Path, texts: Callable[[], Sequence[str]], seed: int) -> Path:
        """Write the network."""
        import torch
        from transformers import RobertaConfig, RobertaModel

        place = folder / "random"
        if not (place / "tokenizer.json").exists():
            tokenizer = self.tokenizer(texts)
            fixed = {"vocab_size": 50265, "max_position_embeddings": 514, "type_vocab_size": 1}
            config = RobertaConfig.from_dict({**fixed, **self.sizes})
            with torch.random.fork_rng(devices=()), quiet_transformers():
                torch.manual_seed(seed)
                RobertaModel(config, add_pooling_layer=False).save_pretrained(place)
            write_files(place, {"tokenizer.json": tokenizer.to_str().encode()})
        return place


@dataclass(frozen=True)
class FirstLayers:
    """The first layers of an encoder of `transformers`: a plain network as fast as a mixture.

    Attributes
    ----------
    encoder : str or path
        A folder, or a name on the hub.
    n_layers : int
    """

    encoder: str | Path
    n_layers: int

    def prepare(self, folder: Path, texts: Callable[[], Sequence[str]], seed: int) -> Path:
        """Write the layers and the tokenizer."""
        from transformers import AutoModel, AutoTokenizer

        place = folder / "first"
        if not (place / "tokenizer.json").exists():
            with quiet_transformers():
                model = AutoModel.from_pretrained(self.encoder)
                del layers_of(model)[self.n_layers :]
                model.config.num_hidden_layers = self.n_layers
                model.save_pretrained(place)
                AutoTokenizer.from_pretrained(self.encoder).save_pretrained(place)
        return place


@dataclass(frozen=True)
class AuthorsWarmUp:
    """DataMUX's network from random weights, after it has learned to recover single tokens.

    Attributes
    ----------
    n_mux : int
    sizes : mapping of str to int
    tokenizer : callable
        Takes what returns texts, returns a tokenizer.
    steps : int
    params : mapping of str to object
        Parameters of the classifier that is warmed up.
    """

    n_mux: int
    sizes: Mapping[str, int]
    tokenizer: Callable[[Callable[[], Sequence[str]]], Any]
    steps: int
    params: Mapping[str, Any]

    def prepare(self, folder: Path, texts: Callable[[], Sequence[str]], seed: int) -> Published:
        """Draw the network, warm it up and keep it in the authors' layout."""
        warm = folder / "warm"
        if (warm / "config.json").exists():
            return Published(warm)
        rows = texts()
        sizes: dict[str, Any] = dict(self.sizes)
        start = Published.create(
            folder / "random",
            self.tokenizer(lambda: rows),
            self.n_mux,
            key_norm=20.0,
            random_state=seed,
            **sizes,
        )
        clf = MuxTextClassifier(
            n_mux=self.n_mux, backbone=start, max_epochs=0, random_state=seed, **self.params
        )
        clf.set_params(warm_up=max(1, round(self.steps / -(-len(rows) // clf.batch_size))))
        # The authors' warm-up has two classes too, which nothing is learned of.
        labels = [row % 2 for row in range(len(rows))]
        clf.fit(rows, labels, checkpoint=folder / "state")
        assert isinstance(clf.module_, ReferenceTextModule)
        return Published.keep(warm, clf.module_, clf.tokenizer_)


@dataclass(frozen=True)
class Pretraining:
    """One pretrainer after the other; each starts from the one before.

    Attributes
    ----------
    stages : tuple of (MuxTextPretrainer, int)
        The pretrainers and their steps.
    network : RandomRoberta or None
        What the first one starts from; None leaves that to its `backbone`.
    """

    stages: tuple[tuple[MuxTextPretrainer, int], ...]
    network: RandomRoberta | None = None

    def prepare(self, folder: Path, texts: Callable[[], Sequence[str]], seed: int) -> Path:
        """Run the stages that no former run has finished."""
        kept = None if self.network is None else self.network.prepare(folder, texts, seed)
        for number, (stage, steps) in enumerate(self.stages, 1):
            place = folder / f"stage-{number}"
            if not (place / "config.json").exists():
                rows = texts()
                model = clone(stage).set_params(
                    max_epochs=max(1, round(steps / -(-len(rows) // stage.batch_size))),
                    random_state=seed,
                )
                if kept is not None:
                    model.set_params(backbone=kept)
                model.fit(rows, checkpoint=folder / f"state-{number}").save(place)
            kept = place
        assert kept is not None
        return kept
