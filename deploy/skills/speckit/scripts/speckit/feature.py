"""The folder of one feature: `specs/<feature>/` of the checkout."""

from dataclasses import dataclass
from pathlib import Path

from . import folder
from .refused import Refused
from .text import WHITESPACE, is_control, lines, one_line

# Longest key, and longest title that is quoted, in characters.
LONGEST_KEY = 120
TITLE = 200


@dataclass(frozen=True)
class Feature:
    """A feature of a checkout."""

    checkout: Path
    key: str

    @classmethod
    def of(cls, request: dict) -> "Feature":
        """The feature that a request is about."""
        key = request["feature_id"]
        reason = _invalid(key)
        if reason is not None:
            raise Refused(
                "FEATURE_KEY_INVALID",
                f"the feature_key `{key}` {reason}: give the name of one folder under specs/, such as 001-login",
            )
        return cls(Path(request["payload"]["checkout"]), key)

    @property
    def path(self) -> str:
        """Its folder, as people write it."""
        return f"specs/{self.key}"

    def read(self, *path: str) -> bytes:
        """One of its files. Raises folder.Missing or folder.NotAFile."""
        return folder.read(self.checkout, "specs", self.key, *path)

    def text(self, *path: str) -> str | None:
        """One of its files as text, if there is one and it can be read."""
        try:
            return self.read(*path).decode("utf-8", "replace").removeprefix("\ufeff")
        except (folder.Missing, folder.NotAFile):
            return None

    def title(self) -> str:
        """The title of its specification, without the words that Spec Kit puts before it; its key when there is none."""
        for line in lines(self.text("spec.md") or ""):
            if line.startswith("# "):
                title = line[2:].strip(WHITESPACE)
                title = title.removeprefix("Feature Specification:").strip(WHITESPACE)
                # `[FEATURE NAME]` is what the template has.
                return self.key if title.startswith("[") else one_line(title, TITLE) or self.key
        return self.key


def _invalid(key: str) -> str | None:
    """What is wrong with a key: it names one folder and can't leave `specs/`."""
    if key == "":
        return "is empty"
    if key in (".", ".."):
        return "names no folder of its own"
    if len(key) > LONGEST_KEY:
        return "is longer than 120 characters"
    if "/" in key or "\\" in key:
        return "contains a slash"
    if ".." in key:
        return "contains two dots in a row"
    if any(is_control(char) for char in key):
        return "contains a control character"
    return None
