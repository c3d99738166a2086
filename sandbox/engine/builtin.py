"""The provider of the package `pulumi` that the engine is itself: references to other stacks.

Source: `pkg/resource/deploy/builtins.go` (pulumi/pulumi).
"""

from __future__ import annotations

from collections.abc import Callable

from sandbox.engine import urn as urns
from sandbox.engine import values
from sandbox.engine.providers import Checked, CheckFailure, Diff, ProviderError, Read
from sandbox.engine.state import Resource
from sandbox.engine.values import Properties

STACK_REFERENCE = "pulumi:pulumi:StackReference"
READ_OUTPUTS = "pulumi:pulumi:readStackOutputs"
GET_RESOURCE = "pulumi:pulumi:getResource"


class BuiltinProvider:
    """Reads the outputs of stacks, and the resources of this run."""

    def __init__(
        self, read_outputs: Callable[[str], Properties], find_resource: Callable[[str], Resource | None]
    ) -> None:
        self._read_outputs = read_outputs
        self._find_resource = find_resource

    async def check_config(self, urn: str, olds: Properties, news: Properties) -> Checked:
        """See `ConfigurableProvider`."""
        return Checked({})

    async def diff_config(
        self, urn: str, old_inputs: Properties, old_outputs: Properties, news: Properties
    ) -> Diff:
        """See `ConfigurableProvider`."""
        return Diff(False)

    async def configure(self, urn: str, id_: str, inputs: Properties) -> None:
        """See `ConfigurableProvider`."""

    async def cancel(self) -> None:
        """See `ConfigurableProvider`."""

    async def close(self) -> None:
        """See `ConfigurableProvider`."""

    def _refuse(self, urn: str) -> ProviderError:
        return ProviderError(f"resource type {urns.type_of(urn)!r} is not implemented by the embedded engine")

    async def check(
        self, urn: str, olds: Properties, news: Properties, *, preview: bool, seed: bytes
    ) -> Checked:
        """See `Provider`."""
        raise self._refuse(urn)

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
        raise self._refuse(urn)

    async def create(
        self, urn: str, inputs: Properties, *, preview: bool, limit: float
    ) -> tuple[str, Properties]:
        """See `Provider`."""
        raise self._refuse(urn)

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
        raise self._refuse(urn)

    async def delete(
        self, urn: str, id_: str, inputs: Properties, outputs: Properties, *, limit: float
    ) -> None:
        """See `Provider`."""
        raise self._refuse(urn)

    async def read(
        self, urn: str, id_: str, inputs: Properties, outputs: Properties, *, limit: float
    ) -> Read:
        """See `Provider`."""
        if urns.type_of(urn) != STACK_REFERENCE:
            raise self._refuse(urn)
        if unknown := sorted(inputs.keys() - {"name"}):
            raise ProviderError(f"stack reference has the unknown property {unknown[0]!r}")
        return Read(id_, self._reference(inputs), inputs)

    def _reference(self, inputs: Properties) -> Properties:
        name = values.plain(inputs.get("name"))
        if not isinstance(name, str):
            raise ProviderError("a stack reference needs the property 'name'")
        outputs = self._read_outputs(name)
        secrets = sorted(key for key, value in outputs.items() if values.has_secrets(value))
        return {"name": name, "outputs": outputs, "secretOutputNames": secrets}

    async def invoke(
        self, token: str, args: Properties, *, preview: bool
    ) -> tuple[Properties, tuple[CheckFailure, ...]]:
        """See `Provider`."""
        if token == READ_OUTPUTS:
            return self._reference(args), ()
        if token == GET_RESOURCE:
            name = str(args.get("urn"))
            resource = self._find_resource(name)
            if resource is None:
                raise ProviderError(f"unknown resource {name}")
            return {"urn": name, "id": resource.id, "state": resource.outputs or {}}, ()
        raise ProviderError(f"function {token!r} is not implemented by the embedded engine")
