"""Reads task lists and checklists with the skill's own modules: one JSON object a line in, one out.

In: `{"tasks": "<base64>"}` or `{"checklist": "<base64>"}`. The first argument is the folder of the skill's scripts.
"""

import base64
import dataclasses
import json
import sys

sys.dont_write_bytecode = True
sys.path.insert(0, sys.argv[1])

from speckit import checklists  # noqa: E402 - found by the argument
from speckit.refused import Refused  # noqa: E402
from speckit.tasks import TaskList  # noqa: E402

for line in sys.stdin:
    asked = json.loads(line)
    try:
        if "tasks" in asked:
            read = TaskList.parse(base64.b64decode(asked["tasks"]))
            told = {"phases": [dataclasses.asdict(phase) for phase in read.phases], "next": read.next_phase()}
        else:
            told = checklists.count(base64.b64decode(asked["checklist"]))
    except Refused as refused:
        told = {"code": refused.code, "message": refused.message}
    print(json.dumps(told), flush=True)
