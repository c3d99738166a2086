"""The services that a running program talks to: `pulumirpc.ResourceMonitor` and `pulumirpc.Engine`.

Source: `proto/pulumi/resource.proto`, `proto/pulumi/engine.proto`, `pkg/resource/deploy/source_eval.go`
(pulumi/pulumi).
"""

from __future__ import annotations

import asyncio
import re
from collections.abc import Callable
from typing import Any, Final

import grpc  # type: ignore[import-untyped,unused-ignore]
import grpc.aio  # type: ignore[import-untyped,unused-ignore]
from google.protobuf import empty_pb2
from pulumi.runtime.proto import engine_pb2, engine_pb2_grpc, provider_pb2, resource_pb2, resource_pb2_grpc

from sandbox.engine import urn as urns
from sandbox.engine import values
from sandbox.engine.backend import ORGANIZATION
from sandbox.engine.deployment import AbortedError, Deployment, Goal, ReadGoal
from sandbox.engine.errors import EngineError
from sandbox.engine.events import Events
from sandbox.engine.plugins import CHANNEL_OPTIONS, DYNAMIC_PACKAGE
from sandbox.engine.project import ConfigValue
from sandbox.engine.registry import with_version
from sandbox.engine.values import Properties

_FEATURES: Final = {
    "secrets": resource_pb2.RESOURCE_MONITOR_FEATURE_SECRETS,
    "resourceReferences": resource_pb2.RESOURCE_MONITOR_FEATURE_RESOURCE_REFERENCES,
    "deletedWith": resource_pb2.RESOURCE_MONITOR_FEATURE_DELETED_WITH,
}
# Options of a registration that are refused: field of the request, name that programs know it by.
_REFUSED: Final = {
    "remote": "remote components",
    "importId": "import_",
    "replace_with": "replace_with",
    "replacement_trigger": "replacement_trigger",
    "transforms": "transforms",
    "state_migrations": "state_migrations",
    "hideDiffs": "hide_diffs",
    "envVarMappings": "env_var_mappings",
    "packageRef": "parameterized packages",
    "pluginDownloadURL": "plugin_download_url",
    "pluginChecksums": "plugin checksums",
    "snippetId": "snippets",
}
_DURATION_PART: Final = re.compile(r"(\d+(?:\.\d+)?)(ns|us|µs|ms|s|m|h)")
_UNIT_SECONDS: Final = {"ns": 1e-9, "us": 1e-6, "µs": 1e-6, "ms": 1e-3, "s": 1.0, "m": 60.0, "h": 3600.0}


def seconds(duration: str) -> float:
    """A duration in Go's form, `1h30m`, in seconds."""
    parts = _DURATION_PART.findall(duration)
    if not parts or "".join(number + unit for number, unit in parts) != duration:
        raise EngineError(f"custom timeout {duration!r} is not a duration such as 10m or 1h30m")
    return float(sum(float(number) * _UNIT_SECONDS[unit] for number, unit in parts))


