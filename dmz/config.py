"""The stack configuration, typed: an unsafe one does not parse.

Every key is `dmz:<name>` in `Pulumi.<stack>.yaml`; `Pulumi.yaml` has the schema with the same defaults.
What two stacks have to agree on (their ranges, projects, location) is compared where both are known, by
`check_apart`.
"""

from __future__ import annotations

import difflib
import json
import re
from collections.abc import Mapping
from enum import StrEnum
from ipaddress import IPv4Address, IPv4Network, IPv6Address
from pathlib import PurePosixPath
from typing import Annotated, Any, Final, Protocol

from pydantic import (
    AfterValidator,
    BaseModel,
    BeforeValidator,
    ConfigDict,
    Field,
    StrictBool,
    StringConstraints,
    ValidationError,
    ValidationInfo,
    field_validator,
)
from pydantic.alias_generators import to_camel
from pydantic_core import ErrorDetails

from dmz.components.accelerators import LISTED, zones
from dmz.components.members import attestor, operator
from dmz.components.ranges import RANGES
from dmz.errors import InputError
from dmz.promotion.wording import printable

_RFC1918: Final = tuple(IPv4Network(text) for text in ("10.0.0.0/8", "172.16.0.0/12", "192.168.0.0/16"))
_LINE: Final = 500
"""Characters that a message may have, whatever the value was."""
_STACK: Final = re.compile(r"[\w.-]+/[\w.-]+/[\w.-]+")


class Side(StrEnum):
    """Which of the two programs a stack runs."""

    OUTER = "outer"
    INNER = "inner"


def _in_checkout(path: PurePosixPath) -> PurePosixPath:
    if path.is_absolute() or ".." in path.parts or path == PurePosixPath("."):
        raise ValueError(
            f"'{path}' would leave the checkout; write a path relative to Pulumi.yaml, without '..'"
        )
    return path


def _network(value: object) -> IPv4Network:
    try:
        return IPv4Network(value)
    except ValueError:
        raise ValueError(f"'{value}' is no IPv4 range; write it like 10.0.0.0/24, host bits zero") from None


def _pattern(pattern: str) -> StringConstraints:
    return StringConstraints(pattern=f"^{pattern}$")


_Text = Annotated[str, StringConstraints(min_length=1)]
_PathInside = Annotated[PurePosixPath, AfterValidator(_in_checkout)]
_Network = Annotated[IPv4Network, BeforeValidator(_network)]


class _Model(BaseModel):
    model_config = ConfigDict(
        frozen=True, extra="forbid", alias_generator=to_camel, validate_by_name=True, validate_default=True
    )


class Probes(_Model):
    """What the egress probes try to reach; if it doesn't answer the outer machine, a probe proves nothing."""

    address: IPv4Address = Field(examples=["203.0.113.1"])
    port: Annotated[int, Field(ge=1, le=65535)] = Field(7, examples=[7])
    """Of TCP on both addresses, of UDP on the first; 7 is echo (RFC 862)."""
    address6: IPv6Address = Field(examples=["2001:db8::1"])
    name: Annotated[str, _pattern(r"[a-z0-9-]+(\.[a-z0-9-]+)+")] = Field(examples=["probe.example.com"])
    """Has A, AAAA and TXT records, also for any name below it (a wildcard)."""

    def targets(self) -> list[dict[str, str]]:
        """Each probe with its target, as the machine's settings list them."""
        return [
            {"name": "tcp", "target": f"{self.address}:{self.port}"},
            {"name": "udp", "target": f"{self.address}:{self.port}"},
            {"name": "icmp", "target": str(self.address)},
            {"name": "dns-a", "target": self.name},
            {"name": "dns-aaaa", "target": self.name},
            {"name": "dns-txt", "target": self.name},
            {"name": "ipv6", "target": f"[{self.address6}]:{self.port}"},
            {"name": "metadata-name", "target": self.name},
        ]


