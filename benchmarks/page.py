"""The page of all that was measured, as Markdown.

>>> page([section], title="Benchmarks", machine=describe())
"""

import ast
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from report import Entry, Picture, Row, verdict


@dataclass(frozen=True)
class Section:
    """What one module found.

    Parameters
    ----------
    title, text, command : str
        What it measures, how, and the command that repeats it.
    entries : tuple of Entry
    when : str
        The day.
    seconds : float
        How long it took.
    failure : str
        Why it ended early, where it did.
    """

    title: str
    text: str
    command: str
    entries: tuple[Entry, ...]
    when: str
    seconds: float
    failure: str = ""

    @classmethod
    def of(cls, module: Path, entries: tuple[Entry, ...], **rest: object) -> "Section":
        """With the words of the module's docstring: title, text, command, a blank line between."""
        paragraphs = (ast.get_docstring(ast.parse(module.read_text())) or "").split("\n\n")
        title, *text, command = paragraphs
        return cls(title.rstrip("."), "\n\n".join(text), command.strip(), entries, **rest)  # type: ignore[arg-type]

    @property
    def rows(self) -> list[Row]:
        """The entries that are rows."""
        return [entry for entry in self.entries if isinstance(entry, Row)]


def page(
    sections: Sequence[Section], title: str, machine: Sequence[tuple[str, str]], more: str = ""
) -> str:
    """The page: what is not as it was asked to be, the machine, all sections, and more of them."""
    return (
        "\n\n".join(
            [
                f"# {title}",
                "Written by `python -m tox -e bench`. Each ratio is of two things that were timed "
                "in turn in the same run; times are medians.",
                "## In short",
                _summary(sections),
                "## The machine",
                _table(("", ""), machine),
                *(_section(section) for section in sections),
                more.strip(),
            ]
        )
        .replace("\n\n\n", "\n\n")
        .rstrip()
        + "\n"
    )


def _summary(sections: Sequence[Section]) -> str:
    lines = []
    for section in sections:
        verdicts = [row.met for row in section.rows if row.met is not None]
        met = f"{sum(verdicts)} of {len(verdicts)}" if verdicts else ""
        lines.append((section.title, met, section.failure, f"`{section.command}`"))
    return _table(("", "met, of what was asked", "failed", "how to repeat"), lines)


def _section(section: Section) -> str:
    parts = [f"## {section.title}", section.text, f"`{section.command}`"]
    asked = [row for row in section.rows if row.asked]
    others = [row for row in section.rows if not row.asked]
    if asked:
        lines = [
            (row.what, row.asked, row.measured, "**no**" if row.met is False else verdict(row))
            for row in asked
        ]
        parts.append(_table(("", "asked", "measured", "met"), lines))
    if others:
        parts.append(_table(("", "measured"), [(row.what, row.measured) for row in others]))
    for entry in section.entries:
        if isinstance(entry, Picture):
            parts += [f"![{entry.caption}](images/{entry.name})", f"*{entry.caption}.*"]
    took = f"{section.when}, {section.seconds:.0f} s"
    parts.append(f"**Failed** ({took}): {section.failure}" if section.failure else f"({took})")
    return "\n\n".join(part for part in parts if part)


def _table(head: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    lines = [head, ["---"] * len(head), *rows]
    return "\n".join(
        "| " + " | ".join(cell.replace("|", "\\|") for cell in line) + " |" for line in lines
    )
