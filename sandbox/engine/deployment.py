"""A run: decides for each resource what has to be done, does it, and keeps the state.

The order of decisions, the requests to providers and the resulting state are those of the CLI's engine
(`pkg/resource/deploy/step_generator.go`, `step.go`, `deployment_executor.go`, pulumi/pulumi). One
registration
at a time is decided; what was decided is done concurrently, up to `parallel` operations at once.
"""

from __future__ import annotations

import asyncio
import os
from collections import Counter
from collections.abc import Callable, Coroutine, Iterable
from dataclasses import dataclass, field, replace
from typing import Any, Final

from sandbox.engine import events as ev
from sandbox.engine import urn as urns
from sandbox.engine import values
from sandbox.engine.differences import matches_path, object_diff, reset_path
from sandbox.engine.errors import BailError, EngineError
from sandbox.engine.events import Events, Step
from sandbox.engine.providers import CheckFailure, Diff, PartialError, Provider
from sandbox.engine.registry import Registry
from sandbox.engine.state import Journal, Resource, Snapshot, dependents, now
from sandbox.engine.values import Properties

_OPERATIONS: Final = {
    ev.CREATE: "creating",
    ev.CREATE_REPLACEMENT: "creating",
    ev.UPDATE: "updating",
    ev.DELETE: "deleting",
    ev.DELETE_REPLACED: "deleting",
    ev.DISCARD: "deleting",
    ev.DISCARD_REPLACED: "deleting",
    ev.READ: "reading",
}
_ID_WARNING: Final = "The 'id' property cannot be made secret."


@dataclass
class Goal:
    """What a program asks a resource to be."""

    type: str
    name: str
    custom: bool
    inputs: Properties = field(default_factory=dict)
    parent: str = ""
    provider: str = ""
    dependencies: list[str] = field(default_factory=list)
    property_dependencies: dict[str, list[str]] | None = None
    protect: bool = False
    delete_before_replace: bool | None = None
    """None: as the provider says."""
    ignore_changes: list[str] = field(default_factory=list)
    replace_on_changes: list[str] = field(default_factory=list)
    additional_secret_outputs: list[str] = field(default_factory=list)
    aliases: list[str] = field(default_factory=list)
    custom_timeouts: dict[str, float] = field(default_factory=dict)
    retain_on_delete: bool = False
    deleted_with: str = ""
    source_position: str = ""


@dataclass
class ReadGoal:
    """A resource that a program wants to read, not manage."""

    type: str
    name: str
    id: str
    inputs: Properties
    parent: str
    provider: str
    dependencies: list[str]
    additional_secret_outputs: list[str]
    source_position: str = ""


class AbortedError(Exception):
    """The run has failed or was cancelled; what was asked for is not done any more."""


