"""``.. benchmark:: NAME``: a table that a command of ``muxlearn.benchmark`` has written.

The file is ``docs/benchmarks/results/NAME.json``. ``command`` says what wrote it; ``columns`` are
those to show and what they are called, as ``name: title`` separated by ``;``, and ``digits`` the
decimals of a column, in the same form. ``only`` keeps the rows whose first shown column matches a
regular expression. ``beaten`` names a column of scores and one of speeds: a row that another one
beats in both is marked, as is one that the file itself calls beaten.

``.. benchmark-summary::``: the scores of several tables of the frontier side by side. ``results``
are the files and what they are called, as ``NAME: title`` separated by ``;``; ``models`` are the
rows to show, as a regular expression; ``without`` is cut off the end of their names. Rows stand in
the order of their median speed.
"""

import json
import re
import statistics
from pathlib import Path

from docutils import nodes
from docutils.parsers.rst import Directive, directives

from muxlearn.metrics import unbeaten

_BEATS = "is at least as accurate and as fast, and better in one of them"

#: Of the machine, what places a figure.
_SHOWN = ("processor", "cores", "threads", "gpu", "python", "torch", "date")


class BenchmarkTable(Directive):
    """The directive."""

    required_arguments = 1
    option_spec = {  # noqa: RUF012
        "columns": directives.unchanged,
        "digits": directives.unchanged,
        "command": directives.unchanged_required,
        "only": directives.unchanged_required,
        "beaten": directives.unchanged_required,
    }

    def run(self):
        """Return a table with its source below."""
        env = self.state.document.settings.env
        file = Path(env.srcdir, "benchmarks", "results", f"{self.arguments[0]}.json")
        env.note_dependency(str(file))
        command = f"python -m muxlearn.benchmark {self.options['command']}"
        if not file.exists():
            raise self.error(f"no table {file.name}; write it by `{command} --json {file}`")
        result = json.loads(file.read_text(encoding="utf-8"))
        columns = _pairs(self.options.get("columns", "")) or {n: n for n in result["rows"][0]}
        digits = {k: int(v) for k, v in _pairs(self.options.get("digits", "")).items()}
        rows = mark_beaten(result["rows"], self.options.get("beaten"))
        pattern = re.compile(self.options.get("only", ""))
        rows = [row for row in rows if pattern.search(str(row[next(iter(columns))]))]
        lines = [[_cell(row[n], digits.get(n)) for n in columns] for row in rows]
        beaten = [bool(row.get("beaten_by")) for row in rows]
        machine = result["machine"]
        placed = ", ".join(f"{n} {machine[n]}" for n in _SHOWN if machine.get(n) is not None)
        source = nodes.paragraph(classes=["benchmark-source"])
        if any(beaten):
            source += nodes.Text(f"† another row {_BEATS}. ")
        source += [nodes.literal(text=command), nodes.Text(f" · {result['title']} · {placed}")]
        table = _table(list(columns.values()), lines, beaten)
        notes = [nodes.list_item("", nodes.paragraph(text=n)) for n in result.get("notes", [])]
        return [table, source, *([nodes.bullet_list("", *notes)] if notes else [])]


class BenchmarkSummary(Directive):
    """The directive."""

    option_spec = {  # noqa: RUF012
        "results": directives.unchanged_required,
        "models": directives.unchanged_required,
        "without": directives.unchanged_required,
    }

    def run(self):
        """Return a table."""
        env = self.state.document.settings.env
        tables = {}
        for name, title in _pairs(self.options["results"]).items():
            file = Path(env.srcdir, "benchmarks", "results", f"{name}.json")
            env.note_dependency(str(file))
            if not file.exists():
                raise self.error(f"no table {file.name}; the command of that table writes it")
            rows = json.loads(file.read_text(encoding="utf-8"))["rows"]
            tables[title] = {row["model"]: row for row in rows}
        lines = summarise(tables, self.options.get("models", ""))
        note = nodes.paragraph(classes=["benchmark-source"])
        note += nodes.Text(f"† another row of the same task {_BEATS}. ")
        note += nodes.Text("The speeds are medians over the tasks.")
        titles = ["model", "times plain", *tables]
        for line in lines:
            line[0] = line[0].removesuffix(self.options.get("without", ""))
        table = _table(titles, lines, [False] * len(lines))
        table["classes"].append("summary")
        return [table, note]


def summarise(tables, models):
    """Return lines of a model, its median speed and its score on each task.

    Parameters
    ----------
    tables : dict of dict of dict
        Rows by task and model.
    models : str
        A regular expression, which the whole name must match; empty for all.
    """
    names = dict.fromkeys(name for rows in tables.values() for name in rows)
    ratios = {
        name: statistics.median(rows[name]["ratio"] for rows in tables.values() if name in rows)
        for name in names
        if not models or re.fullmatch(models, name)
    }
    return [
        [name, f"{ratios[name]:.1f}", *(_score(rows.get(name)) for rows in tables.values())]
        for name in sorted(ratios, key=ratios.__getitem__)
    ]


def _score(row):
    if row is None:
        return ""
    return f"{row['score']:.3f}{' †' if row['beaten_by'] else ''}"


def mark_beaten(rows, columns):
    """Return rows whose "beaten_by" says whether another one is at least as good and as fast.

    Parameters
    ----------
    rows : list of dict
    columns : str or None
        The names of the columns of scores and of speeds; None leaves the rows as they are.
    """
    if columns is None:
        return rows
    score, speed = columns.split()
    kept = unbeaten([row[score] for row in rows], [row[speed] for row in rows])
    return [{**row, "beaten_by": not is_kept} for row, is_kept in zip(rows, kept, strict=True)]


def _pairs(text):
    parts = (part.partition(":") for part in text.split(";") if part.strip())
    return {name.strip(): (title or name).strip() for name, _, title in parts}


def _cell(value, digits):
    if value is None:
        return ""
    if isinstance(value, float):
        if digits is not None:
            return f"{round(value, digits) + 0.0:.{digits}f}"  # no "-0.0"
        return f"{value:,.0f}" if abs(value) >= 1000 else f"{value:.3g}"
    return f"{value:,}" if isinstance(value, int) and not isinstance(value, bool) else str(value)


def _table(titles, lines, beaten):
    group = nodes.tgroup(cols=len(titles))
    group += [nodes.colspec(colwidth=1) for _ in titles]
    group += nodes.thead("", _row(titles))
    body = nodes.tbody()
    for line, is_beaten in zip(lines, beaten, strict=True):
        if is_beaten:
            line = [f"{line[0]} †", *line[1:]]
        body += _row(line, classes=["beaten"] if is_beaten else [])
    group += body
    return nodes.table("", group, classes=["benchmark"])


def _row(cells, classes=()):
    entries = (nodes.entry("", nodes.paragraph(text=cell)) for cell in cells)
    return nodes.row("", *entries, classes=list(classes))


def setup(app):
    """Register the directive."""
    app.add_directive("benchmark", BenchmarkTable)
    app.add_directive("benchmark-summary", BenchmarkSummary)
    return {"version": "1", "parallel_read_safe": True}
