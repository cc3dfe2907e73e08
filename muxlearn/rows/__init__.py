"""Checks of users' rows, and readers that turn rows into tables of numbers."""

from collections.abc import Mapping
from typing import Any

from muxlearn.rows._collect_images import collect_images, iterate_images
from muxlearn.rows._columns import check_pair_columns, has_other_columns, pair_columns
from muxlearn.rows._groups import (
    check_groups,
    group_windows,
    in_stream_order,
    iterate_groups,
    own_windows,
    ranks_in_groups,
    stream_windows,
)
from muxlearn.rows._image_table import ImageTable
from muxlearn.rows._images import ImageReader, learn_reader
from muxlearn.rows._integers import IntegerReader, check_rows, holds_integers
from muxlearn.rows._labels import (
    check_class_weight,
    check_labels,
    check_weights,
    class_weights,
    distinct_rows,
    relative_weights,
    row_weights,
    split_rows,
    training_order,
)
from muxlearn.rows._language import LOOKED_AT, other_language
from muxlearn.rows._lengths import check_same_lengths
from muxlearn.rows._numbers import check_numbers, location_and_scale
from muxlearn.rows._reader import Reader
from muxlearn.rows._sentences import (
    check_sentences,
    check_tags,
    cut_windows,
    number_tags,
)
from muxlearn.rows._several import (
    LABEL_FORMS,
    SeveralLabels,
    SoftLabels,
    check_several,
    mark_labels,
)
from muxlearn.rows._sources import Source, Window, check_column, open_source
from muxlearn.rows._tables import RowTable, take_rows
from muxlearn.rows._tags import (
    SCHEME_CHOICE,
    are_entity_tags,
    check_sequences,
    check_tags_fit,
    end_mask,
    entity_spans,
    find_spans,
    n_illegal_steps,
    start_mask,
    tag_scheme,
    transition_mask,
)
from muxlearn.rows._text_reader import SentenceReader, TextReader, TokenizerReader
from muxlearn.rows._texts import (
    Text,
    TokenTable,
    check_single_texts,
    check_texts,
    is_missing,
    iterate_rows,
    ranges,
    split_pairs,
    train_tokenizer,
)
from muxlearn.rows._tokenizers import (
    TOKENIZERS,
    TokenizerChoice,
    copy_tokenizer,
    fingerprint,
    make_tokenizer,
)
from muxlearn.rows._tokenizing import tokenize
from muxlearn.rows._variants import MOST_OF_FRACTIONS, RandomCrops, Transform

__all__ = [
    "LABEL_FORMS",
    "LOOKED_AT",
    "MOST_OF_FRACTIONS",
    "READERS",
    "SCHEME_CHOICE",
    "TOKENIZERS",
    "ImageReader",
    "ImageTable",
    "IntegerReader",
    "RandomCrops",
    "Reader",
    "RowTable",
    "SentenceReader",
    "SeveralLabels",
    "SoftLabels",
    "Source",
    "Text",
    "TextReader",
    "TokenTable",
    "TokenizerChoice",
    "TokenizerReader",
    "Transform",
    "Window",
    "are_entity_tags",
    "check_class_weight",
    "check_column",
    "check_groups",
    "check_labels",
    "check_numbers",
    "check_pair_columns",
    "check_rows",
    "check_same_lengths",
    "check_sentences",
    "check_sequences",
    "check_several",
    "check_single_texts",
    "check_tags",
    "check_tags_fit",
    "check_texts",
    "check_weights",
    "class_weights",
    "collect_images",
    "copy_tokenizer",
    "cut_windows",
    "distinct_rows",
    "end_mask",
    "entity_spans",
    "find_spans",
    "fingerprint",
    "group_windows",
    "has_other_columns",
    "holds_integers",
    "in_stream_order",
    "is_missing",
    "iterate_groups",
    "iterate_images",
    "iterate_rows",
    "learn_reader",
    "load_reader",
    "location_and_scale",
    "make_tokenizer",
    "mark_labels",
    "n_illegal_steps",
    "number_tags",
    "open_source",
    "other_language",
    "own_windows",
    "pair_columns",
    "ranges",
    "ranks_in_groups",
    "relative_weights",
    "row_weights",
    "split_pairs",
    "split_rows",
    "start_mask",
    "stream_windows",
    "tag_scheme",
    "take_rows",
    "tokenize",
    "train_tokenizer",
    "training_order",
    "transition_mask",
]

#: By the kind that a folder keeps.
READERS: dict[str, type[Reader]] = {
    reader.kind: reader for reader in (TextReader, IntegerReader, SentenceReader, ImageReader)
}


def load_reader(config: Mapping[str, Any], files: Mapping[str, str]) -> Reader:
    """Return the reader that a folder has kept.

    Parameters
    ----------
    config : mapping of str to object
        From `Reader.to_config`.
    files : mapping of str to str
        From `Reader.files`.

    Returns
    -------
    Reader
    """
    return READERS[config["kind"]].from_config(config, files)
