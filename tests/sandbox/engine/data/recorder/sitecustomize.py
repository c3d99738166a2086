"""Records the requests that provider processes get, one JSON object a line, in the file ENGINE_TEST_CALLS."""

import json
import os
import sys
from pathlib import Path
from typing import Any


def record_to(file: Path, provider: str) -> None:
    """Have every gRPC server of this process record what it is asked."""
    import grpc  # type: ignore[import-untyped,unused-ignore]
    from google.protobuf.json_format import MessageToDict

    class Recorder(grpc.ServerInterceptor):  # type: ignore[misc,unused-ignore]
        def intercept_service(self, continuation: Any, details: Any) -> Any:
            handler = continuation(details)
            method = details.method.rpartition("/")[2]

            def record(request: Any, context: Any) -> Any:
                entry = {"provider": provider, "method": method, "request": MessageToDict(request)}
                with file.open("a") as output:
                    output.write(json.dumps(entry) + "\n")
                return handler.unary_unary(request, context)

            return grpc.unary_unary_rpc_method_handler(
                record, handler.request_deserializer, handler.response_serializer
            )

    server = grpc.server

    def recorded(*args: Any, **kwargs: Any) -> Any:
        return server(*args, interceptors=[Recorder()], **kwargs)

    grpc.server = recorded


if name := os.environ.get("ENGINE_TEST_CALLS"):
    if "pulumi.dynamic" in sys.orig_argv:
        record_to(Path(name), "pulumi-python")
    elif any("gcp_plugin" in argument for argument in sys.orig_argv):
        record_to(Path(name), "gcp")
