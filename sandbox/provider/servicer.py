"""Pulumi's ``ResourceProvider`` service on top of the table.

The interface: https://github.com/pulumi/pulumi/blob/master/proto/pulumi/provider.proto.
"""

# ruff: noqa: N802 - the methods have the names of the interface

from __future__ import annotations

import functools
import hashlib
from collections.abc import Callable
from typing import Any, Final, TypeAlias, TypeVar

import grpc  # type: ignore[import-untyped]
from google.protobuf import empty_pb2
from google.rpc import status_pb2
from grpc_status import rpc_status  # type: ignore[import-untyped]
from pulumi.runtime.proto import plugin_pb2, provider_pb2, provider_pb2_grpc

from sandbox.provider.diff import changes
from sandbox.provider.errors import PartialFailureError, ProviderError
from sandbox.provider.fields import imported
from sandbox.provider.resource import Resource
from sandbox.provider.rest import Api
from sandbox.provider.scope import Defaults
from sandbox.provider.table import FUNCTIONS, resource_type
from sandbox.provider.values import Props, decode, encode, has_unknown

VERSION: Final = "10.2.0"
"""The release of pulumi-gcp that this provider stands in for."""
SETTINGS: Final = ("project", "region", "zone")
"""What can be configured; endpoints and the token come from the environment."""
WITHOUT_EFFECT: Final = ("version", "pluginDownloadURL", "disableGlobalProjectWarning")
"""What may be configured and changes nothing here: the engine's own settings, and the switch for a warning
that only the real provider gives (that no project is configured)."""
SUFFIX: Final = 7
"""Length of the suffix of names that are made, in hexadecimal digits."""

Context: TypeAlias = Any
"""A ``grpc.ServicerContext``."""
Request = TypeVar("Request")
Answer = TypeVar("Answer")
Kind = provider_pb2.PropertyDiff.Kind


def _clear(
    method: Callable[[Provider, Request, Context], Answer],
) -> Callable[[Provider, Request, Context], Answer]:
    """Turns what cannot be done into the one line that the engine shows."""

    @functools.wraps(method)
    def call(self: Provider, request: Request, context: Context) -> Answer:
        try:
            return method(self, request, context)
        except PartialFailureError as error:
            context.abort_with_status(_half_done(error, request))
        except ProviderError as error:
            context.abort(grpc.StatusCode.UNKNOWN, f"{_subject(request)}{error}")
        raise AssertionError("abort raises")

    return call


def _subject(request: Any) -> str:
    name, kind = str(getattr(request, "name", "")), str(getattr(request, "type", ""))
    if not (name and kind) and hasattr(request, "urn"):
        kind, _, name = request.urn.partition("::")[2].partition("::")[2].partition("::")
        kind = kind.rsplit("$", 1)[-1]
    return f"{kind} '{name}': " if name else ""


def _type(request: Any) -> str:
    if request.type:
        return str(request.type)
    return str(request.urn).split("::")[2].rsplit("$", 1)[-1]


def _half_done(error: PartialFailureError, request: Any) -> grpc.Status:
    """The engine keeps the state of a resource that was made but did not become ready."""
    detail = provider_pb2.ErrorResourceInitFailed(
        id=error.identity, properties=encode(error.state), reasons=[f"{_subject(request)}{error}"]
    )
    status = status_pb2.Status(code=grpc.StatusCode.UNKNOWN.value[0], message=f"{_subject(request)}{error}")
    status.details.add().Pack(detail)
    return rpc_status.to_status(status)


