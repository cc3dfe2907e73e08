"""Fitted estimators as folders: data, not code.

A folder holds `config.json` (parameters, labels, sizes, the checksums of all files), the weights in
`model.safetensors` and, of a text estimator, `tokenizer.json`. Loading one unpickles nothing, and
what is written replaces the former in one step.
"""

from muxlearn.persistence._atomic import open_file as open_file
from muxlearn.persistence._atomic import replace_files as replace_files
from muxlearn.persistence._atomic import sync as sync
from muxlearn.persistence._atomic import write_files as write_files
from muxlearn.persistence._bounds import bounded_by as bounded_by
from muxlearn.persistence._bounds import check_sizes as check_sizes
from muxlearn.persistence._bounds import told_with_sizes as told_with_sizes
from muxlearn.persistence._config import CONFIG as CONFIG
from muxlearn.persistence._config import FORMAT_VERSION, FormatError, read_config
from muxlearn.persistence._config import check_config as check_config
from muxlearn.persistence._config import existing_folder as existing_folder
from muxlearn.persistence._config import parse_config as parse_config
from muxlearn.persistence._config import read_file as read_file
from muxlearn.persistence._config import seal as seal
from muxlearn.persistence._config import told_as_format_error as told_as_format_error
from muxlearn.persistence._encoding import decode_labels as decode_labels
from muxlearn.persistence._encoding import decode_params as decode_params
from muxlearn.persistence._encoding import encode_labels as encode_labels
from muxlearn.persistence._encoding import encode_params as encode_params
from muxlearn.persistence._folders import TOKENIZER as TOKENIZER
from muxlearn.persistence._folders import check_new_folder as check_new_folder
from muxlearn.persistence._folders import file_names as file_names
from muxlearn.persistence._folders import new_folder as new_folder
from muxlearn.persistence._folders import read_contents as read_contents
from muxlearn.persistence._folders import read_folder, write_folder
from muxlearn.persistence._folders import read_whole as read_whole
from muxlearn.persistence._folders import write_contents as write_contents
from muxlearn.persistence._hub import TOKENIZER_FILES as TOKENIZER_FILES
from muxlearn.persistence._hub import find_folder as find_folder
from muxlearn.persistence._hub import first_line as first_line
from muxlearn.persistence._hub import quiet_transformers as quiet_transformers
from muxlearn.persistence._hub import read_shapes as read_shapes
from muxlearn.persistence._hub import read_tokenizer as read_tokenizer
from muxlearn.persistence._hub import read_weights as read_weights
from muxlearn.persistence._hub import refuse_code as refuse_code

__all__ = [
    "FORMAT_VERSION",
    "FormatError",
    "read_config",
    "read_folder",
    "write_folder",
]
