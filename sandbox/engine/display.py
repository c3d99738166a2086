"""What a person sees of a run, in the manner of the CLI.

Two forms: progress (a line for each step) and, with `--diff`, what changes in each resource, entry by entry.
"""

from __future__ import annotations

import json
import sys
import time
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Final, TextIO

from sandbox.engine import urn as urns
from sandbox.engine.differences import value_diff
from sandbox.engine.events import Event
from sandbox.engine.values import UNKNOWN_STRING

_MARKS: Final = {
    "same": "  ",
    "create": "+ ",
    "update": "~ ",
    "delete": "- ",
    "replace": "+-",
    "create-replacement": "++",
    "delete-replaced": "--",
    "read": "> ",
    "refresh": "~ ",
    "discard": "< ",
    "discard-replaced": "<<",
    "remove-pending-replace": "~ ",
}
# What is going to happen, is happening, has happened.
_WORDS: Final = {
    "same": ("", "", ""),
    "create": ("create", "creating", "created"),
    "update": ("update", "updating", "updated"),
    "delete": ("delete", "deleting", "deleted"),
    "replace": ("replace", "replacing", "replaced"),
    "create-replacement": ("create replacement", "creating replacement", "created replacement"),
    "delete-replaced": ("delete original", "deleting original", "deleted original"),
    "read": ("read", "reading", "read"),
    "refresh": ("refresh", "refreshing", ""),
    "discard": ("discard", "discarding", "discarded"),
    "discard-replaced": ("discard original", "discarding original", "discarded original"),
    "remove-pending-replace": ("drop", "dropping", "dropped"),
}
_COLORS: Final = {"+": "32", "-": "31", "~": "33", ">": "36", "<": "36"}
_SUMMARY_ORDER: Final = ("create", "update", "delete", "replace", "read", "discard")
_SHORT_TYPE_PARTS: Final = 3

Json = Mapping[str, Any]


def short_type(type_: str) -> str:
    """`gcp:compute/network:Network` as `gcp:compute:Network`."""
    parts = type_.split(":")
    if len(parts) != _SHORT_TYPE_PARTS or "/" not in parts[1]:
        return type_
    module, _, file = parts[1].rpartition("/")
    expected = parts[2][:1].lower() + parts[2][1:]
    return ":".join((parts[0], module, parts[2])) if file == expected else type_


def show_value(value: Any) -> str:
    """A value on one line."""
    if value == UNKNOWN_STRING:
        return "[unknown]"
    if value == "[secret]":
        return "[secret]"
    if isinstance(value, dict | list):
        return json.dumps(_readable(value), ensure_ascii=False)
    return json.dumps(value, ensure_ascii=False)


def _readable(value: Any) -> Any:
    if value == UNKNOWN_STRING:
        return "[unknown]"
    if isinstance(value, dict):
        return {key: _readable(item) for key, item in value.items()}
    if isinstance(value, list):
        return [_readable(item) for item in value]
    return value


@dataclass
class _Diagnostics:
    by_urn: dict[str, list[tuple[str, str]]] = field(default_factory=dict)

    def add(self, urn: str, severity: str, message: str) -> None:
        self.by_urn.setdefault(urn, []).append((severity, message))


