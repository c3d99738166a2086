"""A gcp stand-in for the tests: keeps what it is given, and does on request what real providers do at times.

Inputs that change its behaviour: `fail` (create fails with this text), `invalid` (check fails), `slow`
(seconds that a creation takes), `force` (a property whose change replaces, beside `name`).
"""

import json
import os
import sys
import time
from concurrent import futures
from pathlib import Path
from typing import Any

import grpc  # type: ignore[import-untyped,unused-ignore]
from google.protobuf import empty_pb2
from google.protobuf.json_format import MessageToDict
from pulumi.runtime.proto import plugin_pb2, provider_pb2, provider_pb2_grpc

UNKNOWN = "04da6b54-80e4-46f7-96ec-b56ff0331ba9"
STORE = Path(os.environ.get("ENGINE_TEST_STORE", os.devnull))


def store() -> dict[str, Any]:
    return json.loads(STORE.read_text()) if STORE.is_file() else {}


def save(content: dict[str, Any]) -> None:
    if STORE.name != "null":
        STORE.write_text(json.dumps(content))


class Gcp(provider_pb2_grpc.ResourceProviderServicer):
    def GetPluginInfo(self, request: Any, context: Any) -> Any:
        return plugin_pb2.PluginInfo(version="10.2.0")

    def CheckConfig(self, request: Any, context: Any) -> Any:
        return provider_pb2.CheckResponse(inputs=request.news)

    def DiffConfig(self, request: Any, context: Any) -> Any:
        return provider_pb2.DiffResponse(hasDetailedDiff=True)

    def Configure(self, request: Any, context: Any) -> Any:
        return provider_pb2.ConfigureResponse(acceptSecrets=True, supportsPreview=True, acceptResources=True)

    def Check(self, request: Any, context: Any) -> Any:
        failures = []
        if "invalid" in request.news.fields:
            reason = request.news.fields["invalid"].string_value
            failures.append(provider_pb2.CheckFailure(property="invalid", reason=reason))
        return provider_pb2.CheckResponse(inputs=request.news, failures=failures)

    def Diff(self, request: Any, context: Any) -> Any:
        changed = [key for key, value in request.news.fields.items() if request.olds.fields[key] != value]
        changes = provider_pb2.DiffResponse.DIFF_SOME if changed else provider_pb2.DiffResponse.DIFF_NONE
        replaces = [key for key in changed if key in ("name", "force")]
        return provider_pb2.DiffResponse(
            changes=changes, replaces=replaces, diffs=changed, hasDetailedDiff=True
        )

    def Create(self, request: Any, context: Any) -> Any:
        properties = request.properties
        name = properties.fields["name"].string_value
        if request.preview:
            properties.fields["selfLink"].string_value = UNKNOWN
            return provider_pb2.CreateResponse(properties=properties)
        if "slow" in properties.fields:
            time.sleep(properties.fields["slow"].number_value)
        if "fail" in properties.fields:
            context.abort(grpc.StatusCode.UNKNOWN, properties.fields["fail"].string_value)
        properties.fields["selfLink"].string_value = f"https://www.googleapis.com/compute/v1/{name}"
        id_ = f"projects/inner/{name}"
        save({**store(), id_: MessageToDict(properties)})
        return provider_pb2.CreateResponse(id=id_, properties=properties)

    def Update(self, request: Any, context: Any) -> Any:
        return provider_pb2.UpdateResponse(properties=request.news)

    def Read(self, request: Any, context: Any) -> Any:
        gone = [line for line in os.environ.get("ENGINE_TEST_GONE", "").split(",") if line]
        if request.id in gone:
            return provider_pb2.ReadResponse()
        properties, inputs = request.properties, request.inputs
        drift = json.loads(os.environ.get("ENGINE_TEST_DRIFT", "{}")).get(request.id, {})
        for struct in (properties, inputs):
            struct.update(drift)
        return provider_pb2.ReadResponse(id=request.id, properties=properties, inputs=inputs)

    def Delete(self, request: Any, context: Any) -> Any:
        content = store()
        content.pop(request.id, None)
        save(content)
        return empty_pb2.Empty()

    def Invoke(self, request: Any, context: Any) -> Any:
        if request.tok != "gcp:test/echo:echo":
            context.abort(grpc.StatusCode.UNKNOWN, f"unknown function {request.tok}")
        return provider_pb2.InvokeResponse(**{"return": request.args})

    def Cancel(self, request: Any, context: Any) -> Any:
        return empty_pb2.Empty()


if __name__ == "__main__":
    server = grpc.server(futures.ThreadPoolExecutor(8))
    provider_pb2_grpc.add_ResourceProviderServicer_to_server(Gcp(), server)
    print(server.add_insecure_port("127.0.0.1:0"), flush=True)
    server.start()
    server.wait_for_termination()
    sys.exit(0)
