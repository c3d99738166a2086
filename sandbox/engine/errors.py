"""Errors a person can act on: one clear line each, with the exit code the command line ends with."""

from __future__ import annotations

EXIT_ERROR = 1
EXIT_CONFIGURATION = 2
EXIT_STACK_NOT_FOUND = 6
EXIT_NO_CHANGES = 7
EXIT_CANCELLED = 8


class EngineError(Exception):
    """A refusal or failure; its text is what the person reads."""

    exit_code = EXIT_ERROR


class ConfigurationError(EngineError):
    """A flag, file or configuration value that cannot be used."""

    exit_code = EXIT_CONFIGURATION


class StackNotFoundError(EngineError):
    """The named stack does not exist; the wording is the one that `pulumi.automation` recognises."""

    exit_code = EXIT_STACK_NOT_FOUND

    def __init__(self, name: str) -> None:
        super().__init__(f"no stack named '{name}' found")


class ChangesError(EngineError):
    """`--expect-no-changes` was given and there were some."""

    exit_code = EXIT_NO_CHANGES


class CancelledError(EngineError):
    """The person interrupted the run or declined it."""

    exit_code = EXIT_CANCELLED


class BailError(EngineError):
    """The run failed and has already said why."""