class Deployment:
    """One preview, update, refresh or destruction of one stack."""

    def __init__(
        self,
        *,
        project: str,
        stack: str,
        base: Snapshot,
        registry: Registry,
        events: Events,
        save: Callable[[Snapshot], None] | None,
        parallel: int,
    ) -> None:
        self.project = project
        self.stack = stack
        self.preview = save is None
        """Whether nothing is changed."""
        self.registry = registry
        self.events = events
        self.journal = Journal(base, save)
        self.base = base.resources
        self.olds = {resource.urn: resource for resource in self.base if not resource.delete}
        self.news: dict[str, Resource] = {}
        self.changes: Counter[str] = Counter()
        self.failed = False
        self.cancelled = False
        self.aborted = asyncio.Event()
        self._deciding = asyncio.Lock()
        self._slots = asyncio.Semaphore(parallel)
        self._chains: set[asyncio.Task[None]] = set()
        # What was decided, by URN
        self._seen: set[str] = set()
        self._operated: set[str] = set()  # neither deleted nor still to come
        self._deletes: set[str] = set()
        self._replaces: set[str] = set()
        self._aliased: dict[str, str] = {}
        self._pending_deletes: set[int] = set()
        self._dependent_keys: dict[str, tuple[str, ...]] = {}
        self._waiting_outputs: dict[str, Step] = {}  # components whose outputs are not registered yet
        self._stack_outputs: Properties | None = None

    # Failing

    def fail(self, message: str, urn: str = "") -> None:
        """Report an error and start nothing new."""
        self.events.diagnostic("error", message, urn)
        self.failed = True
        self.aborted.set()

    def cancel(self) -> None:
        """Start nothing new, because a person said so."""
        self.cancelled = True
        self.aborted.set()

    def _check(self) -> None:
        if self.aborted.is_set():
            raise AbortedError

    async def _decide(self, urn: str, decision: Coroutine[Any, Any, list[Step]]) -> list[Step]:
        try:
            return await decision
        except BailError as error:
            self.failed = True
            self.aborted.set()
            raise AbortedError from error
        except EngineError as error:
            self.fail(str(error), urn)
            raise AbortedError from error

    # Registrations

    async def register(self, goal: Goal) -> Resource:
        """Bring a resource to what the program asks; the state it has then."""
        async with self._deciding:
            self._check()
            urn = self._urn(goal.parent, goal.type, goal.name)
            steps = await self._decide(urn, self._steps(goal, urn))
            chain = self._start(steps)
        await self._finish(chain)
        return self.news[urn]

    async def read(self, goal: ReadGoal) -> Resource:
        """Read a resource that the stack does not manage."""
        async with self._deciding:
            self._check()
            urn = self._urn(goal.parent, goal.type, goal.name)
            steps = await self._decide(urn, self._read_steps(goal, urn))
            chain = self._start(steps)
        await self._finish(chain)
        return self.news[urn]

    def _urn(self, parent: str, type_: str, name: str) -> str:
        return urns.make(self.stack, self.project, parent, type_, name)

    def _start(self, steps: list[Step]) -> asyncio.Task[None]:
        task = asyncio.create_task(self._chain(steps))
        self._chains.add(task)
        task.add_done_callback(self._retire)
        return task

    def _retire(self, chain: asyncio.Task[None]) -> None:
        self._chains.discard(chain)
        error = None if chain.cancelled() else chain.exception()
        if error is not None and not isinstance(error, AbortedError):
            self.fail(f"internal error: {error!r}")

    async def _finish(self, chain: asyncio.Task[None]) -> None:
        """Wait for a chain; when the run is aborted, who asked is let go and the chain goes on alone."""
        aborted = asyncio.create_task(self.aborted.wait())
        try:
            await asyncio.wait({chain, aborted}, return_when=asyncio.FIRST_COMPLETED)
        finally:
            aborted.cancel()
        if not chain.done():
            raise AbortedError
        chain.result()

    async def settle(self) -> None:
        """Wait until nothing is under way."""
        while self._chains:
            await asyncio.wait(set(self._chains))

    async def register_outputs(self, urn: str, outputs: Properties) -> None:
        """Take a component's outputs; the stack's own are kept until everything else is done."""
        self._check()
        if urns.qualified_type(urn) == urns.STACK_TYPE:
            self._stack_outputs = outputs
            return
        self._set_outputs(urn, outputs)

    def _set_outputs(self, urn: str, outputs: Properties) -> None:
        step = self._waiting_outputs.pop(urn, None)
        if step is None or step.new is None:
            raise EngineError(f"outputs of {urn} were registered, but not the resource")
        unchanged = step.old is not None and values.equal(step.old.outputs or {}, outputs)
        step.new.outputs = outputs
        self._emit_outputs(step, step.op)
        if not unchanged:
            self.journal.save()

    def finish_stack_outputs(self) -> None:
        """Set the stack's outputs; after a failure those of before stay where there are no new ones."""
        if self._stack_outputs is None:
            return
        urn = self._urn("", urns.STACK_TYPE, f"{self.project}-{self.stack}")
        if urn not in self._waiting_outputs:
            return
        outputs = self._stack_outputs
        if (self.failed or self.cancelled) and urn in self.olds:
            outputs = {**(self.olds[urn].outputs or {}), **outputs}
        self._set_outputs(urn, outputs)

    # Deciding

    def _claim(self, urn: str, parent: str) -> None:
        if parent and parent not in self._seen:
            raise EngineError(f"could not find parent resource {parent}")
        if urn in self._seen:
            raise EngineError(f"Duplicate resource URN '{urn}'; try giving it a unique name")
        self._seen.add(urn)

    def _find_old(self, urn: str, aliases: Iterable[str]) -> tuple[Resource | None, list[str]]:
        if urn in self._aliased:
            raise EngineError(f"Duplicate resource URN '{urn}': {self._aliased[urn]} has it as an alias")
        for name in (urn, *aliases):
            if name in self.olds:
                if name == urn:
                    return self.olds[name], []
                if name in self._seen or name in self._aliased:
                    raise EngineError(f"Duplicate resource alias '{name}' applied to resource '{urn}'")
                self._aliased[name] = urn
                return self.olds[name], [name]
        return None, []

    def _provider(self, resource: Resource) -> Provider | None:
        if not resource.custom:
            return None
        if urns.is_provider(resource.type):
            return self.registry
        provider = self.registry.find(resource.provider)
        if provider is None:
            raise EngineError(f"unknown provider '{resource.provider}' for resource '{resource.urn}'")
        return provider

    async def ensure_provider(self, resource: Resource) -> None:
        """Have the provider of a resource of the old state ready."""
        if not resource.provider or self.registry.find(resource.provider) is not None:
            return
        urn, id_ = urns.split_reference(resource.provider)
        for candidate in self.base:
            if candidate.urn == urn and candidate.id == id_:
                await self.registry.same(candidate, checked=False)
                return
        raise EngineError(f"the state has no provider '{resource.provider}' for resource '{resource.urn}'")

    async def _read_steps(self, goal: ReadGoal, urn: str) -> list[Step]:
        self._claim(urn, goal.parent)
        old, aliases = self._find_old(urn, ())
        if not goal.id:
            raise EngineError(f"{urn} cannot be read without an id")
        if old is not None and not old.external:
            raise EngineError(f"{urn} is managed by the stack: reading it instead is not implemented")
        new = Resource(
            urn=urn,
            type=goal.type,
            custom=True,
            id=goal.id,
            inputs=goal.inputs,
            outputs={},
            parent=goal.parent,
            provider=goal.provider,
            dependencies=sorted(goal.dependencies),
            external=True,
            additional_secret_outputs=goal.additional_secret_outputs,
            aliases=aliases,
            source_position=goal.source_position,
        )
        self._operated.add(urn)
        return [Step(ev.READ, old, new)]

    async def _steps(self, goal: Goal, urn: str) -> list[Step]:
        self._claim(urn, goal.parent)
        old, aliases = self._find_old(urn, goal.aliases)
        new = Resource(
            urn=urn,
            type=goal.type,
            custom=goal.custom,
            inputs=goal.inputs,
            parent=goal.parent,
            provider=goal.provider,
            dependencies=sorted(goal.dependencies),
            property_dependencies=goal.property_dependencies,
            protect=goal.protect,
            additional_secret_outputs=goal.additional_secret_outputs,
            aliases=aliases,
            custom_timeouts=goal.custom_timeouts,
            retain_on_delete=goal.retain_on_delete,
            deleted_with=goal.deleted_with,
            ignore_changes=goal.ignore_changes,
            replace_on_changes=goal.replace_on_changes,
            created=old.created if old else "",
            modified=old.modified if old else "",
            source_position=goal.source_position,
        )
        provider = self._provider(new)
        recreating = urn in self._deletes
        seed = os.urandom(32)
        if old is not None and not old.external and not recreating:
            new.inputs = self._ignoring(goal, urn, old)
        if provider is not None:
            fresh = old is None or old.external or recreating
            asked = goal.inputs if fresh else new.inputs
            olds = {} if fresh or old is None else old.inputs
            checked = await provider.check(urn, olds, asked, preview=self.preview, seed=seed)
            self._refuse_failures(new, checked.failures)
            new.inputs = checked.inputs

        if old is not None and recreating:
            self._deletes.discard(urn)
            return self._recreate(old, new, Diff(True, self._dependent_keys.get(urn, ())))
        if old is None:
            self._operated.add(urn)
            return [Step(ev.CREATE, None, new)]
        if old.external:
            self._operated.add(urn)
            return [
                Step(ev.CREATE_REPLACEMENT, old, new, logical=False),
                Step(ev.REPLACE, old, new),
            ]
        diff = await self._diff(goal, old, new, provider)
        return await self._steps_for_diff(goal, old, new, provider, diff, seed)

    def _ignoring(self, goal: Goal, urn: str, old: Resource) -> Properties:
        inputs, missed = goal.inputs, []
        for path in goal.ignore_changes:
            result = reset_path(path, old.inputs, inputs)
            if result is None:
                missed.append(path)
            else:
                inputs = result
        if missed:
            self.events.diagnostic(
                "info",
                f"cannot ignore changes in added or removed elements of the path: {', '.join(missed)}",
                urn,
            )
        return inputs

    def _refuse_failures(self, new: Resource, failures: tuple[CheckFailure, ...]) -> None:
        for failure in failures:
            text = f"{new.type} resource '{urns.name_of(new.urn)}'"
            if failure.property:
                value = new.inputs.get(failure.property)
                shown = "" if isinstance(value, dict | list | None) else f" value {values.masked(value)!r}"
                text += f": property {failure.property}{shown}"
            self.events.diagnostic("error", f"{text} has a problem: {failure.reason}", new.urn)
        if failures:
            raise BailError(f"resource {new.urn} is invalid")

    def _recreate(self, old: Resource, new: Resource, diff: Diff) -> list[Step]:
        self._replaces.add(new.urn)
        self._operated.add(new.urn)
        return [Step(ev.REPLACE, old, new, diff), Step(ev.CREATE_REPLACEMENT, old, new, diff, logical=False)]

    async def _diff(self, goal: Goal, old: Resource, new: Resource, provider: Provider | None) -> Diff:
        if goal.deleted_with in self._replaces:
            return Diff(True, ("deletedWith",))
        if await self._provider_changed(old, new):
            return Diff(True, ("provider",))
        if provider is None:
            return Diff(not values.equal(old.inputs, new.inputs))
        diff = await self._provider_diff(provider, old, new.inputs, goal.ignore_changes, preview=self.preview)
        return _with_replace_on_changes(diff, goal.replace_on_changes)

    async def _provider_diff(
        self, provider: Provider, old: Resource, news: Properties, ignore_changes: list[str], *, preview: bool
    ) -> Diff:
        diff = await provider.diff(
            old.urn,
            old.id,
            old.inputs,
            old.outputs or {},
            news,
            preview=preview,
            ignore_changes=ignore_changes,
        )
        if diff.changed is None:
            detailed = object_diff(values.plain(old.inputs), values.plain(news))
            if not detailed:
                return replace(diff, changed=False)
            keys = tuple(dict.fromkeys(path.split(".")[0].split("[")[0] for path in detailed))
            return replace(
                diff,
                changed=True,
                properties=keys,
                detailed={path: (kind, True) for path, kind in detailed.items()},
            )
        return diff

    async def _provider_changed(self, old: Resource, new: Resource) -> bool:
        if old.provider == new.provider:
            return False
        if not old.provider or not new.provider:
            return True
        old_urn, new_urn = urns.split_reference(old.provider)[0], urns.split_reference(new.provider)[0]
        if self._aliased.get(old_urn) == new_urn:
            return False
        provider = self.registry.find(new.provider)
        old_state, new_state = self.olds.get(old_urn), self.news.get(new_urn)
        if provider is None or old_state is None or new_state is None:
            raise EngineError(
                f"provider '{old.provider}' of resource '{new.urn}' cannot be compared with the new one"
            )
        hidden = {"__internal"}
        diff = await provider.diff_config(
            new_urn,
            {key: value for key, value in old_state.inputs.items() if key not in hidden},
            old_state.outputs or {},
            {key: value for key, value in new_state.inputs.items() if key not in hidden},
        )
        return bool(diff.changed is not False and diff.replaces)

    async def _steps_for_diff(
        self, goal: Goal, old: Resource, new: Resource, provider: Provider | None, diff: Diff, seed: bytes
    ) -> list[Step]:
        urn = new.urn
        if not diff.changed and not old.pending_replacement:
            self._operated.add(urn)
            return [Step(ev.UPDATE if old.init_errors else ev.SAME, old, new, diff)]
        if not diff.replaces and not old.pending_replacement:
            self._operated.add(urn)
            return [Step(ev.UPDATE, old, new, diff)]

        if new.protect and old.protect:
            message = (
                f"unable to replace resource {urn!r}\nas it is currently marked for protection. To "
                "unprotect the "
                "resource, remove the `protect` flag from the resource in your Pulumi program and "
                "run `pulumi up`"
            )
            self.events.diagnostic("error", message, urn)
            self.failed = True
            if not self.preview:
                raise BailError(message)
        if provider is not None:
            checked = await provider.check(urn, {}, goal.inputs, preview=self.preview, seed=seed)
            self._refuse_failures(new, checked.failures)
            new.inputs = checked.inputs
        before = (
            diff.delete_before_replace if goal.delete_before_replace is None else goal.delete_before_replace
        )
        if not before:
            self._replaces.add(urn)
            self._operated.add(urn)
            return [
                Step(ev.CREATE_REPLACEMENT, old, new, diff, logical=False),
                Step(ev.REPLACE, old, new, diff),
            ]
        return await self._delete_before_replace(old, new, diff)

    async def _delete_before_replace(self, old: Resource, new: Resource, diff: Diff) -> list[Step]:
        """Delete what cannot live on without the old resource, the old resource, and create it anew."""
        steps = []
        affected = await self._dependent_replacements(old)
        affected += [
            (resource, ())
            for resource in self.base
            if resource.deleted_with == old.urn and all(resource is not known for known, _ in affected)
        ]
        for dependent, keys in reversed(affected):
            if id(dependent) in self._pending_deletes:
                continue
            self._dependent_keys[dependent.urn] = keys
            if dependent.protect and not dependent.delete:
                message = (
                    f"unable to replace resource {dependent.urn!r} as part of replacing {old.urn!r} "
                    "as it is currently "
                    "marked for protection. To unprotect the resource, remove the `protect` flag "
                    "from the resource "
                    f"in your Pulumi program and run `pulumi up`"
                )
                self.events.diagnostic("error", message, dependent.urn)
                raise BailError(message)
            await self.ensure_provider(dependent)
            steps.append(Step(ev.DELETE_REPLACED, dependent, None, Diff(True, keys), logical=False))
            self._deletes.add(dependent.urn)
            self._pending_deletes.add(id(dependent))
        await self.ensure_provider(old)
        if not old.pending_replacement:
            self._deletes.add(old.urn)
            steps.append(Step(ev.DELETE_REPLACED, old, None, diff, logical=False))
        return [*steps, *self._recreate(old, new, diff)]

    async def _dependent_replacements(self, root: Resource) -> list[tuple[Resource, tuple[str, ...]]]:
        """Those that have to be replaced because something they depend on is, with the reasons."""
        replaced = {root.urn}
        result: list[tuple[Resource, tuple[str, ...]]] = []
        for candidate in dependents(self.base, root, self._operated | self._deletes):
            keys = await self._replacement_keys(candidate, replaced)
            if keys is not None:
                result.append((candidate, keys))
                replaced.add(candidate.urn)
        return result

    async def _replacement_keys(self, resource: Resource, replaced: set[str]) -> tuple[str, ...] | None:
        if not resource.custom or resource.external:
            return None
        if resource.provider and urns.split_reference(resource.provider)[0] in replaced:
            await self.ensure_provider(resource)
            return ()
        if resource.deleted_with in replaced:
            return ()
        dependencies = resource.property_dependencies or {}
        touched = {key for key in resource.inputs if replaced & set(dependencies.get(key, ()))}
        if not touched:
            return None
        inputs = {key: values.UNKNOWN if key in touched else value for key, value in resource.inputs.items()}
        if urns.is_provider(resource.type):
            await self.registry.same(resource, checked=False)
        else:
            await self.ensure_provider(resource)
        provider = self._provider(resource)
        assert provider is not None
        diff = await self._provider_diff(provider, resource, inputs, resource.ignore_changes, preview=True)
        diff = _with_replace_on_changes(diff, resource.replace_on_changes)
        return diff.replaces if diff.changed and diff.replaces else None

    # Doing

    async def _chain(self, steps: list[Step]) -> None:
        async with self._slots:
            for step in steps:
                if self.aborted.is_set():
                    raise AbortedError
                await self._execute(step)

    async def _execute(self, step: Step) -> None:
        if not step.internal:
            self.events.emit("resourcePreEvent", {"metadata": ev.metadata(step), "planning": self.preview})
        operation = _OPERATIONS.get(step.op)
        if operation:
            self.journal.begin(step.resource, operation)
        error: EngineError | None = None
        try:
            await self._apply(step)
        except EngineError as caught:
            error = caught
        except BaseException:
            self.journal.end(step.resource)
            raise
        if (
            step.new is not None
            and step.op != ev.REPLACE
            and (error is None or isinstance(error, PartialError))
        ):
            self._mark_secrets(step.new)
            self.news[step.urn] = step.new
        if operation:
            self.journal.end(step.resource)
        if error is None or isinstance(error, PartialError):
            self._record(step)
            if not step.resource.custom and step.logical and step.new is not None:
                self._waiting_outputs[step.urn] = step
        self._save_after(step)
        if error is not None:
            self.events.diagnostic("error", str(error), "" if step.internal else step.urn)
            if not step.internal:
                self.events.emit("resOpFailedEvent", {"metadata": ev.metadata(step), "status": 0, "steps": 0})
            self.failed = True
            self.aborted.set()
            raise AbortedError from error
        if step.logical and not step.internal and not _is_repeated_read(step):
            self.changes[step.op] += 1
        if step.resource.custom or step.op in (ev.DELETE, ev.DISCARD):
            self._emit_outputs(step, step.op)

    def _emit_outputs(self, step: Step, op: str) -> None:
        if not step.internal:
            self.events.emit("resOutputsEvent", {"metadata": ev.metadata(step, op), "planning": self.preview})

    def _save_after(self, step: Step) -> None:
        old, new = step.old, step.new
        if (
            step.op == ev.SAME
            and old is not None
            and new is not None
            and not urns.is_provider(new.type)
            and _without_order(old) == _without_order(new)
        ):
            return
        self.journal.save()

    def _record(self, step: Step) -> None:
        """Note in the journal what the step did."""
        old, new = step.old, step.new
        match step.op:
            case ev.SAME | ev.UPDATE | ev.READ:
                if old is not None:
                    self.journal.drop(old)
                if new is not None:
                    self.journal.add(new)
            case ev.CREATE | ev.CREATE_REPLACEMENT:
                assert new is not None
                self.journal.add(new)
                if old is not None and old.pending_replacement:
                    self.journal.drop(old)
            case ev.DELETE | ev.DELETE_REPLACED | ev.DISCARD | ev.DISCARD_REPLACED:
                assert old is not None
                if not old.pending_replacement:
                    self.journal.drop(old)
            case ev.REMOVE_PENDING:
                assert old is not None
                self.journal.drop(old)

    def _mark_secrets(self, new: Resource) -> None:
        outputs = dict(new.outputs or {})
        for key in new.additional_secret_outputs:
            if key == "id":
                self.events.diagnostic("warning", _ID_WARNING, new.urn)
            elif key in outputs:
                outputs[key] = values.secret(outputs[key])
        for key, value in outputs.items():
            if isinstance(new.inputs.get(key), values.Secret):
                outputs[key] = values.secret(value)
        if new.outputs is not None:
            new.outputs = outputs

    async def _apply(self, step: Step) -> None:
        match step.op:
            case ev.SAME:
                await self._apply_same(step)
            case ev.CREATE | ev.CREATE_REPLACEMENT:
                await self._apply_create(step)
            case ev.UPDATE:
                await self._apply_update(step)
            case ev.DELETE | ev.DELETE_REPLACED | ev.DISCARD | ev.DISCARD_REPLACED:
                await self._apply_delete(step)
            case ev.READ:
                await self._apply_read(step)

    async def _apply_same(self, step: Step) -> None:
        old, new = step.old, step.new
        assert old is not None
        assert new is not None
        new.id, new.outputs = old.id, old.outputs
        if urns.is_provider(new.type):
            configured = new.copy()
            configured.inputs = old.inputs
            await self.registry.same(configured, checked=True)

    async def _apply_create(self, step: Step) -> None:
        new = step.new
        assert new is not None
        provider = self._provider(new)
        partial: PartialError | None = None
        if provider is not None:
            try:
                new.id, new.outputs = await provider.create(
                    new.urn, new.inputs, preview=self.preview, limit=new.custom_timeouts.get("create", 0)
                )
            except PartialError as error:
                new.id, new.outputs, new.init_errors = error.id, error.properties, error.reasons
                partial = error
        new.created = new.modified = now()
        old = step.old
        if step.op == ev.CREATE_REPLACEMENT and old is not None and not old.pending_replacement:
            old.delete = True
        if partial is not None:
            raise partial

    async def _apply_update(self, step: Step) -> None:
        old, new = step.old, step.new
        assert old is not None
        assert new is not None
        new.id, new.outputs = old.id, old.outputs
        provider = self._provider(new)
        if provider is None:
            return
        try:
            new.outputs = await provider.update(
                new.urn,
                old.id,
                old.inputs,
                old.outputs or {},
                new.inputs,
                preview=self.preview,
                limit=new.custom_timeouts.get("update", 0),
                ignore_changes=new.ignore_changes,
            )
        except PartialError as error:
            # what exists was not made from the new inputs
            new.inputs, new.outputs, new.init_errors = old.inputs, error.properties, error.reasons
            new.modified = now()
            raise
        new.modified = now()

    async def _apply_delete(self, step: Step) -> None:
        old = step.old
        assert old is not None
        replacing = step.op in (ev.DELETE_REPLACED, ev.DISCARD_REPLACED)
        if old.protect and not replacing:
            raise EngineError(
                f"resource {old.urn!r} cannot be deleted\nbecause it is protected. To unprotect the "
                "resource, remove "
                "the `protect` flag from the resource in your Pulumi program and run `pulumi up`"
            )
        spared = old.external or old.retain_on_delete or old.deleted_with in self._deletes
        if not self.preview and not spared and old.custom:
            provider = self._provider(old)
            assert provider is not None
            await provider.delete(
                old.urn, old.id, old.inputs, old.outputs or {}, limit=old.custom_timeouts.get("delete", 0)
            )
        if replacing and not old.delete:
            old.pending_replacement = True

    async def _apply_read(self, step: Step) -> None:
        old, new = step.old, step.new
        assert new is not None
        if new.id == values.UNKNOWN_STRING:
            new.outputs = {}
            return
        provider = self._provider(new)
        assert provider is not None
        read = await provider.read(
            new.urn, new.id, new.inputs, new.inputs, limit=new.custom_timeouts.get("read", 0)
        )
        if not read.id:
            raise EngineError(f"resource '{new.id}' does not exist")
        new.id, new.outputs, new.init_errors = read.id, read.outputs, read.init_errors
        if old is not None:
            new.created, new.modified = old.created, old.modified
            unchanged = values.equal(old.inputs, new.inputs) and values.equal(old.outputs or {}, new.outputs)
            if not unchanged:
                new.modified = now()

    # After the program: deletions

    async def delete_unregistered(self) -> None:
        """Delete what the program did not ask for, and what was replaced; dependents go first."""
        async with self._deciding:
            self._check()
            steps = await self._decide("", self._delete_steps())
        try:
            for wave in _waves(steps, self.base):
                await self._together([[step] for step in wave])
        finally:
            await self.settle()

    async def _delete_steps(self) -> list[Step]:
        steps = []
        for resource in self.base:
            if id(resource) in self._pending_deletes and resource.delete:
                continue
            if resource.delete:
                op = ev.DISCARD_REPLACED if resource.external else ev.DELETE_REPLACED
                step = Step(op, resource, None, logical=False)
            elif resource.urn in self._operated or resource.urn in self._aliased:
                continue
            elif resource.pending_replacement:
                step = Step(ev.REMOVE_PENDING, resource, None, logical=False)
            else:
                step = Step(ev.DISCARD if resource.external else ev.DELETE, resource, None)
            self._deletes.add(resource.urn)
            if not resource.external and step.op != ev.REMOVE_PENDING:
                await self.ensure_provider(resource)
            steps.append(step)
        return steps

    async def _together(self, chains: list[list[Step]]) -> None:
        tasks = [self._start(chain) for chain in chains]
        await asyncio.gather(*tasks, return_exceptions=True)
        for task in tasks:
            task.result()

    # Before the program: refresh

    async def refresh(self, *, clear_pending_creates: bool = False) -> None:
        """Compare every resource with what is really there, and take that over."""
        for resource in self.base:
            try:
                await self.ensure_provider(resource)
            except EngineError as error:
                self.fail(str(error), resource.urn)
                raise AbortedError from error
        results: dict[int, Resource | None] = {}
        tasks = [asyncio.create_task(self._refresh(resource, results)) for resource in self.base]
        await asyncio.gather(*tasks, return_exceptions=True)
        for task in tasks:
            task.result()
        self._check()
        self._rebase(results)
        self.journal.forget_pending(creates=clear_pending_creates)
        self.journal.save()

    async def _refresh(self, old: Resource, results: dict[int, Resource | None]) -> None:
        async with self._slots:
            self._check()
            step = Step(ev.REFRESH, old, old)
            if not step.internal:
                self.events.emit(
                    "resourcePreEvent", {"metadata": ev.metadata(step), "planning": self.preview}
                )
            try:
                op = await self._apply_refresh(step)
            except EngineError as error:
                self.fail(str(error), old.urn)
                if not step.internal:
                    self.events.emit(
                        "resOpFailedEvent", {"metadata": ev.metadata(step), "status": 0, "steps": 0}
                    )
                raise AbortedError from error
            results[id(old)] = step.new
            if not step.internal:
                self.changes[op] += 1
            self._emit_outputs(step, op)

    async def _apply_refresh(self, step: Step) -> str:
        old = step.old
        assert old is not None
        if not old.custom or urns.is_provider(old.type) or old.pending_replacement:
            return ev.SAME
        provider = self._provider(old)
        assert provider is not None
        read = await provider.read(
            old.urn, old.id, old.inputs, old.outputs or {}, limit=old.custom_timeouts.get("read", 0)
        )
        if not read.id:
            step.new = None
            return ev.DELETE
        if read.init_errors:
            reasons = "\n* ".join(read.init_errors)
            message = f"Refreshed resource is in an unhealthy state:\n* {reasons}"
            self.events.diagnostic("warning", message, old.urn)
        new = old.copy()
        new.id, new.outputs, new.init_errors = read.id, read.outputs, read.init_errors
        new.inputs = old.inputs if read.inputs is None else read.inputs
        self._mark_secrets(new)
        step.new = new
        unchanged = values.equal(old.inputs, new.inputs) and values.equal(
            old.outputs or {}, new.outputs or {}
        )
        if not unchanged:
            new.modified = now()
        if old.external:
            return ev.SAME if values.equal(old.outputs or {}, new.outputs or {}) else ev.UPDATE
        diff = await self._provider_diff(provider, new, old.inputs, old.ignore_changes, preview=self.preview)
        step.diff = _inverted(diff)
        return ev.UPDATE if diff.changed else ev.SAME

    def _rebase(self, results: dict[int, Resource | None]) -> None:
        """Go on from the refreshed resources; nothing refers to one that is gone."""
        resources: list[Resource] = []
        present: set[str] = set()
        parents: dict[str, str] = {}
        for old in self.base:
            new = results[id(old)]
            if new is None:
                parents[old.urn] = parents.get(old.parent, old.parent)
                continue
            new = new.copy()
            new.dependencies = [urn for urn in new.dependencies if urn in present]
            if new.property_dependencies:
                kept = {
                    key: [urn for urn in found if urn in present]
                    for key, found in new.property_dependencies.items()
                }
                new.property_dependencies = {key: found for key, found in kept.items() if found} or None
            if new.deleted_with not in present:
                new.deleted_with = ""
            new.parent = parents.get(new.parent, new.parent)
            resources.append(new)
            present.add(new.urn)
        self.base[:] = resources
        self.olds = {resource.urn: resource for resource in resources if not resource.delete}


