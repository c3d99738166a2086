"""What a provider is to the engine, whoever implements it."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Protocol

from sandbox.engine.errors import EngineError
from sandbox.engine.values import Properties


class ProviderError(EngineError):
    """A provider refused or failed an operation; the text is the provider's own."""


class PartialError(ProviderError):
    """A resource came to be but not quite; `id` and `properties` are what there is of it."""

    def __init__(self, reasons: list[str], id_: str, properties: Properties) -> None:
        super().__init__("\n".join(reasons) or "resource initialisation failed")
        self.reasons = reasons
        self.id = id_
        self.properties = properties


@dataclass(frozen=True)
class CheckFailure:
    """One reason why inputs are not valid."""

    property: str
    reason: str


@dataclass(frozen=True)
class Checked:
    """Inputs as the provider wants them, or why it cannot take them."""

    inputs: Properties
    failures: tuple[CheckFailure, ...] = ()


@dataclass(frozen=True)
class Diff:
    """What differs between a resource and its new inputs."""

    changed: bool | None
    """None: the provider does not know."""
    replaces: tuple[str, ...] = ()
    """Properties whose change needs a new resource."""
    properties: tuple[str, ...] = ()
    """Properties that changed."""
    detailed: dict[str, tuple[str, bool]] | None = None
    """By path: add, delete, update, add-replace, ...; and whether it is about inputs."""
    delete_before_replace: bool = False


@dataclass(frozen=True)
class Read:
    """A resource as it is now."""

    id: str
    """Empty: it does not exist."""
    outputs: Properties
    inputs: Properties | None
    """None: the provider does not say."""
    init_errors: list[str] = field(default_factory=list)


class Provider(Protocol):
    """The operations on one provider's resources; all raise `ProviderError`."""

    async def check(
        self, urn: str, olds: Properties, news: Properties, *, preview: bool, seed: bytes
    ) -> Checked:
        """Validate inputs and fill in defaults."""
        ...

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
        """Compare."""
        ...

    async def create(
        self, urn: str, inputs: Properties, *, preview: bool, limit: float
    ) -> tuple[str, Properties]:
        """Create; id and outputs."""
        ...

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
        """Update in place; outputs."""
        ...

    async def delete(
        self, urn: str, id_: str, inputs: Properties, outputs: Properties, *, limit: float
    ) -> None:
        """Delete."""
        ...

    async def read(
        self, urn: str, id_: str, inputs: Properties, outputs: Properties, *, limit: float
    ) -> Read:
        """Look at what is there."""
        ...

    async def invoke(
        self, token: str, args: Properties, *, preview: bool
    ) -> tuple[Properties, tuple[CheckFailure, ...]]:
        """Call a function."""
        ...


class ConfigurableProvider(Provider, Protocol):
    """A provider that a provider resource stands for."""

    async def check_config(self, urn: str, olds: Properties, news: Properties) -> Checked:
        """Validate the provider's own configuration."""
        ...

    async def diff_config(
        self, urn: str, old_inputs: Properties, old_outputs: Properties, news: Properties
    ) -> Diff:
        """Compare the provider's own configuration."""
        ...

    async def configure(self, urn: str, id_: str, inputs: Properties) -> None:
        """Make the provider ready; it is not asked for resources before."""
        ...

    async def cancel(self) -> None:
        """Ask the provider to stop what it is doing."""
        ...

    async def close(self) -> None:
        """End the provider."""
        ...
