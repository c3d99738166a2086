"""What happens during a run, in the form of the event log (`sdk/go/common/apitype/events.go`, pulumi/pulumi).

Every listener gets the same JSON-ready events; secrets are masked before an event is made.
"""

from __future__ import annotations

import json
import queue
import threading
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Protocol

import grpc  # type: ignore[import-untyped,unused-ignore]
from pulumi.runtime.proto import events_pb2, events_pb2_grpc

from sandbox.engine import urn as urns
from sandbox.engine import values
from sandbox.engine.errors import ConfigurationError
from sandbox.engine.providers import Diff
from sandbox.engine.state import Resource

Event = dict[str, Any]
Listener = Callable[[Event], None]

SAME = "same"
CREATE = "create"
UPDATE = "update"
DELETE = "delete"
REPLACE = "replace"
CREATE_REPLACEMENT = "create-replacement"
DELETE_REPLACED = "delete-replaced"
READ = "read"
REFRESH = "refresh"
DISCARD = "discard"
DISCARD_REPLACED = "discard-replaced"
REMOVE_PENDING = "remove-pending-replace"


@dataclass(eq=False)
class Step:
    """One thing done to one resource."""

    op: str
    old: Resource | None
    new: Resource | None
    diff: Diff = field(default_factory=lambda: Diff(False))
    logical: bool = True
    """Whether it is an operation of its own, or a part of a replacement."""

    @property
    def resource(self) -> Resource:
        """The new state, or the old one where there is no new."""
        resource = self.new or self.old
        assert resource is not None
        return resource

    @property
    def urn(self) -> str:
        """The resource's name."""
        return self.resource.urn

    @property
    def internal(self) -> bool:
        """Whether the step is not shown."""
        return urns.is_default_provider(self.urn)


def _state(resource: Resource | None) -> dict[str, Any] | None:
    if resource is None:
        return None
    result: dict[str, Any] = {
        "type": resource.type,
        "urn": resource.urn,
        "custom": resource.custom,
        "id": resource.id,
        "parent": resource.parent,
        "inputs": values.masked(resource.inputs),
        "outputs": values.masked(resource.outputs or {}),
        "provider": resource.provider,
    }
    if resource.delete:
        result["delete"] = True
    if resource.protect:
        result["protect"] = True
    if resource.retain_on_delete:
        result["retainOnDelete"] = True
    if resource.external:
        result["external"] = True
    if resource.init_errors:
        result["initErrors"] = resource.init_errors
    return result


def metadata(step: Step, op: str | None = None) -> dict[str, Any]:
    """A step as events describe it."""
    detailed = step.diff.detailed
    return {
        "op": op or step.op,
        "urn": step.urn,
        "type": step.resource.type,
        "old": _state(step.old),
        "new": _state(step.new),
        "keys": list(step.diff.replaces),
        "diffs": list(step.diff.properties),
        "detailedDiff": detailed
        and {path: {"diffKind": kind, "inputDiff": inputs} for path, (kind, inputs) in detailed.items()},
        "logical": step.logical,
        "provider": step.resource.provider,
    }


class Events:
    """Numbers events and hands them to the listeners, in order."""

    def __init__(self, listeners: list[Listener]) -> None:
        self._listeners = listeners
        self._sequence = 0

    def emit(self, kind: str, content: dict[str, Any]) -> None:
        """Tell of an event, `resourcePreEvent`, `summaryEvent`, ..."""
        event: Event = {"sequence": self._sequence, "timestamp": int(time.time()), kind: content}
        self._sequence += 1
        for listener in self._listeners:
            listener(event)

    def diagnostic(self, severity: str, message: str, urn: str = "", *, ephemeral: bool = False) -> None:
        """Tell of a message: debug, info, info#err, warning or error."""
        content: dict[str, Any] = {"message": message, "color": "never", "severity": severity}
        if severity in ("warning", "error"):
            content["prefix"] = f"{severity}: "
        if urn:
            content["urn"] = urn
        if ephemeral:
            content["ephemeral"] = True
        self.emit("diagnosticEvent", content)


class EventLog(Protocol):
    """Where `--event-log` sends the events."""

    def __call__(self, event: Event) -> None:
        """Write one event."""

    def close(self) -> None:
        """Write no more."""


def open_event_log(target: str) -> EventLog:
    """A file of JSON lines, or with `tcp://HOST:PORT` a `pulumirpc.Events` service."""
    return _Stream(target.removeprefix("tcp://")) if target.startswith("tcp://") else _File(Path(target))


class _File:
    def __init__(self, path: Path) -> None:
        try:
            self._file = path.open("a", encoding="utf-8")
        except OSError as error:
            raise ConfigurationError(f"--event-log {path}: {error.strerror}") from error

    def __call__(self, event: Event) -> None:
        self._file.write(json.dumps(event) + "\n")
        self._file.flush()

    def close(self) -> None:
        self._file.close()


class _Stream:
    """Sends from a thread of its own, so that a slow reader does not hold up the run."""

    def __init__(self, address: str) -> None:
        self._queue: queue.SimpleQueue[Event | None] = queue.SimpleQueue()
        self._channel = grpc.insecure_channel(address)
        self._thread = threading.Thread(target=self._send, daemon=True)
        self._thread.start()

    def _requests(self) -> Iterator[Any]:
        while (event := self._queue.get()) is not None:
            yield events_pb2.EventRequest(event=json.dumps(event))

    def _send(self) -> None:
        try:
            stub: Any = events_pb2_grpc.EventsStub(self._channel)
            stub.StreamEvents(self._requests())
        except grpc.RpcError as error:
            # the run goes on without its log; saying so is all there is to do
            print(f"warning: --event-log: {error}", flush=True)

    def __call__(self, event: Event) -> None:
        self._queue.put(event)

    def close(self) -> None:
        self._queue.put(None)
        self._thread.join(10)
        self._channel.close()
