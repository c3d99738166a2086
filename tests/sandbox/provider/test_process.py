"""The provider as a process: how an engine starts it."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import grpc  # type: ignore[import-untyped]
from google.protobuf import empty_pb2
from pulumi.runtime.proto import provider_pb2, provider_pb2_grpc

from sandbox.provider.servicer import VERSION


def test_it_prints_its_port_and_serves_there() -> None:
    with subprocess.Popen(
        [sys.executable, "-m", "sandbox.provider", "127.0.0.1:1"], stdout=subprocess.PIPE, text=True
    ) as process:
        try:
            assert process.stdout is not None
            port = int(process.stdout.readline())
            with grpc.insecure_channel(f"127.0.0.1:{port}") as channel:
                stub = provider_pb2_grpc.ResourceProviderStub(channel)
                assert stub.GetPluginInfo(empty_pb2.Empty()).version == VERSION
                assert stub.Handshake(provider_pb2.ProviderHandshakeRequest()).accept_secrets
        finally:
            process.terminate()
        assert process.wait() == 0


ENGINE = """
import subprocess, sys
provider = subprocess.Popen([sys.executable, "-m", "sandbox.provider"], stdout=subprocess.PIPE)
provider.stdout.readline()
print(provider.pid, flush=True)
provider.wait()
"""


def test_it_does_not_outlive_its_engine() -> None:
    with subprocess.Popen([sys.executable, "-c", ENGINE], stdout=subprocess.PIPE, text=True) as engine:
        assert engine.stdout is not None
        provider = int(engine.stdout.readline())
        os.kill(engine.pid, signal.SIGKILL)
    running = Path(f"/proc/{provider}/cmdline")
    for _ in range(600):
        if not (running.exists() and b"sandbox.provider" in running.read_bytes()):
            return
        time.sleep(0.1)
    os.kill(provider, signal.SIGKILL)
    raise AssertionError("the provider is still there a minute after its engine")
