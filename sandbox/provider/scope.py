"""What names and templates are resolved against: a resource's properties, and the provider's defaults."""

from __future__ import annotations

import re
import string
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any
from urllib.parse import quote

from sandbox.provider.errors import ProviderError
from sandbox.provider.values import Unknown


@dataclass(frozen=True)
class Defaults:
    """The provider's configuration: what resources take where they name no project, region or zone."""

    project: str = ""
    region: str = ""
    zone: str = ""

    def get(self, name: str) -> str:
        """The default for a property of that name; empty if there is none."""
        return {
            "project": self.project,
            "region": self.region,
            "location": self.region,
            "zone": self.zone,
        }.get(name, "")


@dataclass(frozen=True)
class Scope:
    """A resource's properties with the defaults behind them."""

    values: Mapping[str, Any]
    defaults: Defaults = field(default_factory=Defaults)
    endpoint: Callable[[str], str] = lambda service: f"https://{service}.googleapis.com/"
    """Where a service is served, by its name, with the API's base path."""

    def variable(self, name: str) -> str:
        """A property as the last part of a name: links and paths are taken too."""
        value = self.values.get(name) or self.defaults.get(name)
        if isinstance(value, Unknown):
            raise ProviderError(f"'{name}' is not known yet")
        if not value:
            raise ProviderError(f"'{name}' is not given")
        return last(str(value))

    def text(self, template: str) -> str:
        """A template with its variables filled in."""
        return template.format_map({name: self.variable(name) for name in variables(template)})

    def path(self, template: str) -> str:
        """The same for an address: what an address cannot hold is escaped."""
        return template.format_map(
            {name: quote(self.variable(name), safe=":@*.~-_") for name in variables(template)}
        )


def variables(template: str) -> list[str]:
    """The names in a template's braces."""
    return [name for _, name, _, _ in string.Formatter().parse(template) if name]


def parse(template: str, text: str) -> dict[str, str] | None:
    """The variables that make a text of a template, None if there are none."""
    pattern, seen = "", set[str]()
    for literal, name, _, _ in string.Formatter().parse(template):
        pattern += re.escape(literal)
        if name:
            pattern += f"(?P={name})" if name in seen else f"(?P<{name}>[^/]+?)"
            seen.add(name)
    match = re.fullmatch(pattern, text)
    return match.groupdict() if match else None


def last(link: str) -> str:
    """The name at the end of a link or path."""
    return link.rsplit("/", 1)[-1]


def relative(link: str) -> str:
    """A link from ``projects/`` on; anything else as it is."""
    at = link.rfind("projects/")
    return link[at:] if at >= 0 else link


def same_link(old: str, new: str) -> bool:
    """Whether two links, paths or names may mean the same resource (as the real provider compares them)."""
    if "/" in old and "/" in new:
        return relative(old) == relative(new)
    return last(old) == last(new)
