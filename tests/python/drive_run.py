"""Drives a run with a client that grpcio-tools generates from the proto files.

usage: drive_run.py ADDRESS PROTO_DIR OUT_DIR

Prints one JSON line per event, and last the run's status.
"""

import json
import pathlib
import sys

import grpc
from grpc_tools import protoc

address, proto_dir, out_dir = sys.argv[1:]
files = sorted(str(path) for path in pathlib.Path(proto_dir, "moorline/v1").glob("*.proto"))
# The well-known types come with grpcio-tools.
well_known = str(pathlib.Path(protoc.__file__).parent / "_proto")
code = protoc.main(["protoc", f"-I{proto_dir}", f"-I{well_known}", f"--python_out={out_dir}", f"--grpc_python_out={out_dir}", *files])
if code:
    sys.exit(f"protoc failed with {code}")
sys.path.insert(0, out_dir)

from moorline.v1 import run_pb2, run_service_pb2, run_service_pb2_grpc  # noqa: E402

with grpc.insecure_channel(address) as channel:
    runs = run_service_pb2_grpc.RunServiceStub(channel)
    request = run_service_pb2.CreateRunRequest(repository="octo/hello", feature_key="001-python")
    run = runs.CreateRun(request).run
    try:
        runs.CreateRun(request)
    except grpc.RpcError as refused:
        print(json.dumps({"refused": refused.code().name}), flush=True)
    # Until now nobody may work on the run: one that has ended refuses nobody.
    pathlib.Path(out_dir, "refused").touch()
    for message in runs.WatchRun(run_service_pb2.WatchRunRequest(run_id=run.run_id)):
        print(json.dumps({"sequence": message.event.sequence, "event": message.event.WhichOneof("event")}), flush=True)
    run = runs.GetRun(run_service_pb2.GetRunRequest(run_id=run.run_id)).run
    print(json.dumps({"status": run_pb2.RunStatus.Name(run.status)}), flush=True)
