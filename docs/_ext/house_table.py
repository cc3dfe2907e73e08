"""``.. house::``: the parts of ``muxlearn``, from the top, as the code's own imports order them."""

import ast

from docutils import nodes
from docutils.parsers.rst import Directive
from house import NAME, circles, graph, read_house, rooms


class HouseTable(Directive):
    """The directive."""

    def run(self):
        """Return a table of the parts, their first sentence and the parts that they import."""
        house = read_house()
        env = self.state.document.settings.env
        for module in house.values():
            env.note_dependency(str(module.file))
        imports = {name: ts for name, ts in graph(house, WHENS).items() if "__main__" not in name}
        between = rooms(imports)
        lines = [
            (_literal(_shown(house, room)), _text(_first_sentence(house, room)), _names(below))
            for room, below in _from_the_top(between)
        ]
        return [_table(("part", "contents", "imports"), lines)]


#: Imports for types alone count as well: a reader follows them, too.
WHENS = ("at once", "late", "for types")


def _from_the_top(between):
    """Sort parts so that each stands above all that it imports; a circle stands in one place."""
    floors = {}
    together = {room: circle for circle in circles(between) for room in circle}

    def floor(room):
        if room not in floors:
            own = together.get(room, [room])
            floors.update(dict.fromkeys(own, 0))
            below = {target for member in own for target in between[member]} - set(own)
            floors.update(dict.fromkeys(own, 1 + max(map(floor, below), default=0)))
        return floors[room]

    return sorted(between.items(), key=lambda item: (-floor(item[0]), item[0]))


def _shown(house, room):
    module = house[f"{NAME}.{room}"]
    return f"{room}/" if module.is_face else f"{room}.py"


def _first_sentence(house, room):
    text = ast.get_docstring(house[f"{NAME}.{room}"].tree) or ""
    return " ".join(text.split("\n\n")[0].split()).replace("`", "")


def _names(below):
    return _text(", ".join(sorted(below)) or "nothing of ours")


def _text(text):
    return nodes.paragraph(text=text)


def _literal(text):
    return nodes.paragraph("", "", nodes.literal(text=text))


def _table(titles, lines):
    group = nodes.tgroup(cols=len(titles))
    group += [nodes.colspec(colwidth=width) for width in (22, 44, 34)]
    head = nodes.row("", *(nodes.entry("", _text(title)) for title in titles))
    group += nodes.thead("", head)
    group += nodes.tbody(
        "", *(nodes.row("", *(nodes.entry("", cell) for cell in line)) for line in lines)
    )
    return nodes.table("", group, classes=["stacked"])


def setup(app):
    """Register the directive."""
    app.add_directive("house", HouseTable)
    return {"version": "1", "parallel_read_safe": True}
