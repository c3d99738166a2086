"""The two stacks of a checkout as the workflow sees them: configuration, outputs, and what they name."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass, replace
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any, Self

import yaml

from dmz import config
from dmz.errors import InputError
from dmz.promotion import workload as workloads
from dmz.promotion.base_image import BaseImage, base_image, base_images
from dmz.promotion.workload import Workload

if TYPE_CHECKING:  # every command has an estate, and few need these, which take long to import
    from dmz.automation import Stack
    from dmz.promotion.policy import Policy
    from dmz.promotion.waivers import Waivers


@dataclass(frozen=True)
class Estate:
    """A checkout of this program and the names of its two stacks."""

    folder: Path
    """Where `Pulumi.yaml` is."""
    outer_name: str = "outer"
    inner_name: str = "inner"
    chosen: Path | None = None
    """The workload file that is meant, from the folder; None: the one that the inner stack's machine runs."""

    @cached_property
    def outer(self) -> Stack:
        """The outer stack; made by the first operation when there is none yet."""
        return self._stack(self.outer_name)

    @cached_property
    def inner(self) -> Stack:
        """The inner stack; made by the first operation when there is none yet."""
        return self._stack(self.inner_name)

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
        """The workload that is meant: the one that the inner stack runs, unless another was chosen."""
        return workloads.read(self.folder / (self.chosen or self.inner_settings.workload))

    @cached_property
    def base_image(self) -> BaseImage:
        """The base image that it runs on."""
        return base_image(self.inner_settings.runtime, base_images(self.inner_settings.base_images))

    @cached_property
    def policy(self) -> Policy:
        """What may enter."""
        from dmz.promotion.policy import Policy

        return Policy.read(self.folder / self.inner_settings.policy)

    @cached_property
    def waivers(self) -> Waivers:
        """What somebody accepted for a time."""
        from dmz.promotion.waivers import Waivers

        return Waivers.read(self.folder / self.inner_settings.waivers)

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
        for path in (inner.workload, inner.releases, inner.policy, inner.waivers):
            if not (self.folder / path).resolve().is_relative_to(self.folder.resolve()):
                raise InputError(f"{file}: '{path}' leads out of the checkout; write a path inside it")
        if self.workload.base_image != self.base_image.runtime:
            raise InputError(
                f"{file}: dmz:workload: {inner.workload} is made for the base image "
                f"'{self.workload.base_image}', but dmz:runtime is '{inner.runtime}'; make the two the same"
            )

    def of_workload(self, file: Path | None) -> Self:
        """This estate with another workload file; None for the same.

        A stack has releases of several workloads side by side; its machine runs one of them.

        Raises:
            InputError: it is no workload for this stack, or has the name of the stack's own.
        """
        if (
            file is None
            or (self.folder / file).resolve() == (self.folder / self.inner_settings.workload).resolve()
        ):
            return self
        other = replace(self, chosen=file)
        if not (self.folder / file).resolve().is_relative_to(self.folder.resolve()):
            raise InputError(
                f"--workload {file} is not in the checkout; a release is reviewed with its workload"
            )
        if other.workload.name == self.workload.name:
            raise InputError(
                f"{file} and {self.inner_settings.workload} are both called '{self.workload.name}', and so "
                "would be their lock files; give one another name"
            )
        if other.workload.base_image != self.base_image.runtime:
            raise InputError(
                f"{file} is made for the base image '{other.workload.base_image}', and the outer stack has "
                f"the suites of '{self.base_image.runtime}'; use a stack of that base image"
            )
        return other

    def check_policy(self) -> None:
        """Whether the policy and the waivers are fit to screen by.

        Raises:
            InputError: one of them is not.
        """
        _ = self.policy, self.waivers

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

    def _stack(self, name: str) -> Stack:
        from dmz.automation import Stack

        return Stack(name, self.folder)

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
