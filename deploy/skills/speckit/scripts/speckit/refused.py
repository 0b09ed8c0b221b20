"""What the skill refuses to do, with a code for programs and a message for people."""

from .text import one_line

# Longest message, in characters.
MESSAGE = 2000


class Refused(Exception):
    """Ends the stage as failed. Everything else that is raised is a fault of the skill itself."""

    def __init__(self, code: str, message: str) -> None:
        super().__init__(message)
        self.code = code
        self.message = one_line(message, MESSAGE)
