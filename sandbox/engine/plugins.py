"""Provider plugins: executables `pulumi-resource-NAME` on PATH that serve `pulumirpc.ResourceProvider`.

A plugin gets the engine's address as its argument and prints the port it listens on. Dynamic providers are
served by the SDK itself (`python -m pulumi.dynamic`). Source: `proto/pulumi/provider.proto` and
`pkg/resource/plugin/provider_plugin.go` (pulumi/pulumi).
"""

from __future__ import annotations

import asyncio
import contextlib
import json
import os
import shutil
import signal
import sys
from collections.abc import Callable, Iterable, Sequence
from pathlib import Path
from typing import Any, Final

import grpc  # type: ignore[import-untyped,unused-ignore]
import grpc.aio  # type: ignore[import-untyped,unused-ignore]
from google.protobuf import empty_pb2
from pulumi.runtime.proto import provider_pb2, provider_pb2_grpc, status_pb2

from sandbox.engine import urn as urns
from sandbox.engine import values
from sandbox.engine.processes import guarded
from sandbox.engine.providers import Checked, CheckFailure, Diff, PartialError, ProviderError, Read
from sandbox.engine.values import Properties

CHANNEL_OPTIONS: Final = [
    ("grpc.max_receive_message_length", 400 * 1024 * 1024),
    ("grpc.max_send_message_length", 400 * 1024 * 1024),
]
START_SECONDS: Final = 60
"""How long a plugin may take to print its port."""
DYNAMIC_PACKAGE: Final = "pulumi-python"

Log = Callable[[str], None]


def plugin_command(package: str) -> list[str]:
    """The command that serves a package; a missing plugin is one clear line."""
    if package == DYNAMIC_PACKAGE:
        return [sys.executable, "-u", "-m", "pulumi.dynamic"]
    name = f"pulumi-resource-{package}"
    path = shutil.which(name)
    if path is None:
        raise ProviderError(
            f"no resource plugin '{name}' found on PATH: put the plugin's folder on PATH "
            "(the embedded engine downloads none)"
        )
    return [path]


class Plugin:
    """A running plugin process and the connection to it."""

    def __init__(
        self, process: asyncio.subprocess.Process, port: int, readers: Sequence[asyncio.Task[None]]
    ) -> None:
        self._process = process
        self._readers = readers
        self._channel = grpc.aio.insecure_channel(f"127.0.0.1:{port}", options=CHANNEL_OPTIONS)
        self.stub: Any = provider_pb2_grpc.ResourceProviderStub(self._channel)

    @classmethod
    async def start(cls, command: Sequence[str], engine: str, folder: Path, project: str, log: Log) -> Plugin:
        """Start a plugin; what it prints after its port goes to `log`."""
        process = await asyncio.create_subprocess_exec(
            *guarded([*command, engine]),
            cwd=folder,
            env={**os.environ, "PULUMI_PROJECT": project},
            stdin=asyncio.subprocess.DEVNULL,
            stdout=asyncio.subprocess.PIPE,
            stderr=asyncio.subprocess.PIPE,
            process_group=0,
        )
        assert process.stdout is not None
        assert process.stderr is not None
        complaints: list[str] = []
        errors = asyncio.create_task(_forward(process.stderr, log, complaints))
        try:
            line = await asyncio.wait_for(process.stdout.readline(), START_SECONDS)
            port = int(line)
        except (TimeoutError, ValueError) as error:
            _kill(process)
            with contextlib.suppress(TimeoutError):
                await asyncio.wait_for(errors, 5)
            detail = " ".join(complaints[-3:]) or "it printed nothing"
            raise ProviderError(
                f"plugin {command[0]} did not print the port it listens on: {detail}"
            ) from error
        output = asyncio.create_task(_forward(process.stdout, log, []))
        return cls(process, port, (errors, output))

    async def close(self) -> None:
        """End the process and the connection."""
        await self._channel.close()
        _kill(self._process)
        await self._process.wait()
        for reader in self._readers:
            reader.cancel()
        await asyncio.gather(*self._readers, return_exceptions=True)


