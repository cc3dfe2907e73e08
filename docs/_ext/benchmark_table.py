"""``.. benchmark:: NAME``: a table that a command of ``muxlearn.benchmark`` has written.

The file is ``docs/benchmarks/results/NAME.json``. ``command`` says what wrote it; ``columns`` are
those to show and what they are called, as ``name: title`` separated by ``;``, and ``digits`` the
decimals of a column, in the same form.
"""

import json
from pathlib import Path

from docutils import nodes
from docutils.parsers.rst import Directive, directives

#: Of the machine, what places a figure.
_SHOWN = ("processor", "cores", "threads", "gpu", "python", "torch", "date")


class BenchmarkTable(Directive):
    """The directive."""

    required_arguments = 1
    option_spec = {  # noqa: RUF012
        "columns": directives.unchanged,
        "digits": directives.unchanged,
        "command": directives.unchanged_required,
    }

    def run(self):
        """Return a table with its source below."""
        env = self.state.document.settings.env
        file = Path(env.srcdir, "benchmarks", "results", f"{self.arguments[0]}.json")
        env.note_dependency(str(file))
        if not file.exists():
            raise self.error(
                f"no table {file.name}; write it by `python -m muxlearn.benchmark "
                f"{self.options['command']} --json {file}`"
            )
        result = json.loads(file.read_text(encoding="utf-8"))
        columns = _pairs(self.options.get("columns", "")) or {n: n for n in result["rows"][0]}
        digits = {k: int(v) for k, v in _pairs(self.options.get("digits", "")).items()}
        lines = [[_cell(row[n], digits.get(n)) for n in columns] for row in result["rows"]]
        machine = result["machine"]
        placed = ", ".join(f"{n} {machine[n]}" for n in _SHOWN if machine.get(n) is not None)
        source = nodes.paragraph(classes=["benchmark-source"])
        command = nodes.literal(text=f"python -m muxlearn.benchmark {self.options['command']}")
        source += [command, nodes.Text(f" · {result['title']} · {placed}")]
        return [_table(list(columns.values()), lines), source]


def _pairs(text):
    parts = (part.partition(":") for part in text.split(";") if part.strip())
    return {name.strip(): (title or name).strip() for name, _, title in parts}


def _cell(value, digits):
    if value is None:
        return ""
    if isinstance(value, float):
        if digits is not None:
            return f"{value:.{digits}f}"
        return f"{value:,.0f}" if abs(value) >= 1000 else f"{value:.3g}"
    return f"{value:,}" if isinstance(value, int) and not isinstance(value, bool) else str(value)


def _table(titles, lines):
    group = nodes.tgroup(cols=len(titles))
    group += [nodes.colspec(colwidth=1) for _ in titles]
    group += nodes.thead("", _row(titles))
    group += nodes.tbody("", *(_row(line) for line in lines))
    return nodes.table("", group, classes=["benchmark"])


def _row(cells):
    return nodes.row("", *(nodes.entry("", nodes.paragraph(text=cell)) for cell in cells))


def setup(app):
    """Register the directive."""
    app.add_directive("benchmark", BenchmarkTable)
    return {"version": "1", "parallel_read_safe": True}
