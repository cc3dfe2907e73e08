"""Recorded cases, and small random checkpoints in the reference's layout, kind by kind."""

from pathlib import Path

import pytest
import torch

from muxlearn.benchmark import parity

DATA = Path(__file__).parents[2] / "data"

MUXBERT = {
    "vocab_size": 700,
    "hidden_size": 16,
    "num_hidden_layers": 1,
    "num_attention_heads": 2,
    "intermediate_size": 24,
    "max_position_embeddings": 20,
    "type_vocab_size": 2,
    "pad_token_id": 0,
    "hidden_dropout_prob": 0.0,
    "attention_probs_dropout_prob": 0.0,
}


@pytest.fixture(scope="session")
def index_case():
    return parity.load_case(DATA / "datamux_seqcls_random_ortho_index_N2.json")


@pytest.fixture(scope="session")
def mlp_case():
    return parity.load_case(DATA / "datamux_seqcls_gaussian_hadamard_mlp_N2.json")


@pytest.fixture(scope="session")
def rsa_case():
    return parity.load_case(DATA / "muxbert_tokcls_gaussian_hadamard_index_pos_N2.json")


@pytest.fixture(scope="session")
def muxbert():
    return make_muxbert


def make_muxbert(
    n_mux=3,
    demultiplexer="index_pos",
    multiplexer="vector",
    n_demux_layers=3,
    n_classes=4,
):
    """Return the configuration and the tensors of a checkpoint, none of them twice."""
    d, ffn = MUXBERT["hidden_size"], MUXBERT["intermediate_size"]
    layer = {
        **{f"attention.self.{name}": (d, d) for name in ("query", "key", "value")},
        "attention.output.dense": (d, d),
        "attention.output.LayerNorm": (d,),
        "intermediate.dense": (ffn, d),
        "output.dense": (d, ffn),
        "output.LayerNorm": (d,),
    }
    with_bias = {f"bert.encoder.layer.0.{name}": shape for name, shape in layer.items()}
    with_bias["bert.embeddings.LayerNorm"] = (d,)
    alone = {
        "instance_embedding": (n_mux, d, d) if multiplexer == "matrix" else (n_mux, d),
        "bert.embeddings.word_embeddings.weight": (MUXBERT["vocab_size"], d),
        "bert.embeddings.position_embeddings.weight": (MUXBERT["max_position_embeddings"], d),
        "bert.embeddings.token_type_embeddings.weight": (2, d),
        "retrieval_head.decoder.bias": (MUXBERT["vocab_size"],),
    }
    if multiplexer == "contextual":
        for block in ("muxing_attention", "muxing_attention_2"):
            with_bias |= {f"{block}.{name}": shape for name, shape in layer.items()}
    for part in ("demultiplexer", "retrieval_head"):
        if demultiplexer == "index":
            with_bias |= {f"{part}.dense": (d, 2 * d), f"{part}.layer_norm": (d,)}
        else:
            with_bias |= {f"{part}.pre_decoder": (d, d), f"{part}.pre_decoder_layer_norm": (d,)}
    if demultiplexer == "index_pos":
        alone["demux_module.demux_instance_embedding"] = (n_mux, d)
        for j in range(1, n_demux_layers + 1):
            with_bias[f"demux_module.dense_{j}"] = (d, 2 * d if j == 1 else d)
            with_bias[f"demux_module.layer_norm_{j}"] = (d,)
    if n_classes is not None:
        with_bias["classifier"] = (n_classes, d)
    shapes = alone | {f"{name}.weight": shape for name, shape in with_bias.items()}
    shapes |= {f"{name}.bias": shape[:1] for name, shape in with_bias.items()}
    generator = torch.Generator().manual_seed(0)
    return MUXBERT, {k: torch.randn(v, generator=generator) * 0.3 for k, v in shapes.items()}


@pytest.fixture
def words():
    """Two mixtures of three rows of eight words, and a mask that ends them earlier."""
    generator = torch.Generator().manual_seed(1)
    ids = torch.randint(103, 600, (6, 8), generator=generator)
    mask = torch.arange(8) < torch.tensor([8, 5, 6, 3, 4, 3])[:, None]
    return ids * mask, mask.long()