class Display:
    """Writes a run to a terminal or a pipe."""

    def __init__(
        self,
        *,
        stack: str,
        stack_urn: str,
        action: str,
        preview: bool,
        diff: bool,
        color: bool,
        debug: bool = False,
        show_outputs: bool = True,
        show_progress: bool = True,
        out: TextIO | None = None,
    ) -> None:
        self._out = out or sys.stdout
        self._stack = stack
        self._stack_urn = stack_urn
        self._preview = preview
        self._diff = diff
        self._color = color
        self._debug = debug
        self._show_outputs = show_outputs
        self._show_progress = show_progress
        self._diagnostics = _Diagnostics()
        self._started: dict[tuple[str, str], float] = {}
        self._parents: dict[str, str] = {}
        self._root_step: Json | None = None
        self._began = time.monotonic()
        self._kind = action
        title = {
            "preview": "Previewing update",
            "update": "Updating",
            "refresh": "Refreshing",
            "destroy": "Destroying",
        }
        words = title[action] if not preview or action == "preview" else f"Previewing {action}"
        self._print(self._bold(f"{words} ({stack}):"))

    # Writing

    def _print(self, text: str = "") -> None:
        print(text, file=self._out, flush=True)

    def _paint(self, code: str, text: str) -> str:
        return f"\x1b[{code}m{text}\x1b[0m" if self._color else text

    def _bold(self, text: str) -> str:
        return self._paint("1", text)

    def _marked(self, mark: str, text: str) -> str:
        code = _COLORS.get(mark.strip()[:1])
        return self._paint(code, text) if code else text

    # Events

    def __call__(self, event: Event) -> None:
        """Show an event."""
        if "diagnosticEvent" in event:
            self._on_diagnostic(event["diagnosticEvent"])
        elif "resourcePreEvent" in event:
            self._on_start(event["resourcePreEvent"]["metadata"])
        elif "resOutputsEvent" in event:
            self._on_end(event["resOutputsEvent"]["metadata"])
        elif "resOpFailedEvent" in event:
            self._on_failure(event["resOpFailedEvent"]["metadata"])
        elif "summaryEvent" in event:
            self._on_summary(event["summaryEvent"])

    def _on_diagnostic(self, content: Json) -> None:
        severity, message = content["severity"], content["message"].rstrip("\n")
        if severity == "debug" and not self._debug:
            return
        urn = content.get("urn") or self._stack_urn
        if severity in ("warning", "error"):
            self._diagnostics.add(urn, severity, message)
        elif self._show_progress:
            prefix = f"    {short_type(urns.type_of(urn))} {urns.name_of(urn)}"
            self._print(f"{prefix}  {message}" if "\n" not in message else f"{prefix}\n{message}")

    def _line(self, step: Json, words: str, note: str = "") -> str:
        mark = _MARKS[step["op"]]
        text = f" {mark} {short_type(step['type'])} {urns.name_of(step['urn'])} {words}".rstrip()
        return self._marked(mark, text + (f" {note}" if note else ""))

    def _note(self, step: Json) -> str:
        """`[diff: +added,~changed,-removed]`."""
        old, new = step["old"], step["new"]
        if not old or not new or step["op"] not in ("update", "replace", "create-replacement", "refresh"):
            return ""
        marks = {"add": "+", "delete": "-", "update": "~"}
        keys = []
        for key in sorted(old["inputs"].keys() | new["inputs"].keys()):
            changes = _changes(old["inputs"], new["inputs"], key, step)
            if changes and not key.startswith("__"):
                keys.append(marks[changes.get(key, "update")] + key)
        return f"[diff: {','.join(keys)}]" if keys else ""

    def _on_start(self, step: Json) -> None:
        urn = step["urn"]
        state = step["new"] or step["old"]
        self._parents[urn] = state["parent"]
        if urn == self._stack_urn:
            self._root_step = step
        self._started[urn, step["op"]] = time.monotonic()
        if self._diff:
            if step["op"] != "refresh":
                self._print_diff(step)
            return
        if step["op"] == "same" or not self._show_progress:
            return
        plan, doing, _ = _WORDS[step["op"]]
        self._print(self._line(step, plan if self._preview else f"{doing}...", self._note(step)))

    def _on_end(self, step: Json) -> None:
        urn = step["urn"]
        if urn == self._stack_urn:
            self._root_step = step
        refreshed = (urn, "refresh") in self._started
        if self._diff:
            if refreshed and step["op"] != "same":
                self._print_diff(step)
            return
        if step["op"] == "same" or (self._preview and not refreshed) or not self._show_progress:
            return
        began = self._started.pop((urn, "refresh" if refreshed else step["op"]), time.monotonic())
        done = _WORDS[step["op"]][2]
        self._print(self._line(step, f"{done} ({time.monotonic() - began:.2f}s)", self._note(step)))

    def _on_failure(self, step: Json) -> None:
        if self._show_progress:
            self._print(self._paint("31", self._line(step, f"**{_WORDS[step['op']][1]} failed**")))

    # Differences

    def _depth(self, urn: str) -> int:
        depth = 0
        while urn := self._parents.get(urn, ""):
            depth += 1
        return depth

    def _print_diff(self, step: Json) -> None:
        op, old, new = step["op"], step["old"], step["new"]
        if op == "same" and step["urn"] != self._stack_urn:
            return
        mark = _MARKS[op]
        pad = "    " * self._depth(step["urn"])
        words = _WORDS[op][0] or "same"
        self._print(self._marked(mark, f"{pad}{mark}{step['type']}: ({words})"))
        state = new or old
        identity = (old or {}).get("id") or state["id"]
        if identity and identity != UNKNOWN_STRING:
            self._print(f"{pad}    [id={identity}]")
        self._print(f"{pad}    [urn={step['urn']}]")
        if state["provider"] and not urns.is_default_provider(urns.split_reference(state["provider"])[0]):
            self._print(f"{pad}    [provider={state['provider']}]")
        inner = pad + "  "
        if op in ("create", "create-replacement", "delete", "delete-replaced", "read"):
            sign = {"create": "+", "create-replacement": "+"}.get(op, "-" if op.startswith("delete") else " ")
            if op == "create":
                self._entries(_visible(state["inputs"]), sign, inner)
        elif op in ("update", "replace", "refresh"):
            self._difference(_visible(old["inputs"]), _visible(new["inputs"]), inner, step)
            refreshed = (step["urn"], "refresh") in self._started
            if refreshed and old["inputs"] == new["inputs"]:
                self._difference(_visible(old["outputs"]), _visible(new["outputs"]), inner, step)

    def _entries(self, content: Json, sign: str, pad: str) -> None:
        width = max(map(len, content), default=0)
        for key, value in content.items():
            self._entry(key.ljust(width), value, sign, pad)

    def _entry(self, label: str, value: Any, sign: str, pad: str) -> None:
        start = f"{pad}{sign} {label}: "
        if isinstance(value, dict) and value:
            self._print(self._marked(sign, start + "{"))
            self._entries(value, sign, pad + "    ")
            self._print(self._marked(sign, f"{pad}{sign} }}"))
        elif isinstance(value, list) and value:
            self._print(self._marked(sign, start + "["))
            for index, item in enumerate(value):
                self._entry(f"[{index}]", item, sign, pad + "    ")
            self._print(self._marked(sign, f"{pad}{sign} ]"))
        else:
            self._print(self._marked(sign, start + show_value(value)))

    def _difference(self, old: Json, new: Json, pad: str, step: Json | None = None) -> None:
        """The entries that differ; those of maps inside maps each on a line of their own."""
        keys = [key for key in sorted(old.keys() | new.keys()) if _changes(old, new, key, step)]
        width = max(map(len, keys), default=0)
        for key in keys:
            label = key.ljust(width)
            if key not in old:
                self._entry(label, new[key], "+", pad)
            elif key not in new:
                self._entry(label, old[key], "-", pad)
            elif isinstance(old[key], dict) and isinstance(new[key], dict):
                self._print(self._marked("~", f"{pad}~ {label}: {{"))
                self._difference(old[key], new[key], pad + "    ")
                self._print(self._marked("~", f"{pad}~ }}"))
            elif isinstance(old[key], list) and isinstance(new[key], list):
                self._print(self._marked("~", f"{pad}~ {label}: ["))
                pairs = [{f"[{i}]": item for i, item in enumerate(items)} for items in (old[key], new[key])]
                self._difference(pairs[0], pairs[1], pad + "    ")
                self._print(self._marked("~", f"{pad}~ ]"))
            else:
                text = f"{pad}~ {label}: {show_value(old[key])} => {show_value(new[key])}"
                self._print(self._marked("~", text))

    # The end

    def _on_summary(self, summary: Json) -> None:
        self._print_diagnostics()
        if self._root_step is not None and self._show_outputs:
            self._print_outputs(self._root_step)
        changes: dict[str, int] = summary["resourceChanges"]
        self._print(self._bold("Resources:"))
        kinds = [op for op in _SUMMARY_ORDER if changes.get(op)]
        for op in kinds:
            plan, _, done = _WORDS[op]
            words = f"to {plan}" if self._preview else done
            self._print(self._marked(_MARKS[op], f"    {_MARKS[op]}{changes[op]} {words}"))
        pieces = []
        if len(kinds) > 1:
            pieces.append(f"{sum(changes[op] for op in kinds)} changes")
        if changes.get("same"):
            pieces.append(f"{changes['same']} unchanged")
        if pieces:
            self._print("    " + ". ".join(pieces))
        if not self._preview:
            self._print(f"\n{self._bold('Duration:')} {round(time.monotonic() - self._began)}s")
        self._print()

    def _print_diagnostics(self) -> None:
        if not self._diagnostics.by_urn:
            return
        self._print(self._bold("Diagnostics:"))
        for urn, messages in self._diagnostics.by_urn.items():
            self._print(f"  {short_type(urns.type_of(urn))} ({urns.name_of(urn)}):")
            for severity, message in messages:
                first, *rest = message.split("\n")
                code = "31" if severity == "error" else "33"
                self._print(f"    {self._paint(code, severity + ':')} {first}")
                for line in rest:
                    self._print(f"      {line}" if line else "")
            self._print()

    def _print_outputs(self, step: Json) -> None:
        new = step["new"]
        if new is None:
            return
        before = (step["old"] or {}).get("outputs", {})
        after = new["outputs"]
        if not after and not before:
            return
        differs = before != after
        if step["old"] is not None and not differs and self._preview:
            return
        self._print(self._bold("Outputs:"))
        names = sorted(before.keys() | after.keys())
        width = max(map(len, names))
        fresh = step["old"] is None or step["op"] == "create"
        for name in names:
            label = name.ljust(width)
            if name not in after:
                line, mark = f"{label}: {show_value(before[name])}", "- "
            elif fresh or before.get(name) == after[name]:
                line, mark = f"{label}: {show_value(after[name])}", "  "
            elif name not in before:
                line, mark = f"{label}: {show_value(after[name])}", "+ "
            else:
                line, mark = f"{label}: {show_value(before[name])} => {show_value(after[name])}", "~ "
            self._print(self._marked(mark, f"    {line}" if mark == "  " else f"  {mark}{line}"))
        self._print()


