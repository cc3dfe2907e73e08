import json

import pytest
import torch
import transformers

from muxlearn.box._teacher import compress, expand, load_teacher, read_bert, write_teacher


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    torch.manual_seed(0)
    config = transformers.BertConfig(
        vocab_size=1500,
        hidden_size=16,
        num_hidden_layers=2,
        num_attention_heads=4,
        intermediate_size=24,
        max_position_embeddings=20,
    )
    path = tmp_path_factory.mktemp("bert")
    transformers.BertModel(config).save_pretrained(path)
    return path


@torch.no_grad()
def test_the_encoder_computes_what_bert_does(folder):
    bert = transformers.BertModel.from_pretrained(folder).eval()
    encoder = read_bert(folder)
    ids = torch.randint(0, 1500, (3, 11))
    mask = torch.arange(11) < torch.tensor([[11], [6], [9]])
    wanted = bert(ids, mask.long()).last_hidden_state
    answers = encoder.eval()(encoder.embedding(ids), mask)
    torch.testing.assert_close(answers[mask], wanted[mask])


@torch.no_grad()
def test_a_small_file_keeps_the_encoder(folder, tmp_path):
    write_teacher(folder, tmp_path / "teacher.safetensors")
    encoder = read_bert(folder)
    loaded = load_teacher(tmp_path / "teacher.safetensors")
    ids = torch.randint(0, 1500, (3, 11))
    answers = [e.eval()(e.embedding(ids), None).flatten(0, 1) for e in (encoder, loaded)]
    assert torch.nn.functional.cosine_similarity(*answers).min() > 0.999
    n_bytes = (tmp_path / "teacher.safetensors").stat().st_size
    assert n_bytes < 2.5 * sum(p.numel() for p in encoder.parameters())


def test_a_token_table_becomes_bytes_and_comes_back():
    table = torch.randn(2000, 8) * torch.rand(2000, 1)
    small = compress({"embedding.weight": table, "bias": torch.ones(3)})
    assert small["embedding.weight"].dtype == torch.int8
    back = expand(small)
    assert set(back) == {"embedding.weight", "bias"}
    assert ((back["embedding.weight"] - table).abs() <= table.abs().amax(1, True) / 250).all()


def test_an_encoder_of_another_kind_is_refused(folder, tmp_path):
    config = json.loads((folder / "config.json").read_text()) | {"model_type": "roberta"}
    (tmp_path / "config.json").write_text(json.dumps(config))
    with pytest.raises(ValueError, match=r"'roberta' encoder .* starts from 'bert'"):
        read_bert(tmp_path)
