"""White space, lines and control characters, told apart exactly as the direct path does."""

# Unicode's White_Space. Python's own `strip()` also takes U+001C to U+001F, which are control characters.
WHITESPACE = "\t\n\v\f\r \x85\xa0\u1680\u2000\u2001\u2002\u2003\u2004\u2005\u2006\u2007\u2008\u2009\u200a\u2028\u2029\u202f\u205f\u3000"


def is_control(char: str) -> bool:
    """Whether a character is of Unicode's category Cc."""
    return char < " " or "\x7f" <= char <= "\x9f"


def lines(text: str) -> list[str]:
    """The lines of a text, without `\\n` and without one `\\r` before it. Nothing else ends a line."""
    parts = text.split("\n")
    last = parts.pop()
    ended = [part.removesuffix("\r") for part in parts]
    return ended + [last] if last else ended


def one_line(text: str, most: int) -> str:
    """The text with white space condensed and control characters dropped, cut to `most` characters."""
    spaced = "".join(" " if char in WHITESPACE else char for char in text)
    words = ("".join(char for char in word if not is_control(char)) for word in spaced.split(" ") if word)
    line = " ".join(words)
    return line if len(line) <= most else line[: most - 1] + "…"


class Hidden:
    """Knows which lines of a Markdown text are in a code block or a comment."""

    def __init__(self) -> None:
        self.until: str | None = None

    def hides(self, line: str) -> bool:
        """Whether this line, the next one of its text, is hidden or begins or ends what hides."""
        if self.until is not None:
            if self.until in line:
                self.until = None
            return True
        text = line.lstrip(WHITESPACE)
        fence = next((fence for fence in ("```", "~~~") if text.startswith(fence)), None)
        if fence is not None:
            self.until = fence
        elif text.startswith("<!--"):
            self.until = None if "-->" in text else "-->"
        else:
            return False
        return True


def checkbox(item: str) -> tuple[str, str] | None:
    """The mark in the box that begins a list item, and the text after it. `[Title](link)` is no box."""
    if not item.startswith(("- [", "* [")):
        return None
    mark, bracket, rest = item[3:].partition("]")
    if not bracket or len(mark) > 2 or not rest or rest[0] not in WHITESPACE:
        return None
    return mark, rest.strip(WHITESPACE)
