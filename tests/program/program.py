"""Runs the program of a side under Pulumi's mocks and keeps what it declared."""

from __future__ import annotations

import asyncio
import json
import logging
import runpy
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pulumi
import yaml
from pulumi.runtime import mocks, rpc
from pulumi.runtime.config import set_all_config
from pulumi.runtime.settings import SETTINGS, configure, get_root_resource
from pulumi.runtime.stack import Stack, run_in_stack

from tests.attestations import pem

ROOT = Path(__file__).parents[2]

Stacks = Mapping[str, Mapping[str, Any]]
"""Outputs by full stack name."""

PEM = pem()
"""The key that releases are signed with."""

OUTER_OUTPUTS: Mapping[str, Any] = {
    "project": "dmz-outer",
    "location": "us-central1",
    "subnet": "10.0.0.0/24",
    "filesBucket": "dmz-outer-files",
    "syncServiceAccount": "dmz-sync@dmz-outer.iam.gserviceaccount.com",
    "attestationPublicKey": PEM,
    "attestorServiceAccount": "dmz-attestor@dmz-outer.iam.gserviceaccount.com",
    "attestationsBucket": "dmz-outer-attestations",
    "archiveBucket": "dmz-outer-archive",
}


def configuration(stack: str, **changes: object) -> dict[str, str]:
    """The demo's configuration of a stack as Pulumi hands it out; None takes a key away."""
    written = yaml.safe_load((ROOT / f"Pulumi.{stack}.yaml").read_text(encoding="utf-8"))["config"]
    written |= {f"dmz:{key}": value for key, value in changes.items()}
    return {
        key: value if isinstance(value, str) else json.dumps(value)
        for key, value in written.items()
        if value is not None
    }


@dataclass(frozen=True)
class Declared:
    """One resource as the program asked for it."""

    type: str
    name: str
    inputs: Mapping[str, Any]
    protected: bool
    after: frozenset[str]
    """Names of the resources that it waits for."""


@dataclass
class Run:
    """What came of one run of the program."""

    resources: list[Declared] = field(default_factory=list)
    """All but the components and the stack itself."""
    outputs: Mapping[str, Any] = field(default_factory=dict)
    warnings: list[str] = field(default_factory=list)
    error: str | None = None
    """The one line that the program ended with."""

    def of(self, type_: str) -> list[Declared]:
        """All resources of a type, such as `gcp:compute/firewall:Firewall`."""
        return [resource for resource in self.resources if resource.type == type_]

    def one(self, type_: str, name: str) -> Declared:
        """The one resource of a type and name."""
        [found] = [resource for resource in self.of(type_) if resource.name == name]
        return found


class _Cloud(mocks.Mocks):
    """Answers as Google does where a program reads an answer."""

    def __init__(self, stacks: Stacks) -> None:
        self._stacks = stacks

    def new_resource(self, args: mocks.MockResourceArgs) -> tuple[str | None, dict[Any, Any]]:
        given = dict(args.inputs)
        if args.typ == "pulumi:pulumi:StackReference":
            return given["name"], {**given, "outputs": self._stacks[given["name"]], "secretOutputNames": []}
        match args.typ.rpartition(":")[2]:
            case "Network":
                id_ = f"projects/{given['project']}/global/networks/{given['name']}"
            case "Subnetwork":
                id_ = f"projects/{given['project']}/regions/{given['region']}/subnetworks/{given['name']}"
            case "Account":
                given["email"] = f"{given['accountId']}@{given['project']}.iam.gserviceaccount.com"
                given["member"] = f"serviceAccount:{given['email']}"
                id_ = given["name"] = f"projects/{given['project']}/serviceAccounts/{given['email']}"
            case "KeyRing":
                id_ = f"projects/{given['project']}/locations/{given['location']}/keyRings/{given['name']}"
            case "CryptoKey":
                id_ = f"{given['keyRing']}/cryptoKeys/{given['name']}"
            case _:
                id_ = args.name
        return id_, given

    def call(self, args: mocks.MockCallArgs) -> tuple[dict[Any, Any], list[tuple[str, str]] | None]:
        if args.token == "gcp:kms/getKMSCryptoKeyVersion:getKMSCryptoKeyVersion":
            name = f"{args.args['cryptoKey']}/cryptoKeyVersions/{int(args.args['version'])}"
            if name.endswith("/404"):
                return {}, [("version", f"{name} was not found")]
            return {"name": name, "publicKeys": [{"algorithm": "EC_SIGN_P256_SHA256", "pem": PEM}]}, []
        assert args.token == "pulumi:pulumi:readStackOutputs"
        name = args.args["name"]
        if name not in self._stacks:
            return {}, [("name", f'unknown stack "{name}"')]
        return {"name": name, "outputs": dict(self._stacks[name]), "secretOutputNames": []}, []