def _is_repeated_read(step: Step) -> bool:
    """Whether a resource was read that is as it was when it was read last."""
    old, new = step.old, step.new
    return (
        step.op == ev.READ
        and old is not None
        and new is not None
        and old.id == new.id
        and values.equal(old.outputs or {}, new.outputs or {})
    )


def _without_order(resource: Resource) -> dict[str, Any]:
    """What of a resource matters when deciding whether the state has to be written."""
    content = {key: value for key, value in vars(resource).items() if key not in ("created", "modified")}
    content["dependencies"] = sorted(resource.dependencies)
    content["property_dependencies"] = {
        key: sorted(found) for key, found in (resource.property_dependencies or {}).items()
    }
    content["outputs"] = resource.outputs or {}
    return content


def _with_replace_on_changes(diff: Diff, paths: list[str]) -> Diff:
    if not diff.changed or not paths:
        return diff
    changed = {key for key in diff.properties if any(matches_path(path, key) for path in paths)}
    detailed = diff.detailed
    if detailed is not None:
        hit = {path for path in detailed if any(matches_path(pattern, path) for pattern in paths)}
        changed |= {path.split(".")[0].split("[")[0] for path in hit}
        detailed = {
            path: (kind if path not in hit or kind.endswith("-replace") else f"{kind}-replace", inputs)
            for path, (kind, inputs) in detailed.items()
        }
    return replace(diff, replaces=tuple(dict.fromkeys((*diff.replaces, *sorted(changed)))), detailed=detailed)


