"""The grammar of `tasks.md`: phases, and the tasks left in them. The direct path reads and refuses exactly the same."""

import re
from dataclasses import dataclass, field

from . import dependencies
from .refused import Refused
from .text import WHITESPACE, Hidden, checkbox, lines, one_line

# Longest title of a phase and description of a task, in characters, and most tasks of a phase.
TITLE, DESCRIPTION, TASKS = 200, 2000, 300
# Longest phase number and task id, in bytes.
NUMBER = 16
# Longest reason, in characters; it quotes the line.
REASON = 300
# Unicode's category Cc but for the tab.
CONTROL = re.compile(r"[\x00-\x08\x0a-\x1f\x7f-\x9f]")


@dataclass
class Task:
    """One line of the list."""

    done: bool
    task_id: str
    description: str
    parallel: bool
    story: str
    line: int

    def told(self) -> dict:
        """As the result's envelope has it."""
        return {
            "task_id": self.task_id,
            "description": self.description,
            "parallel": self.parallel,
            "story": self.story,
            "line": self.line,
        }


@dataclass
class Phase:
    """One phase, as `## Phase 3: Title` begins it."""

    number: str
    title: str
    tasks: list[Task] = field(default_factory=list)
    depends_on: list[str] = field(default_factory=list)


@dataclass
class TaskList:
    """A task list, in the order of its file."""

    phases: list[Phase]

    @classmethod
    def parse(cls, content: bytes) -> "TaskList":
        """Reads a task list, or raises Refused with the line and the reason."""
        try:
            text = content.decode("utf-8")
        except UnicodeDecodeError as error:
            line = content[: error.start].count(b"\n") + 1
            raise _malformed(line, "is not UTF-8 text: save the file as UTF-8") from None
        text = text.removeprefix("\ufeff")
        if not text.strip(WHITESPACE):
            raise _empty("is empty")
        phases = _Reader().read(text)
        if not phases:
            raise _empty("has no phase")
        if not any(phase.tasks for phase in phases):
            raise _empty("has no task")
        for phase, depends_on in zip(phases, dependencies.read(text, phases)):
            phase.depends_on = depends_on
        return cls(phases)

    def next_phase(self) -> dict | None:
        """The first phase in the file's order with tasks that aren't done, with those tasks; None when all is done."""
        for phase in self.phases:
            left = [task.told() for task in phase.tasks if not task.done]
            if left:
                return {"number": phase.number, "title": phase.title, "depends_on": phase.depends_on, "tasks": left}
        return None


def _empty(what: str) -> Refused:
    advice = "write at least one `## Phase 1: Title` with a task line such as `- [ ] T001 Do this in that file`"
    return Refused("TASKS_EMPTY", f"tasks.md {what}: {advice}")


def _malformed(line: int, reason: str) -> Refused:
    return Refused("TASKS_MALFORMED", f"tasks.md line {line}: {reason}")


class _Bad(Exception):
    """What is wrong with a line, and how it should be."""


