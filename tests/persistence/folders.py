"""Saved folders whose configuration is changed with its checksum."""

import json

from muxlearn.persistence import seal


def edit_config(folder, edit):
    """Change a configuration as one who also knows how to change its checksum."""
    file = folder / "config.json"
    config = json.loads(file.read_text())
    edit(config)
    checksums = config.get("sha256")
    if isinstance(checksums, dict) and "config.json" in checksums:
        config = seal(config)
    file.write_text(json.dumps(config))
