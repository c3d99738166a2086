"""What both sides are about, from the checkout: the workload, and the base image that it runs on."""

from __future__ import annotations

from dataclasses import dataclass

from dmz.config import Settings
from dmz.errors import InputError
from dmz.promotion import workload as workloads
from dmz.promotion.base_image import BaseImage, base_image, base_images
from dmz.promotion.workload import Workload
from dmz.stacks.settings import in_checkout, stack_file


@dataclass(frozen=True)
class Target:
    """A workload and its base image."""

    workload: Workload
    base_image: BaseImage


def read_target(settings: Settings) -> Target:
    """Read the workload file and find the base image of the machine's runtime.

    Raises:
        InputError: one of them is no good, or they don't belong together.
    """
    try:
        images = base_images(settings.base_images)
    except InputError as error:
        raise InputError(f"{stack_file()}: {error}") from None
    if settings.runtime not in images:
        raise InputError(
            f"{stack_file()}: dmz:runtime: nobody described '{settings.runtime}'; write one of "
            f"{', '.join(sorted(images))}, or describe it under dmz:baseImages"
        )
    workload = workloads.read(in_checkout("workload", settings.workload))
    if workload.base_image != settings.runtime:
        raise InputError(
            f"{stack_file()}: dmz:workload: {settings.workload} is made for the base image "
            f"'{workload.base_image}', but dmz:runtime is '{settings.runtime}'; make the two the same"
        )
    return Target(workload, base_image(settings.runtime, images))