class Provider(provider_pb2_grpc.ResourceProviderServicer):
    """The provider ``gcp`` for one engine; its methods may run at the same time."""

    def __init__(self, api: Api | None = None) -> None:
        self._api = api or Api()
        self._defaults = Defaults()

    # Getting to know each other

    def Handshake(self, request: Any, context: Context) -> provider_pb2.ProviderHandshakeResponse:
        """What this provider understands."""
        return provider_pb2.ProviderHandshakeResponse(
            accept_secrets=True, accept_resources=False, accept_outputs=False
        )

    def Attach(self, request: Any, context: Context) -> empty_pb2.Empty:
        """An engine that attaches to a running provider needs nothing done."""
        return empty_pb2.Empty()

    def GetPluginInfo(self, request: Any, context: Context) -> plugin_pb2.PluginInfo:
        """The release that the engine takes this provider for."""
        return plugin_pb2.PluginInfo(version=VERSION)

    def GetSchema(self, request: Any, context: Context) -> Any:
        """Refused: the SDK has the schema."""
        context.abort(grpc.StatusCode.UNIMPLEMENTED, "the sandbox's provider has no schema; the SDK has")

    @_clear
    def Invoke(self, request: Any, context: Context) -> Any:
        """What a function reads; one that the table lacks is refused by name."""
        function = FUNCTIONS.get(request.tok)
        if function is None:
            context.abort(
                grpc.StatusCode.UNIMPLEMENTED,
                f"function '{request.tok}' is not supported by the sandbox's provider",
            )
            raise AssertionError("abort raises")
        given, secrets = decode(request.args)
        result, failures = function.invoke(self._api, given)
        answer = provider_pb2.InvokeResponse(
            failures=[
                provider_pb2.CheckFailure(property=failure.property, reason=failure.reason)
                for failure in failures
            ]
        )
        getattr(answer, "return").CopyFrom(encode(result, secrets))
        return answer

    def Call(self, request: Any, context: Context) -> Any:
        """Refused by name: there are no methods here."""
        context.abort(
            grpc.StatusCode.UNIMPLEMENTED,
            f"method '{request.tok}' is not supported by the sandbox's provider",
        )

    def Construct(self, request: Any, context: Context) -> Any:
        """Refused by name: there are no components here."""
        context.abort(
            grpc.StatusCode.UNIMPLEMENTED,
            f"component '{request.type}' is not supported by the sandbox's provider",
        )

    def Cancel(self, request: Any, context: Context) -> empty_pb2.Empty:
        """Stop waiting for what is under way."""
        self._api.cancel()
        return empty_pb2.Empty()

    # Configuration

    @_clear
    def CheckConfig(self, request: Any, context: Context) -> provider_pb2.CheckResponse:
        """Refuse settings that this provider does not have."""
        given, secrets = decode(request.news)
        failures = [
            provider_pb2.CheckFailure(
                property=name, reason=f"setting 'gcp:{name}' is not supported by the sandbox's provider"
            )
            for name in given
            if name not in SETTINGS and name not in WITHOUT_EFFECT
        ]
        return provider_pb2.CheckResponse(inputs=encode(given, secrets), failures=failures)

    @_clear
    def DiffConfig(self, request: Any, context: Context) -> provider_pb2.DiffResponse:
        """Which settings differ; none of them replaces the provider."""
        old, new = decode(request.old_inputs or request.olds)[0], decode(request.news)[0]
        differing = sorted(name for name in SETTINGS if old.get(name) != new.get(name))
        return _diff_response(
            dict.fromkeys(differing, Kind.UPDATE), replaces=[], diffs=differing, delete_first=False
        )

    @_clear
    def Configure(self, request: Any, context: Context) -> provider_pb2.ConfigureResponse:
        """Take the defaults for project, region and zone."""
        settings, _ = decode(request.args)
        self._defaults = Defaults(
            **{name: str(settings[name]) for name in SETTINGS if isinstance(settings.get(name), str)}
        )
        return provider_pb2.ConfigureResponse(
            acceptSecrets=True, supportsPreview=True, acceptResources=False, acceptOutputs=False
        )

    # Resources

    @_clear
    def Check(self, request: Any, context: Context) -> provider_pb2.CheckResponse:
        """A program's inputs with the defaults filled in, and what is wrong with them."""
        resource = resource_type(_type(request))
        given, secrets = decode(request.news)
        known, _ = decode(request.olds)
        suffix = hashlib.sha256(request.randomSeed or request.urn.encode()).hexdigest()[:SUFFIX]
        name = request.name or request.urn.rsplit("::", 1)[-1]
        given = {key: value for key, value in given.items() if not key.startswith("__")}
        inputs, wrong = resource.check(given, known, name, suffix, self._defaults)
        failures = [
            provider_pb2.CheckFailure(
                property=failure.property, reason=f"{_subject(request)}{failure.reason}"
            )
            for failure in wrong
        ]
        return provider_pb2.CheckResponse(inputs=encode(inputs, secrets), failures=failures)

    @_clear
    def Diff(self, request: Any, context: Context) -> provider_pb2.DiffResponse:
        """What would change, in place or by a replacement."""
        resource = resource_type(_type(request))
        old, new = self._old_inputs(resource, request), decode(request.news)[0]
        found = changes(resource.fields, old, new, request.ignoreChanges)
        detailed = {}
        for change in found:
            kind = {"add": Kind.ADD, "update": Kind.UPDATE, "delete": Kind.DELETE}[change.kind]
            detailed[str(change)] = Kind.ValueType(kind + 1) if change.replace else kind
        replaces = sorted({change.field for change in found if change.replace})
        return _diff_response(
            detailed,
            replaces=replaces,
            diffs=sorted({change.field for change in found}),
            delete_first=bool(replaces) and resource.deletes_first(old, new, self._defaults),
        )

    @_clear
    def Create(self, request: Any, context: Context) -> provider_pb2.CreateResponse:
        """Make a resource, or in a preview say what is known of it before."""
        resource = resource_type(_type(request))
        inputs, secrets = decode(request.properties)
        if request.preview:
            return provider_pb2.CreateResponse(properties=encode(resource.planned(inputs), secrets))
        _refuse_unknown(inputs)
        identity, state = resource.create(self._api, inputs, self._defaults)
        return provider_pb2.CreateResponse(id=identity, properties=encode(state, secrets))

    @_clear
    def Read(self, request: Any, context: Context) -> provider_pb2.ReadResponse:
        """A resource as it is now, with the inputs that stand for it; no id when it is gone."""
        resource = resource_type(_type(request))
        known, hidden = decode(request.properties)
        inputs, secrets = decode(request.inputs)
        state = resource.read(self._api, request.id, known, self._defaults)
        if state is None:
            return provider_pb2.ReadResponse(id="")
        secrets |= hidden
        return provider_pb2.ReadResponse(
            id=request.id,
            properties=encode(state, secrets),
            inputs=encode(resource.observe(state, inputs), secrets),
        )

    @_clear
    def Update(self, request: Any, context: Context) -> provider_pb2.UpdateResponse:
        """Change a resource in place."""
        resource = resource_type(_type(request))
        state, _ = decode(request.olds)
        new, secrets = decode(request.news)
        if request.preview:
            return provider_pb2.UpdateResponse(
                properties=encode(resource.planned_update(state, new), secrets)
            )
        _refuse_unknown(new)
        found = changes(resource.fields, self._old_inputs(resource, request), new, request.ignoreChanges)
        changed = {change.field for change in found}
        after = resource.update(self._api, request.id, state, new, changed, self._defaults)
        return provider_pb2.UpdateResponse(properties=encode(after, secrets))

    @_clear
    def Delete(self, request: Any, context: Context) -> empty_pb2.Empty:
        """Delete a resource."""
        resource = resource_type(_type(request))
        state, _ = decode(request.properties)
        resource.delete(self._api, request.id, state, self._defaults)
        return empty_pb2.Empty()

    def _old_inputs(self, resource: Resource, request: Any) -> Props:
        """The inputs of the last time; an engine that does not send them leaves the state to tell."""
        if request.HasField("old_inputs"):
            return decode(request.old_inputs)[0]
        return imported(resource.fields, decode(request.olds)[0])


def _refuse_unknown(inputs: Props) -> None:
    for name, value in inputs.items():
        if has_unknown(value):
            raise ProviderError(f"field '{name}' is not known, and this is no preview")


def _diff_response(
    detailed: dict[str, Kind.ValueType], *, replaces: list[str], diffs: list[str], delete_first: bool
) -> provider_pb2.DiffResponse:
    changes_ = provider_pb2.DiffResponse.DIFF_SOME if diffs else provider_pb2.DiffResponse.DIFF_NONE
    return provider_pb2.DiffResponse(
        changes=changes_,
        replaces=replaces,
        diffs=diffs,
        detailedDiff={
            path: provider_pb2.PropertyDiff(kind=kind, inputDiff=True) for path, kind in detailed.items()
        },
        hasDetailedDiff=True,
        deleteBeforeReplace=delete_first,
    )