class _Monitor(mocks.MockMonitor):
    """Keeps what the mocks don't tell: options and dependencies."""

    def __init__(self, stacks: Stacks) -> None:
        super().__init__(_Cloud(stacks))
        self.declared: list[Declared] = []

    def RegisterResource(self, request: Any) -> Any:
        answer = super().RegisterResource(request)  # type: ignore[no-untyped-call]
        if request.custom:
            self._keep(request, request.object, request.protect)
        return answer

    def ReadResource(self, request: Any) -> Any:
        answer = super().ReadResource(request)  # type: ignore[no-untyped-call]
        self._keep(request, request.properties, False)
        return answer

    def _keep(self, request: Any, inputs: Any, protected: bool) -> None:
        after = frozenset(urn.rpartition("::")[2] for urn in request.dependencies)
        self.declared.append(
            Declared(request.type, request.name, rpc.deserialize_properties(inputs), protected, after)
        )


def _main() -> None:
    runpy.run_path(str(ROOT / "__main__.py"), run_name="__main__")


async def _settled(value: Any) -> Any:
    return await pulumi.Output.from_input(value).future()


def run(stack: str, stacks: Stacks | None = None, **changes: object) -> Run:
    """Run `__main__.py` for a stack with the demo's configuration and `changes` to it.

    Args:
        stacks: every stack that there is; by default an outer one that is up, and this one without outputs.
    """
    known = {"organization/dmz/outer": OUTER_OUTPUTS, f"organization/dmz/{stack}": {}}
    monitor = _Monitor(known if stacks is None else stacks)
    logger = logging.getLogger("tests.program")
    logger.propagate = False
    done = Run()

    class _Keep(logging.Handler):
        def emit(self, record: logging.LogRecord) -> None:
            if record.levelno == logging.WARNING:
                done.warnings.append(record.getMessage())

    handler = _Keep()
    logger.addHandler(handler)

    async def everything() -> None:
        # Each run has an event loop and so a context of its own: no run sees another's settings.
        set_all_config(configuration(stack, **changes))
        # But outputs that somebody left unfinished are known to all, and wait for a loop that is closed.
        SETTINGS.outputs.clear()
        info = monitor.GetDeploymentInfo(None)  # type: ignore[no-untyped-call]
        # As `set_mocks` does, but without a stack that is there before the program runs.
        configure(
            mocks.MockSettings(  # type: ignore[no-untyped-call]
                monitor=monitor,
                monitor_features=set(info.supportedFeatures),
                engine=mocks.MockEngine(logger),
                project="dmz",
                stack=stack,
                dry_run=False,
                organization="organization",
                callbacks=None,
            )
        )
        try:
            await run_in_stack(_main)
        except pulumi.RunError as error:
            done.error = str(error)
        root = get_root_resource()
        assert isinstance(root, Stack)
        if done.error is None:
            done.outputs = {name: await _settled(value) for name, value in root.outputs.items()}

    try:
        asyncio.run(everything())
    finally:
        logger.removeHandler(handler)
    done.resources = monitor.declared
    return done
