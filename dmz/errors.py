"""What every refusal of this project has: one line for a person, and what to do about it."""

from __future__ import annotations


class DmzError(Exception):
    """Something a person has to act on; its text is one line that says where, what and how to mend it."""

    def __init__(self, message: str) -> None:
        # It may quote what somebody else wrote: nothing in it may command a terminal.
        line = " ".join(message.split())
        super().__init__("".join(each if each.isprintable() else "?" for each in line))


class InputError(DmzError):
    """Configuration or a file is missing, unreadable or unsafe. Nothing was changed."""


class RefusedError(DmzError):
    """The policy or a check said no: nothing that was refused went anywhere."""


class TransferError(DmzError):
    """A copy did not end as approved: wrong bytes, or a service that kept failing."""

    def __init__(self, message: str, *, busy: bool = False, wait: float = 0.0) -> None:
        """`busy`: the service asked to be driven less hard; `wait`: for how many seconds it asked."""
        super().__init__(message)
        self.busy = busy
        self.wait = wait
