"""Serves the provider as Pulumi's plugins do: the port is the first line on standard output."""

from __future__ import annotations

import os
import signal
import sys
import threading
from concurrent import futures

import grpc  # type: ignore[import-untyped]
from pulumi.runtime.proto import provider_pb2_grpc

from sandbox.provider.rest import Api
from sandbox.provider.servicer import Provider

WORKERS = 64
"""Calls served at the same time; a call that waits for a machine holds one."""
LOOK = 1.0
"""Seconds between two looks at whether the engine is still there."""
MESSAGE = 400 * 1024 * 1024
"""Largest message in bytes, as in Pulumi's own plugins."""


def main() -> int:
    """Serve until the engine ends the process, or itself; the arguments that it gives are not needed."""
    engine = os.getppid()
    options = [("grpc.max_receive_message_length", MESSAGE), ("grpc.max_send_message_length", MESSAGE)]
    server = grpc.server(futures.ThreadPoolExecutor(max_workers=WORKERS), options=options)
    api = Api()
    provider_pb2_grpc.add_ResourceProviderServicer_to_server(Provider(api), server)
    port = server.add_insecure_port("127.0.0.1:0")
    server.start()
    stop = threading.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, lambda *_: stop.set())
    sys.stdout.write(f"{port}\n")
    sys.stdout.flush()
    while not stop.wait(LOOK):
        if os.getppid() != engine:
            break
    api.cancel()
    server.stop(grace=5).wait()
    api.close()
    return 0


if __name__ == "__main__":
    sys.exit(main())
