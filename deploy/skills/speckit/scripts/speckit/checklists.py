"""The feature's checklists, `checklists/*.md`: how many points each has, and how many are checked."""

from . import folder
from .feature import Feature
from .text import WHITESPACE, Hidden, checkbox, is_control, lines

# Most checklists, and the longest name of one in characters.
CHECKLISTS, NAME = 50, 100


def read(feature: Feature) -> list[dict]:
    """Name, total and done of each, by name. What is no readable file of its own is left out."""
    found = []
    for name in sorted(_names(feature))[:CHECKLISTS]:
        try:
            content = feature.read("checklists", f"{name}.md")
        except (folder.Missing, folder.NotAFile):
            continue
        found.append({"name": name, **count(content)})
    return found


def count(content: bytes) -> dict:
    """The points of one checklist."""
    total = done = 0
    hidden = Hidden()
    for line in lines(content.decode("utf-8", "replace")):
        box = None if hidden.hides(line) else checkbox(line.lstrip(WHITESPACE))
        if box is not None and box[0] in (" ", "x", "X"):
            total += 1
            done += box[0] != " "
    return {"total": total, "done": done}


def _names(feature: Feature) -> list[str]:
    found = []
    for raw in folder.names(feature.checkout, "specs", feature.key, "checklists"):
        try:
            name = raw.decode("utf-8")
        except UnicodeDecodeError:
            continue
        short = name.removesuffix(".md")
        if short != name and 0 < len(short) <= NAME and not any(is_control(char) for char in short):
            found.append(short)
    return found
