"""The configuration of the stack that is being deployed, as Pulumi gives it to the program."""

from __future__ import annotations

from pathlib import Path, PurePosixPath

import pulumi
from pulumi.runtime.config import CONFIG, get_config_env

from dmz.config import Settings, parse
from dmz.errors import InputError


def load() -> Settings:
    """The configuration of the stack that is being deployed.

    Raises:
        InputError: as `parse` does.
    """
    config = pulumi.Config("dmz")
    keys = [
        name.removeprefix("dmz:") for name in {**get_config_env(), **CONFIG.get()} if name.startswith("dmz:")
    ]
    values = {key: text for key in keys if (text := config.get(key)) is not None}
    return parse(values, stack_file())


def in_checkout(key: str, path: PurePosixPath) -> Path:
    """A configured path, relative to the folder of `Pulumi.yaml`, which is where Pulumi runs the program.

    Raises:
        InputError: a symbolic link leads it out of the checkout.
    """
    root = Path.cwd().resolve()
    if not (root / path).resolve().is_relative_to(root):
        raise InputError(
            f"{stack_file()}: dmz:{key}: '{path}' leads out of the checkout; write a path inside it"
        )
    return Path(path)


def stack_file() -> str:
    """The file that configures the stack that is being deployed, for messages."""
    return f"Pulumi.{pulumi.get_stack()}.yaml"