def _kill(process: asyncio.subprocess.Process) -> None:
    with contextlib.suppress(ProcessLookupError):
        os.killpg(process.pid, signal.SIGKILL)


async def _forward(stream: asyncio.StreamReader, log: Log, keep: list[str]) -> None:
    while line := await _line(stream):
        text = line.decode(errors="replace").rstrip()
        if text:
            keep.append(text)
            log(text)


async def _line(stream: asyncio.StreamReader) -> bytes:
    try:
        return await stream.readline()
    except ValueError:  # longer than the reader's limit: give it in parts
        return await stream.read(65536)


class PluginProvider:
    """A provider behind a plugin."""

    def __init__(self, package: str, plugin: Plugin) -> None:
        self._package = package
        self._plugin = plugin
        self._stub = plugin.stub
        self._accept_secrets = False
        self._accept_resources = False
        self._supports_preview = False
        self._handshaken = False
        self._known = True  # whether the configuration has no unknown values

    async def handshake(self, engine: str, folder: Path) -> None:
        """Introduce the engine; older plugins do not know this and say what they can in Configure."""
        request = provider_pb2.ProviderHandshakeRequest(
            engine_address=engine,
            root_directory=str(folder),
            program_directory=str(folder),
            configure_with_urn=True,
            invoke_with_preview=True,
        )
        with contextlib.suppress(_Unimplemented):
            response = await _call(self._stub.Handshake(request))
            self._handshaken = True
            self._supports_preview = True
            self._accept_secrets = response.accept_secrets
            self._accept_resources = response.accept_resources
        await _call(self._stub.GetPluginInfo(empty_pb2.Empty()))

    # Configuration

    async def check_config(self, urn: str, olds: Properties, news: Properties) -> Checked:
        """See `ConfigurableProvider`."""
        request = provider_pb2.CheckRequest(
            urn=urn,
            name=urns.name_of(urn),
            type=urns.type_of(urn),
            olds=values.to_struct(olds, secrets=False),
            news=values.to_struct(news, secrets=False),
        )
        try:
            response = await _call(self._stub.CheckConfig(request))
        except _Unimplemented:
            return Checked(news)
        inputs = values.from_struct(response.inputs)
        values.annotate_secrets(inputs, news)
        return Checked(inputs, _failures(response.failures))

    async def diff_config(
        self, urn: str, old_inputs: Properties, old_outputs: Properties, news: Properties
    ) -> Diff:
        """See `ConfigurableProvider`."""
        request = provider_pb2.DiffRequest(
            urn=urn,
            name=urns.name_of(urn),
            type=urns.type_of(urn),
            old_inputs=values.to_struct(old_inputs, secrets=False),
            olds=values.to_struct(old_outputs, secrets=False),
            news=values.to_struct(news, secrets=False),
        )
        try:
            return _diff(await _call(self._stub.DiffConfig(request)))
        except _Unimplemented:
            return Diff(None)

    async def configure(self, urn: str, id_: str, inputs: Properties) -> None:
        """See `ConfigurableProvider`."""
        if any(values.has_unknowns(value) for key, value in inputs.items() if key != "version"):
            self._known = False
            return
        variables = {}
        for key, value in inputs.items():
            if key != "version":
                content = values.plain(value)
                text = content if isinstance(content, str) else json.dumps(content, separators=(",", ":"))
                variables[f"{self._package}:config:{key}"] = text
        request = provider_pb2.ConfigureRequest(
            variables=variables,
            args=values.to_struct(inputs, secrets=True),
            acceptSecrets=True,
            acceptResources=True,
            sends_old_inputs=True,
            sends_old_inputs_to_delete=True,
            id=id_,
            urn=urn,
            name=urns.name_of(urn),
            type=urns.type_of(urn),
        )
        response = await _call(self._stub.Configure(request))
        if not self._handshaken:
            self._accept_secrets = response.acceptSecrets
            self._accept_resources = response.acceptResources
            self._supports_preview = response.supportsPreview

    async def cancel(self) -> None:
        """See `ConfigurableProvider`."""
        with contextlib.suppress(ProviderError, _Unimplemented, grpc.RpcError):
            await asyncio.wait_for(_call(self._stub.Cancel(empty_pb2.Empty())), 5)

    async def close(self) -> None:
        """See `ConfigurableProvider`."""
        with contextlib.suppress(TimeoutError):
            await self.cancel()
        await self._plugin.close()

    # Resources

    def _struct(self, properties: Properties, *, unknowns: bool = False) -> Any:
        return values.to_struct(
            properties, secrets=self._accept_secrets, unknowns=unknowns, references=self._accept_resources
        )

    def _outputs(self, struct: Any, inputs: Properties) -> Properties:
        outputs = values.from_struct(struct)
        if not self._accept_secrets:
            values.annotate_secrets(outputs, inputs)
        return outputs

    async def check(
        self, urn: str, olds: Properties, news: Properties, *, preview: bool, seed: bytes
    ) -> Checked:
        """See `Provider`."""
        if not self._known:
            return Checked(news)
        request = provider_pb2.CheckRequest(
            urn=urn,
            name=urns.name_of(urn),
            type=urns.type_of(urn),
            olds=self._struct(olds, unknowns=preview),
            news=self._struct(news, unknowns=preview),
            randomSeed=seed,
        )
        response = await _required(self._stub.Check(request))
        return Checked(self._outputs(response.inputs, news), _failures(response.failures))

    async def diff(
        self,
        urn: str,
        id_: str,
        old_inputs: Properties,
        old_outputs: Properties,
        news: Properties,
        *,
        preview: bool,
        ignore_changes: list[str],
    ) -> Diff:
        """See `Provider`."""
        if not self._known:
            return Diff(True)
        request = provider_pb2.DiffRequest(
            id=id_,
            urn=urn,
            name=urns.name_of(urn),
            type=urns.type_of(urn),
            old_inputs=self._struct(old_inputs, unknowns=preview),
            olds=self._struct(old_outputs, unknowns=preview),
            news=self._struct(news, unknowns=preview),
            ignoreChanges=ignore_changes,
        )
        return _diff(await _required(self._stub.Diff(request)))

    async def create(
        self, urn: str, inputs: Properties, *, preview: bool, limit: float
    ) -> tuple[str, Properties]:
        """See `Provider`."""
        if preview and not self._known:
            return "", {}
        if preview and not self._supports_preview:
            return "", inputs
        request = provider_pb2.CreateRequest(
            urn=urn,
            name=urns.name_of(urn),
            type=urns.type_of(urn),
            properties=self._struct(inputs, unknowns=preview),
            timeout=limit,
            preview=preview,
        )
        response = await _required(self._stub.Create(request), inputs=inputs, provider=self)
        if not response.id and not preview:
            raise ProviderError(f"the provider returned no id for {urn}")
        return response.id, self._outputs(response.properties, inputs)

    async def update(
        self,
        urn: str,
        id_: str,
        old_inputs: Properties,
        old_outputs: Properties,
        news: Properties,
        *,
        preview: bool,
        limit: float,
        ignore_changes: list[str],
    ) -> Properties:
        """See `Provider`."""
        if preview and not self._known:
            return {}
        if preview and not self._supports_preview:
            return news
        request = provider_pb2.UpdateRequest(
            id=id_,
            urn=urn,
            name=urns.name_of(urn),
            type=urns.type_of(urn),
            old_inputs=self._struct(old_inputs),
            olds=self._struct(old_outputs),
            news=self._struct(news, unknowns=preview),
            timeout=limit,
            preview=preview,
            ignoreChanges=ignore_changes,
        )
        response = await _required(self._stub.Update(request), inputs=news, provider=self)
        return self._outputs(response.properties, news)

    async def delete(
        self, urn: str, id_: str, inputs: Properties, outputs: Properties, *, limit: float
    ) -> None:
        """See `Provider`."""
        request = provider_pb2.DeleteRequest(
            id=id_,
            urn=urn,
            name=urns.name_of(urn),
            type=urns.type_of(urn),
            properties=self._struct(outputs),
            old_inputs=self._struct(inputs),
            timeout=limit,
        )
        await _required(self._stub.Delete(request))

    async def read(
        self, urn: str, id_: str, inputs: Properties, outputs: Properties, *, limit: float
    ) -> Read:
        """See `Provider`."""
        request = provider_pb2.ReadRequest(
            id=id_,
            urn=urn,
            name=urns.name_of(urn),
            type=urns.type_of(urn),
            properties=self._struct(outputs),
            inputs=self._struct(inputs),
            timeout=limit,
        )
        try:
            response = await _required(self._stub.Read(request), inputs=outputs, provider=self)
        except PartialError as error:
            return Read(error.id, error.properties, None, error.reasons)
        new_inputs = self._outputs(response.inputs, inputs) if response.HasField("inputs") else None
        return Read(response.id, self._outputs(response.properties, outputs), new_inputs)

    async def invoke(
        self, token: str, args: Properties, *, preview: bool
    ) -> tuple[Properties, tuple[CheckFailure, ...]]:
        """See `Provider`."""
        if not self._known:
            return {}, ()
        request = provider_pb2.InvokeRequest(tok=token, args=self._struct(args), preview=preview)
        response = await _required(self._stub.Invoke(request))
        result = values.from_struct(getattr(response, "return"))
        if values.has_secrets(args) and not self._accept_secrets:
            result = {key: values.secret(value) for key, value in result.items()}
        return result, _failures(response.failures)

    def partial(self, detail: Any, inputs: Properties) -> PartialError:
        """What a provider says of a resource that came to be but not quite."""
        return PartialError(list(detail.reasons), detail.id, self._outputs(detail.properties, inputs))


