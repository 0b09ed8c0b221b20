"""The words of a commit and of a pull request."""

from dataclasses import dataclass

from .dependencies import phase_heading
from .feature import Feature
from .text import WHITESPACE, lines, one_line

# Longest title, description, goal and test that are quoted, in characters.
TITLE, DESCRIPTION, QUOTE = 256, 300, 1000
# Most bytes of one list in a commit's message and in a pull request, and of the table of checklists: forges take 64 KiB, and Moorline
# takes 16 KiB for a commit.
COMMIT, BODY, TABLE = 6 << 10, 36 << 10, 8 << 10


@dataclass(frozen=True)
class Work:
    """What was to be done, and what was."""

    feature: Feature
    phase: dict | None
    tasks_done: list[str]

    def title(self) -> str:
        """One line: feature and phase, as the direct path has it."""
        return one_line(f"{self.feature.key}: {self.phase['title'] if self.phase else 'changes by an agent'}", TITLE)

    def tasks(self, done: bool) -> list[dict]:
        """Tasks of the phase that are done, or those that aren't."""
        return [task for task in (self.phase or {}).get("tasks", []) if (task["task_id"] in self.tasks_done) == done]


def commit(work: Work) -> str:
    """The commit's message; the worker adds its trailer."""
    parts = [work.title(), _sentence(work)]
    for heading, tasks in (("Done:", work.tasks(True)), ("Left open:", work.tasks(False))):
        if tasks:
            parts.append("\n".join([heading, *_fitting([f"- {task['task_id']} {_short(task)}" for task in tasks], COMMIT)]))
    return "\n\n".join(parts) + "\n"


def body(work: Work, checked: list[dict], run_id: str) -> str:
    """The pull request's text, in Markdown."""
    done, left = work.tasks(True), work.tasks(False)
    count = f" {len(done)} of {len(done) + len(left)} tasks are done." if work.phase else ""
    about = _about(work)
    parts = ["## Summary", _sentence(work) + count]
    if "Goal" in about:
        parts.append(f"**Goal**: {about['Goal']}")
    if done or left:
        parts += ["## Tasks", "\n".join(_fitting([_ticked(task, task in done) for task in work.phase["tasks"]], BODY))]
    if checked:
        rows = [f"| {_cell(one['name'])} | {one['done']} of {one['total']} |" for one in checked]
        parts += ["## Checklists", "\n".join(["| checklist | checked |", "| --- | --- |", *_fitting(rows, TABLE)])]
    parts += ["## How to review", "\n".join(_review(work, about, left)), f"Made by Moorline, run `{run_id}`."]
    return "\n\n".join(parts) + "\n"


def _sentence(work: Work) -> str:
    title = work.feature.title()
    name = f"`{work.feature.path}`" if title == work.feature.key else f"{title} (`{work.feature.path}`)"
    return f"Phase {work.phase['number']} of {name}." if work.phase else f"Work on {name}."


def _review(work: Work, about: dict[str, str], left: list[dict]) -> list[str]:
    """Steps for the person who looks at it."""
    there = [name for name in ("spec.md", "plan.md", "tasks.md") if work.feature.text(name) is not None]
    steps = [f"- Read {', '.join(f'`{work.feature.path}/{name}`' for name in there)}: what was asked for, and how."] if there else []
    if "Independent Test" in about:
        steps.append(f"- Independent test: {about['Independent Test']}")
    steps.append("- Compare each ticked task with the files that it names.")
    if left:
        steps.append("- Tasks left open stay in the list; the next run takes them up.")
    return steps


def _about(work: Work) -> dict[str, str]:
    """Goal and test of the phase, as its task list has them."""
    found: dict[str, str] = {}
    inside = False
    for line in lines(work.feature.text("tasks.md") or "") if work.phase else []:
        if line.startswith("## "):
            rest = phase_heading(line[3:].strip(WHITESPACE))
            inside = rest is not None and rest.partition(":")[0].strip(WHITESPACE) == work.phase["number"]
        for name in ("Goal", "Independent Test"):
            if inside and line.startswith(f"**{name}**:"):
                found.setdefault(name, one_line(line.partition(":")[2], QUOTE))
    return found


def _fitting(listed: list[str], most: int) -> list[str]:
    """The first of some lines that take no more than `most` bytes together, and how many more there are."""
    taken = size = 0
    for line in listed:
        size += len(line.encode()) + 1
        if size > most:
            return [*listed[:taken], f"- and {len(listed) - taken} more"]
        taken += 1
    return listed


def _ticked(task: dict, done: bool) -> str:
    marks = ("[P] " if task["parallel"] else "") + (f"[{task['story']}] " if task["story"] else "")
    return f"- [{'x' if done else ' '}] {task['task_id']} {marks}{_short(task)}"


def _short(task: dict) -> str:
    return one_line(task["description"], DESCRIPTION)


def _cell(text: str) -> str:
    return text.replace("|", "\\|")