def _visible(content: Json) -> Json:
    """Properties that are a person's business; `__provider` and the like are the SDK's."""
    return {key: value for key, value in content.items() if not key.startswith("__")}


def _changes(old: Json, new: Json, key: str, step: Json | None) -> dict[str, str]:
    if key not in new:
        return {key: "delete"}
    if key not in old:
        return {key: "add"}
    changes = value_diff(old[key], new[key], key)
    if not changes and step is not None and key in step["diffs"] and new[key] == "[secret]":
        return {key: "update"}  # the secret itself is not shown
    return changes


class Digest:
    """Collects what `preview --json` prints."""

    def __init__(self) -> None:
        self._result: dict[str, Any] = {"config": {}, "steps": [], "diagnostics": []}

    def __call__(self, event: Event) -> None:
        """Take note of an event."""
        if "preludeEvent" in event:
            self._result["config"] = event["preludeEvent"]["config"]
        elif "diagnosticEvent" in event:
            content = event["diagnosticEvent"]
            if content["severity"] != "debug" and not content.get("ephemeral"):
                kept = ("urn", "prefix", "message", "severity")
                self._result["diagnostics"].append({key: content[key] for key in kept if key in content})
        elif "resourcePreEvent" in event:
            step = event["resourcePreEvent"]["metadata"]
            entry = {"op": step["op"], "urn": step["urn"], "provider": step["provider"]}
            entry.update(oldState=step["old"], newState=step["new"])
            entry.update(
                replaceReasons=step["keys"], diffReasons=step["diffs"], detailedDiff=step["detailedDiff"]
            )
            self._result["steps"].append({key: value for key, value in entry.items() if value})
        elif "summaryEvent" in event:
            summary = event["summaryEvent"]
            self._result["duration"] = summary["durationSeconds"] * 1_000_000_000
            self._result["changeSummary"] = summary["resourceChanges"]

    def text(self) -> str:
        """The JSON document."""
        return json.dumps(self._result, indent=4, ensure_ascii=False)