class Settings(_Model):
    """One stack's configuration. The order of the fields matters: a check may look at those before it."""

    side: Side = Field(examples=["outer"])
    project: Annotated[str, _pattern(r"[a-z][a-z0-9-]{4,28}[a-z0-9]")] = Field(examples=["my-project"])
    location: Annotated[str, _pattern(r"[a-z]+-[a-z]+[0-9]+")] = Field(
        "us-central1", examples=["us-central1"]
    )
    accelerator_type: Annotated[str, _pattern(r"v[0-9]+[a-z]*-[0-9]+")] = Field("v3-8", examples=["v3-8"])
    allow_unlisted_zone: StrictBool = False
    zone: Annotated[str, _pattern(r"[a-z]+-[a-z]+[0-9]+-[a-z]")] = Field(
        "us-central1-a", examples=["us-central1-a"]
    )
    subnet: _Network = Field(examples=["10.0.0.0/24"])
    external_ipv6: StrictBool = False
    outer_stack: str = ""
    operators: tuple[Annotated[str, AfterValidator(operator)], ...] = ()
    attestors: tuple[Annotated[str, AfterValidator(attestor)], ...] = ()
    """Who may sign releases. None: nobody can, and no release passes."""
    attestation_key_version: Annotated[int, Field(ge=1)] = Field(1, examples=[1])
    """Which version of the key signs and is trusted."""
    kept_releases: Annotated[int, Field(ge=1, le=1000)] = Field(10, examples=[10])
    """How many of the newest releases of each inner stack and workload the archive keeps."""
    workload: _PathInside = PurePosixPath("workloads/small.toml")
    releases: _PathInside = PurePosixPath("releases")
    policy: _PathInside = PurePosixPath("policy.toml")
    waivers: _PathInside = PurePosixPath("waivers")
    runtime: _Text = Field("tpu-ubuntu2204-base", examples=["tpu-ubuntu2204-base"])
    base_images: tuple[dict[str, Any], ...] = ()
    """As written; `dmz.promotion.base_image` gives them their type."""
    spot: StrictBool = True
    adopt: StrictBool = False
    withdraw_on_delete: StrictBool = False
    probes: Probes | None = Field(
        None, examples=["{address: 203.0.113.1, address6: '2001:db8::1', name: probe.example.com}"]
    )
    """None: no probe runs, and so nothing shows that the seal holds."""

    @field_validator("probes", mode="before")
    @classmethod
    def _empty_probes(cls, value: object) -> object:
        return None if value == {} else value

    @field_validator("zone")
    @classmethod
    def _zone(cls, zone: str, info: ValidationInfo) -> str:
        location = info.data.get("location")
        if location and zone.rpartition("-")[0] != location:
            raise ValueError(f"'{zone}' is not in dmz:location {location}; write a zone like {location}-a")
        accelerator = info.data.get("accelerator_type")
        if accelerator and not info.data.get("allow_unlisted_zone") and zone not in zones(accelerator):
            known = ", ".join(sorted(zones(accelerator)))
            write = f"write one of {known}" if known else "write another dmz:acceleratorType"
            raise ValueError(
                f"'{zone}' has no {accelerator} by Google's list of {LISTED}; {write}, or set "
                "dmz:allowUnlistedZone: true if Google has it there now"
            )
        return zone

    @field_validator("subnet")
    @classmethod
    def _subnet(cls, subnet: IPv4Network) -> IPv4Network:
        for taken, use in ((RANGES.restricted, "Google's restricted addresses"), (RANGES.iap, "IAP")):
            if subnet.overlaps(taken):
                raise ValueError(f"{subnet} overlaps {taken}, which is {use}; write a range like 10.0.0.0/24")
        if not any(subnet.subnet_of(private) for private in _RFC1918):
            raise ValueError(f"{subnet} is public; write a private range (RFC 1918) like 10.0.0.0/24")
        if subnet.prefixlen > 29:
            raise ValueError(f"{subnet} is too small for a subnet; write a /29 or a larger range")
        return subnet

    @field_validator("external_ipv6")
    @classmethod
    def _external_ipv6(cls, value: bool, info: ValidationInfo) -> bool:
        if value and info.data.get("side") is Side.INNER:
            raise ValueError("an inner side has no external addresses; remove it, or write false")
        return value

    @field_validator("outer_stack")
    @classmethod
    def _outer_stack(cls, stack: str, info: ValidationInfo) -> str:
        side = info.data.get("side")
        if side is Side.INNER and not _STACK.fullmatch(stack):
            raise ValueError(
                f"'{stack}' names no stack, and an inner side needs its outer one; "
                "write organization/project/stack, for example organization/dmz/outer"
            )
        if side is Side.OUTER and stack:
            raise ValueError("an outer side reads no other stack; remove it, or write dmz:side: inner")
        return stack

    @field_validator("attestation_key_version")
    @classmethod
    def _key_version(cls, version: int, info: ValidationInfo) -> int:
        if version != 1 and info.data.get("side") is Side.INNER:
            raise ValueError("the key belongs to the outer side; set it in the outer stack's file")
        return version

    @field_validator("kept_releases")
    @classmethod
    def _kept_releases(cls, kept: int, info: ValidationInfo) -> int:
        if kept != cls.model_fields["kept_releases"].default and info.data.get("side") is Side.INNER:
            raise ValueError("the archive belongs to the outer side; set it in the outer stack's file")
        return kept

    @field_validator("operators", "attestors")
    @classmethod
    def _outside(cls, members: tuple[str, ...], info: ValidationInfo) -> tuple[str, ...]:
        if members and info.data.get("side") is Side.INNER:
            raise ValueError(
                "the accounts that people act as belong to the outer side; set them in the outer stack's file"
            )
        return members

    @field_validator("adopt", "withdraw_on_delete")
    @classmethod
    def _of_the_sync(cls, value: bool, info: ValidationInfo) -> bool:
        if value and info.data.get("side") is Side.OUTER:
            raise ValueError("it tells the sync what to do, and an outer side has none; remove it")
        return value


