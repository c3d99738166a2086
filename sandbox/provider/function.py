"""A row of the table of functions: what a program reads without declaring it."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from sandbox.provider.fields import Failure, Fields, check
from sandbox.provider.rest import Api
from sandbox.provider.values import Props


@dataclass(frozen=True, kw_only=True)
class Function:
    """A function, its arguments and the calls that it takes."""

    token: str
    """Pulumi's name, for example ``gcp:kms/getKMSCryptoKeyVersion:getKMSCryptoKeyVersion``."""
    fields: Fields
    """Its arguments."""
    call: Callable[[Api, Props], Props]
    """The calls; gets checked arguments and returns what the program sees."""

    def invoke(self, api: Api, given: Props) -> tuple[Props, list[Failure]]:
        """What the program sees, and what is wrong with the arguments; nothing is called if anything is."""
        arguments, failures = check(self.fields, given)
        return ({}, failures) if failures else (self.call(api, arguments), [])
