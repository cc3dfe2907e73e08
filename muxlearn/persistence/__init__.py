"""Fitted estimators as folders: data, not code.

A folder holds `config.json` (parameters, labels, sizes), `model.safetensors` (the weights) and, of
a text estimator, `tokenizer.json`. Loading one unpickles nothing.
"""

from muxlearn.persistence._encoding import (
    decode_labels,
    decode_params,
    encode_labels,
    encode_params,
)
from muxlearn.persistence._folders import (
    CONFIG,
    FILES,
    FORMAT_VERSION,
    FORMATS,
    TOKENIZER,
    FormatError,
    check_config,
    existing_folder,
    parse_config,
    read_config,
    read_contents,
    read_folder,
    write_contents,
    write_folder,
)
from muxlearn.persistence._version1 import upgrade

__all__ = [
    "CONFIG",
    "FILES",
    "FORMATS",
    "FORMAT_VERSION",
    "TOKENIZER",
    "FormatError",
    "check_config",
    "decode_labels",
    "decode_params",
    "encode_labels",
    "encode_params",
    "existing_folder",
    "parse_config",
    "read_config",
    "read_contents",
    "read_folder",
    "upgrade",
    "write_contents",
    "write_folder",
]
