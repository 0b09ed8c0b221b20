"""The stage discover: the next phase with tasks to do, and the state of the checklists."""

from . import checklists, folder
from .envelope import field
from .feature import Feature
from .refused import Refused
from .tasks import TaskList


def run(request: dict) -> dict:
    """The stage's artifacts. Refuses with the codes of the direct path."""
    field(request, "checkout", str)
    feature = Feature.of(request)
    path = f"{feature.path}/tasks.md"
    try:
        content = feature.read("tasks.md")
    except folder.Missing:
        branch = field(request, "base_ref", str)
        advice = "run the Spec Kit tasks step for this feature and push its files, or name another feature_key"
        raise Refused("TASKS_MISSING", f"{path} does not exist on {branch}: {advice}") from None
    except folder.NotAFile as found:
        raise Refused("TASKS_NOT_A_FILE", f"{path} is {found}, not a file: put the task list itself there") from None
    return {"phase": TaskList.parse(content).next_phase(), "checklists": checklists.read(feature)}
