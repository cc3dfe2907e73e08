"""Fitted estimators as folders: data, not code.

A folder holds `config.json` (parameters, labels, sizes, the checksums of all files), the weights in
`model.safetensors` and, of a text estimator, `tokenizer.json`. Loading one unpickles nothing, and
what is written replaces the former in one step.
"""

from muxlearn.persistence._atomic import open_file as open_file
from muxlearn.persistence._atomic import replace_files as replace_files
from muxlearn.persistence._atomic import write_files as write_files
from muxlearn.persistence._bounds import bounded_by as bounded_by
from muxlearn.persistence._bounds import check_sizes as check_sizes
from muxlearn.persistence._bounds import told_with_sizes as told_with_sizes
from muxlearn.persistence._config import (
    CONFIG,
    FORMAT_VERSION,
    FORMATS,
    FormatError,
    check_config,
    existing_folder,
    parse_config,
    read_config,
    read_file,
    told_as_format_error,
)
from muxlearn.persistence._encoding import decode_labels as decode_labels
from muxlearn.persistence._encoding import decode_params as decode_params
from muxlearn.persistence._encoding import encode_labels as encode_labels
from muxlearn.persistence._encoding import encode_params as encode_params
from muxlearn.persistence._folders import (
    FILES,
    TOKENIZER,
    read_contents,
    read_folder,
    read_whole,
    write_contents,
    write_folder,
)
from muxlearn.persistence._hub import TOKENIZER_FILES as TOKENIZER_FILES
from muxlearn.persistence._hub import find_folder as find_folder
from muxlearn.persistence._hub import quiet_transformers as quiet_transformers
from muxlearn.persistence._hub import read_shapes as read_shapes
from muxlearn.persistence._hub import read_tokenizer as read_tokenizer
from muxlearn.persistence._hub import read_weights as read_weights
from muxlearn.persistence._hub import refuse_code as refuse_code

__all__ = [
    "CONFIG",
    "FILES",
    "FORMATS",
    "FORMAT_VERSION",
    "TOKENIZER",
    "FormatError",
    "check_config",
    "existing_folder",
    "parse_config",
    "read_config",
    "read_contents",
    "read_file",
    "read_folder",
    "read_whole",
    "told_as_format_error",
    "write_contents",
    "write_folder",
]
