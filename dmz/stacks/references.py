"""What one stack knows of another: the outputs of its last update."""

from __future__ import annotations

from collections.abc import Mapping
from ipaddress import IPv4Network
from typing import Annotated, Any, Final, Self

import pulumi
from pydantic import BaseModel, ConfigDict, StringConstraints, ValidationError
from pydantic.alias_generators import to_camel

from dmz.errors import InputError
from dmz.stacks.settings import stack_file

_LATER: Final = {"attestationPublicKey", "attestorServiceAccount", "attestationsBucket", "archiveBucket"}
"""Outputs that earlier versions of the outer side did not have."""


class OuterOutputs(BaseModel):
    """What the inner side takes from the outer one."""

    model_config = ConfigDict(frozen=True, alias_generator=to_camel)

    project: str
    location: str
    subnet: IPv4Network
    files_bucket: str
    sync_service_account: str
    """Email address."""
    attestation_public_key: Annotated[str, StringConstraints(pattern=r"^-----BEGIN PUBLIC KEY-----\n")]
    """PEM (RFC 7468) of the key that releases are signed with."""
    attestor_service_account: str
    """Email address of who signs them."""
    attestations_bucket: str
    archive_bucket: str
    """Keeps what was ever admitted, by content."""

    @classmethod
    async def read(cls, stack: str) -> Self:
        """Read them through a `StackReference` to `stack` (`organization/project/stack`).

        Raises:
            InputError: there is no such stack, or it was not brought up.
        """
        where = f"{stack_file()}: dmz:outerStack: "
        bring_up = f"bring the outer side up first: pulumi up -s {stack.rpartition('/')[2]}"
        # A reference to a missing stack ends the deployment in the engine's words; asked like this, the
        # engine only says no, and the program can say what to do.
        if await outputs_of(stack) is None:
            raise InputError(f"{where}there is no stack {stack}; {bring_up}")
        reference = pulumi.StackReference(stack)
        found = {
            name: (await reference.get_output_details(name)).value for name in map(to_camel, cls.model_fields)
        }
        try:
            return cls.model_validate({name: value for name, value in found.items() if value is not None})
        except ValidationError as error:
            name = ".".join(str(part) for part in error.errors()[0]["loc"])
            if name in _LATER and found[name] is None:
                raise InputError(
                    f"{where}the stack {stack} is of an earlier version, without the output '{name}'; "
                    f"bring the outer side up again: {bring_up.partition(': ')[2]}"
                ) from None
            raise InputError(f"{where}the stack {stack} has no usable output '{name}'; {bring_up}") from None


async def outputs_of(stack: str) -> Mapping[str, Any] | None:
    """The outputs of a stack's last update (empty before its first), or None where there is no such stack.

    This is the engine's own function behind `StackReference` (`pkg/resource/deploy/builtins.go`).
    """
    try:
        answer = await pulumi.runtime.invoke_async("pulumi:pulumi:readStackOutputs", {"name": stack})
    except Exception as error:
        if "unknown stack" in str(error):
            return None
        raise InputError(f"{stack_file()}: the stack {stack} can't be read: {error}") from None
    outputs: Mapping[str, Any] = answer["outputs"]
    return outputs


async def own_outputs() -> Mapping[str, Any]:
    """The outputs of this stack's own last update."""
    own = f"{pulumi.get_organization()}/{pulumi.get_project()}/{pulumi.get_stack()}"
    return await outputs_of(own) or {}
