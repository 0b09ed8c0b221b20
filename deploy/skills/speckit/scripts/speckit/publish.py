"""The stage publish: what the commit and the pull request say."""

from . import checklists, texts
from .envelope import field
from .feature import Feature


def run(request: dict) -> dict:
    """The stage's artifacts. Committing and pushing is the worker's."""
    field(request, "checkout", str)
    branch, done = field(request, "branch_name", str), field(request, "tasks_done", list)
    work = texts.Work(Feature.of(request), request["payload"].get("phase"), done)
    return {
        "branch_name": branch,
        "commit_message": texts.commit(work),
        "pull_request": {"title": work.title(), "body": texts.body(work, checklists.read(work.feature), request["run_id"])},
    }