def parse(values: Mapping[str, str], file: str) -> Settings:
    """The typed configuration from `values`, by key without `dmz:`, each as Pulumi hands it out: a text.

    Raises:
        InputError: names the key of `file`, what is wrong with it and what to write instead.
    """
    known = [to_camel(name) for name in Settings.model_fields]
    for key in sorted(set(values) - set(known)):
        near = difflib.get_close_matches(key, known, 1)
        hint = f"did you mean dmz:{near[0]}?" if near else f"remove it; the keys are {', '.join(known)}"
        raise InputError(f"{file}: dmz:{printable(key, 80)}: there is no such key; {hint}")
    try:
        return Settings.model_validate({key: _decode(text) for key, text in values.items()})
    except ValidationError as error:
        raise InputError(printable(f"{file}: {_explain(error.errors()[0])}", _LINE)) from None


class Neighbour(Protocol):
    """What the inner side has to be apart from: the outer side's configuration, or its outputs."""

    @property
    def project(self) -> str: ...  # noqa: D102
    @property
    def location(self) -> str: ...  # noqa: D102
    @property
    def subnet(self) -> IPv4Network: ...  # noqa: D102


def check_apart(inner: Settings, outer: Neighbour, file: str) -> None:
    """Whether the two sides can stand beside each other.

    Raises:
        InputError: names the key of `file`, the inner side's, and what to write instead.
    """
    if inner.project == outer.project:
        raise InputError(
            f"{file}: dmz:project: '{inner.project}' is the outer side's project; write another one"
        )
    if inner.location != outer.location:
        raise InputError(
            f"{file}: dmz:location: '{inner.location}' is not the outer side's, {outer.location}; "
            "write the same on both sides"
        )
    if inner.subnet.overlaps(outer.subnet):
        raise InputError(
            f"{file}: dmz:subnet: {inner.subnet} overlaps the outer side's {outer.subnet}; "
            "write a range that doesn't, like 10.0.1.0/24"
        )


def _decode(text: str) -> object:
    """Undo what Pulumi does to a value that is no text: it hands out booleans and structures as JSON."""
    if text in ("true", "false") or text.startswith(("[", "{")):
        try:
            return json.loads(text)
        except ValueError:
            return text
    return text


def _explain(error: ErrorDetails) -> str:
    """One of pydantic's findings in words for the person who has to act."""
    path, given = [to_camel(str(part)) for part in error["loc"]], printable(str(error["input"]), 80)
    key = "dmz:" + ".".join(path)
    example = _example(path)
    write = f"write a value like {example}" if example else "see Pulumi.yaml for what it takes"
    match error["type"]:
        case "value_error":
            return f"{key}: {error['ctx']['error']}"
        case "missing":
            return f"{key}: is missing; {write}"
        case "extra_forbidden":
            return f"{key}: there is no such key; remove it"
        case "enum":
            return f"{key}: '{given}' is neither; write {error['ctx']['expected']}"
        case "bool_type":
            return f"{key}: '{given}' is neither true nor false; write one of them"
        case "string_pattern_mismatch":
            return f"{key}: '{given}' does not have the right form; {write}"
        case _:
            return f"{key}: '{given}' will not do: {error['msg']}; {write}"


def _example(path: list[str]) -> object:
    model: type[BaseModel] = Probes if path[0] == "probes" and len(path) > 1 else Settings
    for name, field in model.model_fields.items():
        if to_camel(name) == path[-1] and field.examples:
            return field.examples[0]
    return None