class Monitor(resource_pb2_grpc.ResourceMonitorServicer):
    """Hands what the program registers to the deployment."""

    def __init__(self, deployment: Deployment, config: dict[str, ConfigValue], parallel: int) -> None:
        self._deployment = deployment
        self._config = config
        self._parallel = parallel
        self._goals: dict[str, Goal] = {}
        self._component_providers: dict[str, dict[str, str]] = {}
        self._defaults: dict[tuple[str, str], asyncio.Task[str]] = {}
        self.program_done = asyncio.Event()
        """Set when the program registers nothing more."""
        self.finished = asyncio.Event()
        """Set when the deployment is over and the program may end."""

    # About the run

    async def SupportsFeature(self, request: Any, context: Any) -> Any:  # noqa: N802 - as the service has it
        """Whether a feature is there."""
        return resource_pb2.SupportsFeatureResponse(hasSupport=request.id in _FEATURES)

    async def GetDeploymentInfo(self, request: Any, context: Any) -> Any:  # noqa: N802
        """What the program may know of the run."""
        return resource_pb2.DeploymentInfo(
            project=self._deployment.project,
            stack=self._deployment.stack,
            organization=ORGANIZATION,
            config={key: value.text for key, value in self._config.items()},
            configSecretKeys=[key for key, value in self._config.items() if value.secret],
            dryRun=self._deployment.preview,
            parallel=self._parallel,
            supportedFeatures=list(_FEATURES.values()),
        )

    async def SignalAndWaitForShutdown(self, request: Any, context: Any) -> Any:  # noqa: N802
        """The program has registered everything; it waits until all is done."""
        self.program_done.set()
        await self.finished.wait()
        return empty_pb2.Empty()

    # Resources

    async def RegisterResource(self, request: Any, context: Any) -> Any:  # noqa: N802
        """Bring a resource to what the program asks."""
        try:
            goal = await self._goal(request)
            resource = await self._deployment.register(goal)
        except AbortedError:
            await context.abort(grpc.StatusCode.UNAVAILABLE, "resource monitor shut down")
            raise
        except EngineError as error:
            await self._fail(context, str(error), self._name_for_error(request))
            raise
        self._goals[resource.urn] = goal
        if not request.custom:
            inherited = self._component_providers.get(request.parent, {})
            self._component_providers[resource.urn] = {**inherited, **dict(request.providers)}
        outputs = (resource.outputs or {}) if request.custom else {}
        return resource_pb2.RegisterResourceResponse(
            urn=resource.urn,
            id=""
            if resource.id == values.UNKNOWN_STRING and not urns.is_provider(resource.type)
            else resource.id,
            object=values.to_struct(
                outputs, secrets=request.acceptSecrets, references=request.acceptResources
            ),
        )

    def _name_for_error(self, request: Any) -> str:
        return urns.make(
            self._deployment.stack, self._deployment.project, request.parent, request.type, request.name
        )

    async def _fail(self, context: Any, message: str, urn: str) -> None:
        self._deployment.fail(message, urn)
        await context.abort(grpc.StatusCode.UNAVAILABLE, "resource monitor shut down")

    async def _goal(self, request: Any) -> Goal:
        set_fields = {descriptor.name for descriptor, _ in request.ListFields()}
        for name, option in _REFUSED.items():
            if name in set_fields:
                raise EngineError(f"resource option {option} is not implemented by the embedded engine")
        if any(value for _, value in request.hooks.ListFields()):
            raise EngineError("resource option hooks is not implemented by the embedded engine")
        aliases = list(request.aliasURNs)
        for alias in request.aliases:
            if not alias.urn:
                raise EngineError("resource option aliases: alias specifications are not implemented")
            aliases.append(alias.urn)
        parent = self._goals.get(request.parent)
        inputs = values.from_struct(request.object)
        dependencies = list(request.dependencies)
        properties = {key: sorted(item.urns) for key, item in request.propertyDependencies.items()}
        if not properties and dependencies:
            properties = {key: sorted(dependencies) for key in inputs}
        provider = ""
        if urns.is_provider(request.type):
            inputs = with_version(inputs, request.version)
        elif request.custom:
            provider = await self._provider(request, request.type, parent)
        timeouts = request.customTimeouts
        return Goal(
            type=request.type,
            name=request.name,
            custom=request.custom,
            inputs=inputs,
            parent=request.parent,
            provider=provider,
            dependencies=dependencies,
            property_dependencies=properties or None,
            protect=request.protect if request.HasField("protect") else bool(parent and parent.protect),
            delete_before_replace=request.deleteBeforeReplace
            if request.deleteBeforeReplaceDefined or request.deleteBeforeReplace
            else None,
            ignore_changes=list(request.ignoreChanges),
            replace_on_changes=list(request.replaceOnChanges),
            additional_secret_outputs=list(request.additionalSecretOutputs),
            aliases=aliases,
            custom_timeouts={
                operation: seconds(getattr(timeouts, operation))
                for operation in ("create", "update", "delete", "read")
                if getattr(timeouts, operation)
            },
            retain_on_delete=request.retainOnDelete
            if request.HasField("retainOnDelete")
            else bool(parent and parent.retain_on_delete),
            deleted_with=request.deletedWith or (parent.deleted_with if parent else ""),
        )

    async def _provider(self, request: Any, type_: str, parent: Goal | None) -> str:
        """The provider that a registration, a read or an invoke names, inherits or gets by default."""
        package = urns.package_of(type_)
        if request.provider:
            return str(request.provider)
        inherited = self._component_providers.get(request.parent, {}).get(package)
        if inherited:
            return inherited
        if parent is not None and parent.provider:
            urn = urns.split_reference(parent.provider)[0]
            if urns.provider_package(urns.type_of(urn)) == package and not urns.is_default_provider(urn):
                return parent.provider
        return await self._default_provider(package, request.version)

    async def _default_provider(self, package: str, version: str) -> str:
        key = package, version
        if key not in self._defaults:
            self._defaults[key] = asyncio.create_task(self._register_default(package, version))
        return await asyncio.shield(self._defaults[key])

    async def _register_default(self, package: str, version: str) -> str:
        suffix = "_" + re.sub(r"[.+-]", "_", version) if version else ""
        goal = Goal(
            type=urns.provider_type(package),
            name=f"default{suffix}",
            custom=True,
            inputs=with_version(self._package_config(package), version),
        )
        resource = await self._deployment.register(goal)
        return f"{resource.urn}::{resource.id}"

    def _package_config(self, package: str) -> Properties:
        """The configuration of a package; dynamic providers get the whole one, with full keys."""
        result: Properties = {}
        for key, value in self._config.items():
            namespace, _, name = key.partition(":")
            if package != DYNAMIC_PACKAGE and namespace != package:
                continue
            content = values.Secret(value.text) if value.secret else value.text
            result[key if package == DYNAMIC_PACKAGE else name] = content
        return result

    async def RegisterResourceOutputs(self, request: Any, context: Any) -> Any:  # noqa: N802
        """Take the outputs of a component or of the stack."""
        try:
            await self._deployment.register_outputs(request.urn, values.from_struct(request.outputs))
        except AbortedError:
            await context.abort(grpc.StatusCode.UNAVAILABLE, "resource monitor shut down")
        except EngineError as error:
            await self._fail(context, str(error), request.urn)
        return empty_pb2.Empty()

    async def ReadResource(self, request: Any, context: Any) -> Any:  # noqa: N802
        """Read a resource that the stack does not manage."""
        try:
            if request.packageRef or request.pluginDownloadURL:
                raise EngineError("parameterized packages are not implemented by the embedded engine")
            goal = ReadGoal(
                type=request.type,
                name=request.name,
                id=request.id,
                inputs=values.from_struct(request.properties),
                parent=request.parent,
                provider=await self._provider(request, request.type, self._goals.get(request.parent)),
                dependencies=list(request.dependencies),
                additional_secret_outputs=list(request.additionalSecretOutputs),
            )
            resource = await self._deployment.read(goal)
        except AbortedError:
            await context.abort(grpc.StatusCode.UNAVAILABLE, "resource monitor shut down")
            raise
        except EngineError as error:
            await self._fail(context, str(error), self._name_for_error(request))
            raise
        return resource_pb2.ReadResourceResponse(
            urn=resource.urn,
            properties=values.to_struct(
                resource.outputs or {}, secrets=request.acceptSecrets, references=request.acceptResources
            ),
        )

    async def Invoke(self, request: Any, context: Any) -> Any:  # noqa: N802
        """Call a function of a provider."""
        try:
            if request.packageRef or request.pluginDownloadURL:
                raise EngineError("parameterized packages are not implemented by the embedded engine")
            reference = await self._provider(request, request.tok, self._goals.get(request.parent))
            provider = self._deployment.registry.find(reference)
            if provider is None:
                raise EngineError(f"unknown provider '{reference}' for function '{request.tok}'")
            result, failures = await provider.invoke(
                request.tok, values.from_struct(request.args), preview=self._deployment.preview
            )
        except AbortedError:
            await context.abort(grpc.StatusCode.UNAVAILABLE, "resource monitor shut down")
            raise
        except EngineError as error:
            message = f"invocation of {request.tok} returned an error: {error}"
            await context.abort(grpc.StatusCode.UNKNOWN, message)
            raise
        response = resource_pb2.ResourceInvokeResponse(
            failures=[
                provider_pb2.CheckFailure(property=item.property, reason=item.reason) for item in failures
            ]
        )
        struct = values.to_struct(result, secrets=True, references=request.acceptResources)
        getattr(response, "return").CopyFrom(struct)
        return response

    # What is refused

    async def _refuse(self, context: Any, what: str) -> Any:
        message = f"{what} are not implemented by the embedded engine"
        self._deployment.fail(message)
        await context.abort(grpc.StatusCode.UNIMPLEMENTED, message)

    async def Call(self, request: Any, context: Any) -> Any:  # noqa: N802
        """Refused."""
        return await self._refuse(context, f"methods of resources ({request.tok})")

    async def RegisterStackTransform(self, request: Any, context: Any) -> Any:  # noqa: N802
        """Refused."""
        return await self._refuse(context, "resource transforms")

    async def RegisterStackInvokeTransform(self, request: Any, context: Any) -> Any:  # noqa: N802
        """Refused."""
        return await self._refuse(context, "invoke transforms")

    async def RegisterResourceHook(self, request: Any, context: Any) -> Any:  # noqa: N802
        """Refused."""
        return await self._refuse(context, "resource hooks")

    async def RegisterErrorHook(self, request: Any, context: Any) -> Any:  # noqa: N802
        """Refused."""
        return await self._refuse(context, "error hooks")

    async def RegisterPackage(self, request: Any, context: Any) -> Any:  # noqa: N802
        """Refused."""
        return await self._refuse(context, f"parameterized packages ({request.name})")


