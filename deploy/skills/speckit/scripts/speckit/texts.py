"""The words of a commit and of a pull request."""

from dataclasses import dataclass

from .dependencies import phase_heading
from .feature import Feature
from .text import WHITESPACE, lines, one_line

# Longest description that is quoted, in characters, and most tasks that are listed: forges take a text of 64 KiB.
DESCRIPTION, TASKS = 300, 100
# Longest goal and test that are quoted, in characters.
QUOTE = 1000


@dataclass(frozen=True)
class Work:
    """What was to be done, and what was."""

    feature: Feature
    phase: dict | None
    tasks_done: list[str]

    def title(self) -> str:
        """One line: feature and phase, as the direct path has it."""
        return f"{self.feature.key}: {self.phase['title'] if self.phase else 'changes by an agent'}"

    def tasks(self, done: bool) -> list[dict]:
        """Tasks of the phase that are done, or those that aren't."""
        return [task for task in (self.phase or {}).get("tasks", []) if (task["task_id"] in self.tasks_done) == done]


def commit(work: Work) -> str:
    """The commit's message; the worker adds its trailer."""
    parts = [work.title(), _sentence(work)]
    for heading, tasks in (("Done:", work.tasks(True)), ("Left open:", work.tasks(False))):
        if tasks:
            parts.append("\n".join([heading, *_listed(tasks, lambda task: f"- {task['task_id']} {_short(task)}")]))
    return "\n\n".join(parts) + "\n"


def body(work: Work, checked: list[dict], run_id: str) -> str:
    """The pull request's text, in Markdown."""
    done, left = work.tasks(True), work.tasks(False)
    count = f" {len(done)} of {len(done) + len(left)} tasks are done." if work.phase else ""
    parts = ["## Summary", _sentence(work) + count]
    parts += [f"**{name}**: {text}" for name, text in _about(work) if name == "Goal"]
    if done or left:
        parts += ["## Tasks", "\n".join(_listed(work.phase["tasks"], lambda task: _ticked(task, task in done)))]
    if checked:
        rows = [f"| {_cell(one['name'])} | {one['done']} of {one['total']} |" for one in checked]
        parts += ["## Checklists", "\n".join(["| checklist | checked |", "| --- | --- |", *rows])]
    parts += ["## How to review", "\n".join(_review(work, left)), f"Made by Moorline, run `{run_id}`."]
    return "\n\n".join(parts) + "\n"


def _sentence(work: Work) -> str:
    title = work.feature.title()
    name = f"`{work.feature.path}`" if title == work.feature.key else f"{title} (`{work.feature.path}`)"
    return f"Phase {work.phase['number']} of {name}." if work.phase else f"Work on {name}."


def _review(work: Work, left: list[dict]) -> list[str]:
    """Steps for the person who looks at it."""
    there = [name for name in ("spec.md", "plan.md", "tasks.md") if work.feature.text(name) is not None]
    steps = [f"- Read {', '.join(f'`{work.feature.path}/{name}`' for name in there)}: what was asked for, and how."] if there else []
    steps += [f"- Independent test: {text}" for name, text in _about(work) if name == "Independent Test"]
    steps.append("- Compare each ticked task with the files that it names.")
    if left:
        steps.append("- Tasks left open stay in the list; the next run takes them up.")
    return steps


def _about(work: Work) -> list[tuple[str, str]]:
    """Goal and test of the phase, as its task list has them."""
    found, inside = [], False
    for line in lines(work.feature.text("tasks.md") or "") if work.phase else []:
        if line.startswith("## "):
            rest = phase_heading(line[3:].strip(WHITESPACE))
            inside = rest is not None and rest.partition(":")[0].strip(WHITESPACE) == work.phase["number"]
        for name in ("Goal", "Independent Test"):
            if inside and line.startswith(f"**{name}**:"):
                found.append((name, one_line(line.partition(":")[2], QUOTE)))
    return found


def _listed(tasks: list[dict], line) -> list[str]:
    shown = [line(task) for task in tasks[:TASKS]]
    return shown + [f"- and {len(tasks) - TASKS} more"] if len(tasks) > TASKS else shown


def _ticked(task: dict, done: bool) -> str:
    marks = ("[P] " if task["parallel"] else "") + (f"[{task['story']}] " if task["story"] else "")
    return f"- [{'x' if done else ' '}] {task['task_id']} {marks}{_short(task)}"


def _short(task: dict) -> str:
    return one_line(task["description"], DESCRIPTION)


def _cell(text: str) -> str:
    return text.replace("|", "\\|")
