"""State that a service keeps for one running cloud beside the declared resources."""

from __future__ import annotations

import weakref
from collections.abc import Callable
from typing import Any, TypeVar

from sandbox.cloud.context import Cloud

T = TypeVar("T")

_states: dict[tuple[int, Any], Any] = {}


def attached(cloud: Cloud, kind: Callable[[Cloud], T]) -> T:
    """The one `kind` of this cloud: made at the first call, gone with the cloud."""
    key = (id(cloud), kind)
    if key not in _states:
        _states[key] = kind(cloud)
        weakref.finalize(cloud, _states.pop, key, None)
    state: T = _states[key]
    return state