_SDK_FAREWELL: Final = "Resource monitor has terminated"
_SEVERITIES: Final = {
    engine_pb2.DEBUG: "debug",
    engine_pb2.INFO: "info",
    engine_pb2.WARNING: "warning",
    engine_pb2.ERROR: "error",
}


class EngineLog(engine_pb2_grpc.EngineServicer):
    """Takes the messages of programs and providers."""

    def __init__(self, events: Events, on_error: Callable[[], None], over: Callable[[], bool]) -> None:
        """`on_error` is called for an error; `over` tells whether the run has been aborted."""
        self._events = events
        self._on_error = on_error
        self._over = over
        self._root = ""

    async def Log(self, request: Any, context: Any) -> Any:  # noqa: N802
        """Show a message; an error fails the run."""
        if self._over() and request.message.startswith(_SDK_FAREWELL):
            return empty_pb2.Empty()  # the person has been told why
        severity = _SEVERITIES[request.severity]
        self._events.diagnostic(severity, request.message, request.urn, ephemeral=request.ephemeral)
        if severity == "error":
            self._on_error()
        return empty_pb2.Empty()

    async def GetRootResource(self, request: Any, context: Any) -> Any:  # noqa: N802
        """The stack's URN."""
        return engine_pb2.GetRootResourceResponse(urn=self._root)

    async def SetRootResource(self, request: Any, context: Any) -> Any:  # noqa: N802
        """Remember the stack's URN."""
        self._root = request.urn
        return engine_pb2.SetRootResourceResponse()

    async def StartDebugging(self, request: Any, context: Any) -> Any:  # noqa: N802
        """Refused."""
        await context.abort(
            grpc.StatusCode.UNIMPLEMENTED, "debugging is not implemented by the embedded engine"
        )

    async def RequirePulumiVersion(self, request: Any, context: Any) -> Any:  # noqa: N802
        """Refused."""
        message = "require_pulumi_version is not implemented by the embedded engine"
        await context.abort(grpc.StatusCode.UNIMPLEMENTED, message)


async def serve(monitor: Monitor | None, log: EngineLog) -> tuple[grpc.aio.Server, str]:
    """Serve both on a local port; the server and its address."""
    server = grpc.aio.server(options=CHANNEL_OPTIONS)
    if monitor is not None:
        resource_pb2_grpc.add_ResourceMonitorServicer_to_server(monitor, server)  # type: ignore[no-untyped-call,unused-ignore]
    engine_pb2_grpc.add_EngineServicer_to_server(log, server)  # type: ignore[no-untyped-call,unused-ignore]
    port = server.add_insecure_port("127.0.0.1:0")
    await server.start()
    return server, f"127.0.0.1:{port}"
