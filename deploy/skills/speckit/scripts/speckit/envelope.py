"""The envelopes of the protocol `moorline.stage/1`: one request in, one result out.

A stage that can't be done is a result with `status: failed`, and the program ends with 0. A request that isn't one, and a fault of the skill itself, end
the program with another code and the reason on standard error.
"""

import json
import time
from collections.abc import Callable
from typing import BinaryIO, TextIO

from .refused import Refused

SKILL = "speckit"
PROTOCOL = "moorline.stage/1"
KINDS = {str: "a text", list: "a list", dict: "an object"}
FIELDS = {"run_id": str, "feature_id": str, "stage": str, "requested_skill_id": str, "payload": dict, "metadata": dict}

Stage = Callable[[dict], dict]


def serve(stages: dict[str, Stage], requests: BinaryIO, results: TextIO) -> int:
    """Answers the request; the program's exit code."""
    begun = time.monotonic()
    request = _parse(requests.read())
    artifacts, error = {}, None
    try:
        artifacts = _stage(stages, request)(request)
    except Refused as refused:
        error = {"code": refused.code, "message": refused.message}
    result = {
        "run_id": request["run_id"],
        "stage": request["stage"],
        "selected_skill_id": SKILL,
        "execution_path": "skill",
        "status": "failed" if error else "succeeded",
        "duration_ms": int((time.monotonic() - begun) * 1000),
        "artifacts": artifacts,
        "error": error,
    }
    json.dump(result, results)
    results.write("\n")
    return 0


def _parse(text: bytes) -> dict:
    """The request; without its fields there is nobody to answer to."""
    try:
        request = json.loads(text)
    except ValueError as error:
        raise SystemExit(f"standard input is no JSON ({error}): give one stage request, as docs/skills.md shows") from None
    if not isinstance(request, dict):
        raise SystemExit("standard input is no JSON object: give one stage request, as docs/skills.md shows")
    for name, kind in FIELDS.items():
        if not isinstance(request.get(name), kind):
            raise SystemExit(f"the request has no {name}, which is to be {KINDS[kind]}: give one stage request, as docs/skills.md shows")
    return request


def _stage(stages: dict[str, Stage], request: dict) -> Stage:
    """What carries the stage, if the request is one that this skill may answer."""
    protocol, skill, stage = request["metadata"].get("protocol") or "", request["requested_skill_id"], request["stage"]
    if protocol != PROTOCOL:
        raise Refused("PROTOCOL_UNKNOWN", f"the request is of the protocol `{protocol}`: this skill speaks {PROTOCOL}; use matching releases")
    if skill != SKILL:
        raise Refused("SKILL_MISMATCH", f"the request is for the skill {skill}, and this is {SKILL}: see to the folder's name in both mirrors")
    if stage not in stages:
        raise Refused("STAGE_UNKNOWN", f"this skill's program carries {' and '.join(stages)}, not {stage}: see to its moorline-stages")
    return stages[stage]


def field(request: dict, name: str, kind: type) -> object:
    """A field of the payload that a stage can't do without."""
    value = request["payload"].get(name)
    if not isinstance(value, kind):
        raise Refused("PAYLOAD_INVALID", f"the payload has no {name}, which is to be {KINDS[kind]}: see docs/skills.md for what a stage is given")
    return value