class _Unimplemented(Exception):  # noqa: N818 - an answer, not a failure
    """The plugin does not have the method."""


async def _call(call: Any) -> Any:
    try:
        return await call
    except grpc.aio.AioRpcError as error:
        if error.code() is grpc.StatusCode.UNIMPLEMENTED:
            raise _Unimplemented(error.details()) from error
        raise ProviderError(_text(error)) from error


async def _required(
    call: Any, *, inputs: Properties | None = None, provider: PluginProvider | None = None
) -> Any:
    try:
        return await call
    except grpc.aio.AioRpcError as error:
        if provider is not None and inputs is not None:
            for detail in _details(error):
                raise provider.partial(detail, inputs) from error
        raise ProviderError(_text(error)) from error


def _details(error: grpc.aio.AioRpcError) -> Iterable[Any]:
    for key, value in error.trailing_metadata() or ():
        if key == "grpc-status-details-bin":
            for packed in status_pb2.Status.FromString(value).details:
                detail = provider_pb2.ErrorResourceInitFailed()
                if packed.Is(detail.DESCRIPTOR):
                    packed.Unpack(detail)
                    yield detail


def _text(error: grpc.aio.AioRpcError) -> str:
    details = (error.details() or "").strip()
    return details or f"the provider failed with {error.code().name}"


def _failures(failures: Iterable[Any]) -> tuple[CheckFailure, ...]:
    return tuple(CheckFailure(failure.property, failure.reason) for failure in failures)


_KINDS: Final = ("add", "add-replace", "delete", "delete-replace", "update", "update-replace")
_CHANGES: Final = {0: None, 1: False, 2: True}


def _diff(response: Any) -> Diff:
    detailed = None
    if response.hasDetailedDiff:
        detailed = {path: (_KINDS[item.kind], item.inputDiff) for path, item in response.detailedDiff.items()}
    return Diff(
        _CHANGES[response.changes],
        tuple(response.replaces),
        tuple(response.diffs),
        detailed,
        response.deleteBeforeReplace,
    )
