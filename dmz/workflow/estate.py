"""The two stacks of a checkout as the workflow sees them: configuration, outputs, and what they name."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

import yaml

from dmz import config
from dmz.automation import Stack
from dmz.errors import InputError
from dmz.promotion import workload as workloads
from dmz.promotion.base_image import BaseImage, base_image, base_images
from dmz.promotion.workload import Workload


@dataclass(frozen=True)
class Estate:
    """A checkout of this program and the names of its two stacks."""

    folder: Path
    """Where `Pulumi.yaml` is."""
    outer_name: str = "outer"
    inner_name: str = "inner"

    @cached_property
    def outer(self) -> Stack:
        """The outer stack; made by the first operation when there is none yet."""
        return Stack(self.outer_name, self.folder)

    @cached_property
    def inner(self) -> Stack:
        """The inner stack; made by the first operation when there is none yet."""
        return Stack(self.inner_name, self.folder)

    @cached_property
    def outer_settings(self) -> config.Settings:
        """The outer stack's configuration.

        Raises:
            InputError: it does not parse.
        """
        return self._settings(self.outer_name)

    @cached_property
    def inner_settings(self) -> config.Settings:
        """The inner stack's configuration.

        Raises:
            InputError: it does not parse.
        """
        return self._settings(self.inner_name)

    @cached_property
    def workload(self) -> Workload:
        """The workload that the inner stack runs."""
        return workloads.read(self.folder / self.inner_settings.workload)

    @cached_property
    def base_image(self) -> BaseImage:
        """The base image that it runs on."""
        return base_image(self.inner_settings.runtime, base_images(self.inner_settings.base_images))

    @property
    def releases(self) -> Path:
        """The folder of the lock files."""
        return self.folder / self.inner_settings.releases

    def check(self) -> None:
        """Whether both sides' configuration, the workload and the base image are fit to begin with.

        The programs check the same, each when its turn comes; by then the other side may be up.

        Raises:
            InputError: one of them is no good, or the two sides don't belong together.
        """
        outer, inner, file = self.outer_settings, self.inner_settings, f"Pulumi.{self.inner_name}.yaml"
        config.check_apart(inner, outer, file)
        named = inner.outer_stack.rpartition("/")[2]
        if named != self.outer_name:
            raise InputError(
                f"{file}: dmz:outerStack: '{inner.outer_stack}' is not the stack '{self.outer_name}'; "
                f"write it with /{self.outer_name} at its end, or call dmz --outer {named}"
            )
        for key, here, there in (
            ("workload", inner.workload, outer.workload),
            ("runtime", inner.runtime, outer.runtime),
        ):
            if here != there:
                raise InputError(
                    f"{file}: dmz:{key}: '{here}' is not the outer side's, '{there}'; "
                    "write the same on both sides"
                )
        for path in (inner.workload, inner.releases):
            if not (self.folder / path).resolve().is_relative_to(self.folder.resolve()):
                raise InputError(f"{file}: '{path}' leads out of the checkout; write a path inside it")
        if self.workload.base_image != self.base_image.runtime:
            raise InputError(
                f"{file}: dmz:workload: {inner.workload} is made for the base image "
                f"'{self.workload.base_image}', but dmz:runtime is '{inner.runtime}'; make the two the same"
            )

    def outer_outputs(self) -> Mapping[str, Any]:
        """What the outer stack says of itself.

        Raises:
            InputError: it is not up.
        """
        return self._outputs(self.outer)

    def inner_outputs(self) -> Mapping[str, Any]:
        """What the inner stack says of itself.

        Raises:
            InputError: it is not up.
        """
        return self._outputs(self.inner)

    def _outputs(self, stack: Stack) -> Mapping[str, Any]:
        found = stack.outputs()
        if "side" not in found:
            raise InputError(f"stack {stack.name} is not up; run: pulumi up -s {stack.name} (or dmz run)")
        return found

    def _settings(self, stack: str) -> config.Settings:
        file = f"Pulumi.{stack}.yaml"
        try:
            document = yaml.safe_load((self.folder / file).read_text(encoding="utf-8")) or {}
        except FileNotFoundError:
            raise InputError(f"{file}: there is no such file in {self.folder}; write it first") from None
        except (OSError, UnicodeDecodeError, yaml.YAMLError) as error:
            raise InputError(f"{file}: unreadable ({error}); it must be YAML") from None
        values = document.get("config") if isinstance(document, dict) else None
        if not isinstance(values, dict):
            raise InputError(f"{file}: there is no config; write the keys that Pulumi.yaml describes")
        return config.parse(
            {
                # Pulumi hands every value to the program as a text; so does this.
                key.removeprefix("dmz:"): value if isinstance(value, str) else json.dumps(value)
                for key, value in values.items()
                if key.startswith("dmz:")
            },
            file,
        )
