"""Artifact Registry: its data planes for pip, uv, twine and apt, and the REST methods behind them."""

from __future__ import annotations

from sandbox.cloud.artifact_registry.apt_host import KEY_PATH, application_apt
from sandbox.cloud.artifact_registry.artifacts import Artifacts
from sandbox.cloud.artifact_registry.methods import OVERRIDES
from sandbox.cloud.artifact_registry.python_host import application_python
from sandbox.cloud.artifact_registry.quota import charge_method
from sandbox.cloud.context import Cloud
from sandbox.cloud.options import Options
from sandbox.cloud.storage.attached import attached

__all__ = [
    "KEY_PATH",
    "OVERRIDES",
    "Options",
    "application_apt",
    "application_python",
    "charge_method",
    "forget_repository",
]


def forget_repository(cloud: Cloud, name: str) -> None:
    """Drop what a deleted repository (`projects/P/locations/L/repositories/R`) held."""
    attached(cloud, Artifacts).catalog.forget(name)
