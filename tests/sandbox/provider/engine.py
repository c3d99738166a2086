"""The engine's side of the provider's interface: what an engine does with a resource, over gRPC."""

from __future__ import annotations

from collections.abc import Iterator
from concurrent import futures
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any

import grpc  # type: ignore[import-untyped]
from pulumi.runtime.proto import provider_pb2, provider_pb2_grpc

from sandbox.provider.rest import Api
from sandbox.provider.servicer import Provider
from sandbox.provider.values import UNKNOWN as UNKNOWN
from sandbox.provider.values import Props, Secrets, decode, encode


class RefusedError(Exception):
    """Check failures, one to a line."""


@dataclass
class Resource:
    """What an engine knows of a resource."""

    type: str
    name: str
    id: str = ""
    inputs: Props = field(default_factory=dict)
    state: Props = field(default_factory=dict)
    secrets: Secrets = field(default_factory=Secrets)

    @property
    def urn(self) -> str:
        return f"urn:pulumi:stack::project::{self.type}::{self.name}"


@dataclass
class Engine:
    """Goes through the steps that an engine takes."""

    stub: Any
    secret_inputs: Secrets = field(default_factory=Secrets)

    def check(self, kind: str, name: str, inputs: Props, olds: Props | None = None) -> Props:
        answer = self.stub.Check(
            provider_pb2.CheckRequest(
                urn=f"urn:pulumi:stack::project::{kind}::{name}",
                name=name,
                type=kind,
                olds=encode(olds or {}),
                news=encode(inputs, self.secret_inputs),
                randomSeed=b"seed",
            )
        )
        if answer.failures:
            raise RefusedError("\n".join(failure.reason for failure in answer.failures))
        return decode(answer.inputs)[0]

    def preview(self, kind: str, name: str, inputs: Props) -> Props:
        checked = self.check(kind, name, inputs)
        answer = self.stub.Create(
            provider_pb2.CreateRequest(
                urn=f"urn:pulumi:stack::project::{kind}::{name}",
                name=name,
                type=kind,
                properties=encode(checked),
                preview=True,
            )
        )
        assert answer.id == ""
        return decode(answer.properties)[0]

    def create(self, kind: str, name: str, inputs: Props) -> Resource:
        made = Resource(kind, name, inputs=self.check(kind, name, inputs))
        answer = self.stub.Create(
            provider_pb2.CreateRequest(
                urn=made.urn, name=name, type=kind, properties=encode(made.inputs, self.secret_inputs)
            )
        )
        made.id = answer.id
        made.state, made.secrets = decode(answer.properties)
        return made

    def diff(self, made: Resource, inputs: Props, ignore: tuple[str, ...] = ()) -> Any:
        news = self.check(made.type, made.name, inputs, made.inputs)
        return self.stub.Diff(
            provider_pb2.DiffRequest(
                id=made.id,
                urn=made.urn,
                name=made.name,
                type=made.type,
                olds=encode(made.state),
                old_inputs=encode(made.inputs),
                news=encode(news),
                ignoreChanges=ignore,
            )
        )

    def update(self, made: Resource, inputs: Props, preview: bool = False) -> Props:
        news = self.check(made.type, made.name, inputs, made.inputs)
        answer = self.stub.Update(
            provider_pb2.UpdateRequest(
                id=made.id,
                urn=made.urn,
                name=made.name,
                type=made.type,
                olds=encode(made.state),
                old_inputs=encode(made.inputs),
                news=encode(news),
                preview=preview,
            )
        )
        state = decode(answer.properties)[0]
        if not preview:
            made.inputs, made.state = news, state
        return state

    def refresh(self, made: Resource) -> bool:
        """Read it; whether it is still there."""
        answer = self.stub.Read(
            provider_pb2.ReadRequest(
                id=made.id,
                urn=made.urn,
                name=made.name,
                type=made.type,
                properties=encode(made.state, made.secrets),
                inputs=encode(made.inputs),
            )
        )
        if not answer.id:
            return False
        made.state, made.secrets = decode(answer.properties)
        made.inputs = decode(answer.inputs)[0]
        return True

    def import_(self, kind: str, name: str, identity: str) -> Resource:
        made = Resource(kind, name, id=identity)
        assert self.refresh(made)
        return made

    def delete(self, made: Resource) -> None:
        self.stub.Delete(
            provider_pb2.DeleteRequest(
                id=made.id,
                urn=made.urn,
                name=made.name,
                type=made.type,
                properties=encode(made.state),
                old_inputs=encode(made.inputs),
            )
        )


@contextmanager
def serve(environment: dict[str, str], settings: Props | None = None) -> Iterator[Engine]:
    """The provider behind gRPC, configured, and an engine to drive it."""
    api = Api(environment)
    server = grpc.server(futures.ThreadPoolExecutor(max_workers=16))
    provider_pb2_grpc.add_ResourceProviderServicer_to_server(Provider(api), server)
    port = server.add_insecure_port("127.0.0.1:0")
    server.start()
    channel = grpc.insecure_channel(f"127.0.0.1:{port}")
    stub = provider_pb2_grpc.ResourceProviderStub(channel)
    try:
        stub.Configure(provider_pb2.ConfigureRequest(args=encode(settings or {}), acceptSecrets=True))
        yield Engine(stub)
    finally:
        channel.close()
        server.stop(grace=None).wait()
        api.close()
