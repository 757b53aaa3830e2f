"""What a part found: its figures against their targets, and its tables; on the terminal and in docs/benchmarks.md."""

import re
from dataclasses import dataclass, field
from pathlib import Path
from statistics import median as _median


def median(values):
    return _median(list(values))


@dataclass
class Figure:
    """One figure and its target: `sign` is `<=` or `>=`."""
    name: str
    value: float
    sign: str
    target: float
    unit: str = "×"

    @property
    def met(self):
        return self.value <= self.target if self.sign == "<=" else self.value >= self.target

    def cells(self):
        sign = {"<=": "≤", ">=": "≥"}[self.sign]
        return [self.name, f"{number(self.value)} {self.unit}", f"{sign} {number(self.target)} {self.unit}",
                "met" if self.met else "**not met**"]


@dataclass
class Report:
    """A part's result."""
    figures: list
    tables: list = field(default_factory=list)

    def markdown(self):
        rows = [figure.cells() for figure in self.figures]
        first = [table(["figure", "measured", "target", ""], rows)] if rows else []
        return "\n\n".join([*first, *self.tables])


def number(value):
    """Three digits that count, thousands apart."""
    if value >= 1000:
        return f"{value:,.0f}".replace(",", " ")
    return f"{value:.1f}" if value >= 100 else f"{value:.3g}"


def table(head, rows):
    rows = [[cell if isinstance(cell, str) else number(cell) for cell in row] for row in rows]
    # Figures stand to the right, names to the left.
    lines = [head, ["---" if at == 0 else "---:" for at in range(len(head))], *rows]
    return "\n".join("| " + " | ".join(line) + " |" for line in lines)


def write(file: Path, sections):
    """Puts each section between its markers."""
    text = file.read_text()
    for name, content in sections.items():
        marked = re.compile(rf"(<!-- {name} -->\n).*?(<!-- /{name} -->)", re.DOTALL)
        if not marked.search(text):
            raise SystemExit(f"{file} has no place for {name}: <!-- {name} --> … <!-- /{name} -->")
        text = marked.sub(lambda found: f"{found[1]}{content}\n{found[2]}", text)
    file.write_text(text)
