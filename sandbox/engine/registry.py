"""The providers of a run, by the provider resource that stands for each.

A provider resource is itself managed like any other: checked, compared, created and updated here.
Source: `pkg/resource/deploy/providers/registry.go` (pulumi/pulumi).
"""

from __future__ import annotations

import uuid
from collections.abc import Awaitable, Callable

from sandbox.engine import urn as urns
from sandbox.engine import values
from sandbox.engine.providers import (
    Checked,
    CheckFailure,
    ConfigurableProvider,
    Diff,
    ProviderError,
    Read,
)
from sandbox.engine.state import Resource
from sandbox.engine.values import Properties

_INTERNAL = "__internal"
_UNCONFIGURED = "unconfigured"

Load = Callable[[str], Awaitable[ConfigurableProvider]]
"""Starts the provider of a package."""


def with_version(inputs: Properties, version: str) -> Properties:
    """The inputs of a provider resource that asks for a version of its plugin."""
    return {**inputs, _INTERNAL: inputs.get(_INTERNAL, {}), "version": version} if version else inputs


def _configuration(inputs: Properties) -> Properties:
    return {key: value for key, value in inputs.items() if key != _INTERNAL}


class Registry:
    """Providers by reference (URN and id), and the operations on provider resources."""

    def __init__(self, load: Load) -> None:
        self._load = load
        self._providers: dict[tuple[str, str], ConfigurableProvider] = {}

    def find(self, reference: str) -> ConfigurableProvider | None:
        """The configured provider that a reference names."""
        return self._providers.get(urns.split_reference(reference))

    async def _start(self, urn: str) -> ConfigurableProvider:
        return await self._load(urns.provider_package(urns.type_of(urn)))

    async def check(
        self, urn: str, olds: Properties, news: Properties, *, preview: bool, seed: bytes
    ) -> Checked:
        """Start the provider and have it check its configuration."""
        provider = await self._start(urn)
        try:
            checked = await provider.check_config(urn, _configuration(olds), _configuration(news))
        except BaseException:
            await provider.close()
            raise
        if checked.failures:
            await provider.close()
            return checked
        self._providers[urn, _UNCONFIGURED] = provider
        inputs = dict(checked.inputs)
        for key in ("version", _INTERNAL):
            if key in news:
                inputs.setdefault(key, news[key])
        return Checked(inputs)

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
        """Have the provider compare its configuration."""
        provider = self._providers.get((urn, _UNCONFIGURED)) or self._providers[urn, id_]
        new = _configuration(news)
        diff = await provider.diff_config(urn, _configuration(old_inputs), old_outputs, new)
        if diff.changed is None:
            return Diff(not values.equal(values.plain(old_outputs), values.plain(new)), diff.replaces)
        return diff

    async def create(
        self, urn: str, inputs: Properties, *, preview: bool, limit: float
    ) -> tuple[str, Properties]:
        """Configure the provider under a new id."""
        provider = self._providers.pop((urn, _UNCONFIGURED), None) or await self._start(urn)
        id_ = values.UNKNOWN_STRING if preview else str(uuid.uuid4())
        configuration = _configuration(inputs)
        self._providers[urn, id_] = provider
        await provider.configure(urn, id_, configuration)
        return id_, configuration

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
        """Configure the provider anew under its id; one that runs with the old configuration is ended."""
        provider = self._providers.pop((urn, _UNCONFIGURED))
        former = self._providers.pop((urn, id_), None)
        self._providers[urn, id_] = provider
        configuration = _configuration(news)
        await provider.configure(urn, id_, configuration)
        if former is not None:
            await former.close()
        return configuration

    async def same(self, resource: Resource, *, checked: bool) -> None:
        """Have the provider of an unchanged resource ready; `checked`: the one that `check` started."""
        key = (resource.urn, resource.id)
        if key in self._providers:
            return
        provider = self._providers.pop((resource.urn, _UNCONFIGURED), None) if checked else None
        provider = provider or await self._start(resource.urn)
        self._providers[key] = provider
        await provider.configure(resource.urn, resource.id, _configuration(resource.inputs))

    async def delete(
        self, urn: str, id_: str, inputs: Properties, outputs: Properties, *, limit: float
    ) -> None:
        """End the provider."""
        provider = self._providers.pop((urn, id_), None)
        if provider is not None:
            await provider.close()

    async def read(
        self, urn: str, id_: str, inputs: Properties, outputs: Properties, *, limit: float
    ) -> Read:
        """Provider resources cannot be read."""
        raise ProviderError("provider resources may not be read")

    async def invoke(
        self, token: str, args: Properties, *, preview: bool
    ) -> tuple[Properties, tuple[CheckFailure, ...]]:
        """The registry has no functions."""
        raise ProviderError("the provider registry is not invokable")

    async def cancel(self) -> None:
        """Ask all providers to stop what they are doing."""
        for provider in list(self._providers.values()):
            await provider.cancel()

    async def close(self) -> None:
        """End all providers."""
        providers = list(self._providers.values())
        self._providers.clear()
        for provider in providers:
            await provider.close()