def _inverted(diff: Diff) -> Diff:
    """A refresh's diff: the provider compared reality with the state, people read it the other way round."""
    if diff.detailed is None:
        return diff
    swapped = {"add": "delete", "delete": "add"}
    detailed = {}
    for path, (kind, inputs) in diff.detailed.items():
        base, separator, suffix = kind.partition("-")
        detailed[path] = (swapped.get(base, base) + separator + suffix, inputs)
    return replace(diff, detailed=detailed)


def _waves(steps: list[Step], base: list[Resource]) -> list[list[Step]]:
    """Deletions in the order in which they may happen: first what nothing else to be deleted needs."""
    condemned = {id(step.old): step for step in steps}
    position = {id(resource): index for index, resource in enumerate(base)}
    needed_by: dict[str, list[Resource]] = {}
    for resource in base:
        needed_by.setdefault(resource.urn, []).append(resource)
    waves = []
    while condemned:
        free = []
        for key, step in condemned.items():
            assert step.old is not None
            others = (found for urn in step.old.needs() for found in needed_by.get(urn, ()))
            if not any(
                id(other) in condemned and id(other) != key and position[id(other)] < position[key]
                for other in others
            ):
                free.append(step)
        for step in free:
            del condemned[id(step.old)]
        waves.append(free)
    return waves[::-1]
