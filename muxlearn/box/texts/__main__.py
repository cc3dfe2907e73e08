"""Write the texts as tokens: ``python -m muxlearn.box.texts FOLDER --tokenizer TOKENIZER.json``.

Downloads the packages (about 1.5 GB, most of it pictures and sounds of games) with ``npm``, ``pip``
and ``apt-get`` into FOLDER and writes FOLDER/corpus.xz, which `read_corpus` reads.
"""

from __future__ import annotations

import argparse
import json
import sys
from collections.abc import Iterator
from itertools import islice
from pathlib import Path
from typing import Any

from tokenizers import Tokenizer

from muxlearn.box._corpus import write_corpus
from muxlearn.box.texts import SOURCES, fetch_archives, gather_documents, read_excluded

#: Documents that are tokenized at once.
_N_DOCUMENTS = 1000


def main(argv: list[str] | None = None) -> int:
    """Parse the command line, gather the texts and write them.

    Parameters
    ----------
    argv : list of str, default=None
        None stands for the command line.

    Returns
    -------
    int
        The exit status.
    """
    parser = argparse.ArgumentParser(prog="python -m muxlearn.box.texts", description=__doc__)
    parser.add_argument("folder", type=Path, help="gets archives/ and corpus.xz")
    parser.add_argument("--tokenizer", type=Path, required=True, help="a tokenizer.json")
    parser.add_argument(
        "--exclude", type=Path, nargs="*", default=[], help="data sets that must not be in it"
    )
    parser.add_argument(
        "--packages",
        nargs="+",
        choices=[source.package for source in SOURCES],
        metavar="PACKAGE",
        default=None,
        help="only texts of these; default all",
    )
    args = parser.parse_args(argv)
    if not args.tokenizer.is_file():
        parser.error(f"--tokenizer {args.tokenizer} is no file; give a tokenizer.json")
    sources = [s for s in SOURCES if args.packages is None or s.package in args.packages]
    try:
        fetch_archives(args.folder / "archives", sources)
    except RuntimeError as error:
        print(error, file=sys.stderr)
        return 1
    excluded = (text for path in args.exclude for text in read_excluded(path))
    tokenizer = Tokenizer.from_file(str(args.tokenizer))
    tokenizer.no_padding()
    tokenizer.no_truncation()
    counts: dict[str, dict[str, Any]] = {
        source.package: {
            "package": source.package,
            "licence": source.licence,
            "kind": source.kind,
            "documents": 0,
            "rows": 0,
            "tokens": 0,
        }
        for source in sources
    }

    def tokenize() -> Iterator[list[list[int]]]:
        documents = gather_documents(args.folder / "archives", sources, excluded)
        while part := list(islice(documents, _N_DOCUMENTS)):
            rows = [row for _, document in part for row in document]
            ids = iter(tokenizer.encode_batch(rows, add_special_tokens=False))
            for source, document in part:
                sentences = [next(ids).ids for _ in document]
                count = counts[source.package]
                count["documents"] += 1
                count["rows"] += len(sentences)
                count["tokens"] += sum(map(len, sentences))
                yield sentences

    about = {"tokenizer": args.tokenizer.name, "sources": list(counts.values())}
    header = write_corpus(args.folder / "corpus.xz", tokenize(), about)
    print(json.dumps(header, indent=1))
    return 0


if __name__ == "__main__":
    sys.exit(main())