class _Reader:
    """Reads line by line. What looks like no phase and no task is text for people and passes."""

    def __init__(self) -> None:
        self.phases: list[Phase] = []
        self.seen: dict[str, int] = {}
        # Whether the lines belong to a phase: any other heading of the first two levels ends it.
        self.in_phase = False
        self.hidden = Hidden()

    def read(self, text: str) -> list[Phase]:
        for number, line in enumerate(lines(text), start=1):
            try:
                _check_characters(line)
                if not self.hidden.hides(line):
                    self.line(line, number)
            except _Bad as bad:
                raise _malformed(number, one_line(str(bad), REASON)) from None
        return self.phases

    def line(self, line: str, number: int) -> None:
        text = line.lstrip(WHITESPACE)
        box = checkbox(text)
        if line.startswith(("## ", "# ")):
            self.heading(line.lstrip("#")[1:].strip(WHITESPACE))
        elif box is not None:
            self.task(*box, indented=len(line) > len(text), line=number)

    def heading(self, heading: str) -> None:
        rest = dependencies.phase_heading(heading)
        # `## Phase Dependencies` is a heading for people.
        self.in_phase = rest is not None
        if rest is None:
            return
        number, colon, title = (part.strip(WHITESPACE) for part in rest.partition(":"))
        if not colon:
            raise _Bad(f"the heading `{heading}` has no colon: write `## Phase 1: Title`")
        if len(number.encode()) > NUMBER or not all(char == "." or _is_alphanumeric(char) for char in number):
            raise _Bad(f"`{number}` is no phase number: write `## Phase 1: Title`")
        if not title:
            raise _Bad(f"phase {number} has no title: write `## Phase {number}: Title`")
        if len(title) > TITLE:
            raise _Bad(f"the title of phase {number} is longer than {TITLE} characters: shorten it")
        self.phases.append(Phase(number, title))

    def task(self, mark: str, rest: str, indented: bool, line: int) -> None:
        task_id, _, after = rest.partition(" ")
        if _is_placeholder(task_id):
            return
        done = {" ": False, "x": True, "X": True}.get(mark)
        if not _looks_like_id(task_id):
            # Steps of a task may be indented under it. Elsewhere a box without an id is a task that would never be done.
            if done is not None and self.in_phase and not indented:
                raise _Bad(f"`{rest}` has no task id: write `- [ ] T001 {rest}`")
            return
        if done is None:
            raise _Bad(f"`[{mark}]` is no checkbox: write `[ ]` for a task to do, `[x]` for one that is done")
        if not 4 <= len(task_id.encode()) <= NUMBER or not all(_is_digit(char) for char in task_id[1:]):
            raise _Bad(f"`{task_id}` is no task id: write T and at least three digits, such as T001")
        after = after.lstrip(WHITESPACE)
        parallel = after.startswith("[P]")
        story, description = _story(after.removeprefix("[P]").lstrip(WHITESPACE))
        description = description.strip(WHITESPACE)
        if not description:
            raise _Bad(f"task {task_id} has no description: say what to do, and in which file")
        if len(description) > DESCRIPTION:
            raise _Bad(
                f"the description of task {task_id} is longer than {DESCRIPTION} characters: "
                "split the task, or move details to the feature's plan"
            )
        if task_id in self.seen:
            raise _Bad(f"task {task_id} is on line {self.seen[task_id]} already: give each task an id of its own")
        self.seen[task_id] = line
        if not self.in_phase:
            raise _Bad(f"task {task_id} stands under no phase: put a `## Phase 1: Title` above it")
        phase = self.phases[-1]
        if len(phase.tasks) >= TASKS:
            raise _Bad(f"phase {phase.number} has more than {TASKS} tasks: split the phase")
        phase.tasks.append(Task(done, task_id, description, parallel, story, line))


def _check_characters(line: str) -> None:
    """No control characters: they hide what a line says, and no database takes all of them."""
    found = CONTROL.search(line.rstrip("\r"))
    if found:
        raise _Bad(f"holds the control character U+{ord(found[0]):04X}: remove it")


def _is_digit(char: str) -> bool:
    return "0" <= char <= "9"


def _is_alphanumeric(char: str) -> bool:
    return char.isascii() and char.isalnum()


def _looks_like_id(word: str) -> bool:
    """A task id, or what was meant to be one: `T` and then capitals and digits."""
    if not word.startswith("T"):
        return False
    rest = word[1:]
    return (rest != "" and _is_digit(rest[0])) or all("A" <= char <= "Z" for char in rest)


def _is_placeholder(word: str) -> bool:
    """`TXXX` and the like stand in Spec Kit's templates."""
    return len(word) > 1 and word[0] == "T" and set(word[1:]) == {"X"}


def _story(text: str) -> tuple[str, str]:
    """`[US1]` without its brackets, and what follows it."""
    story, bracket, rest = text.removeprefix("[").partition("]")
    if text.startswith("[") and bracket and story.startswith("US") and story[2:] and all(map(_is_digit, story[2:])):
        return story, rest
    return "", text
