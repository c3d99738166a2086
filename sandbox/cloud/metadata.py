"""The metadata server of machines, and of this host (https://cloud.google.com/compute/docs/metadata/overview).

A machine is known by the address that its request comes from. The host's own clients are the operator.
"""

from __future__ import annotations

import asyncio
import hashlib
import json
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from typing import Any, Final

from aiohttp import web

from sandbox.cloud.context import OPERATOR, Cloud
from sandbox.cloud.references import project_number, resource_path
from sandbox.cloud.tokens import CLOUD_PLATFORM, LIFETIME, PERSON

HEADER: Final = "Metadata-Flavor"
_SCOPES: Final = [CLOUD_PLATFORM]
_POLL_SECONDS: Final = 0.3
_LONGEST_WAIT: Final = 3600
HOST_PROJECT: Final = "sandbox"
"""The project that the metadata server of the host names; no resource lies in it."""


@dataclass(frozen=True)
class Bearer:
    """Who asks: a machine, or the operator on the host."""

    identity: str
    """As in IAM policies."""
    email: str
    project: str
    tree: Callable[[], dict[str, Any]]
    """The metadata below `/computeMetadata/v1/` at this moment; a function in it is called when asked for."""


_BEARER: Final = web.RequestKey("bearer", Bearer)

Finder = Callable[[web.Request], Bearer | None]


def machine_finder(cloud: Cloud, network: str) -> Finder:
    """Knows the machines of a VPC (`projects/P/global/networks/N`) by the address they call from."""

    def find(request: web.Request) -> Bearer | None:
        name = cloud.machines and request.remote and cloud.machines.node_at(network, request.remote)
        return _machine(cloud, f"tpu/{name}") if name else None

    return find


def host_finder(cloud: Cloud) -> Finder:
    """Knows the operator only."""
    email = OPERATOR.partition(":")[2]
    bearer = Bearer(
        identity=OPERATOR,
        email=email,
        project=HOST_PROJECT,
        tree=lambda: _tree(
            cloud, OPERATOR, email, HOST_PROJECT, {"instance": {"zone": "", "attributes": {}}}
        ),
    )
    return lambda request: bearer


def application(cloud: Cloud, finder: Finder) -> web.Application:
    """A metadata server; the caller is whoever `finder` says, and anyone else gets 404."""

    @web.middleware
    async def front(
        request: web.Request, handler: Callable[[web.Request], Awaitable[web.StreamResponse]]
    ) -> web.StreamResponse:
        bearer = finder(request)
        request["identity"] = bearer.identity if bearer else None
        if "X-Forwarded-For" in request.headers:
            raise web.HTTPForbidden(text="X-Forwarded-For is not allowed\n", headers={HEADER: "Google"})
        if request.path.startswith("/computeMetadata/") and request.headers.get(HEADER) != "Google":
            raise web.HTTPForbidden(text=f"Missing {HEADER}:Google header.\n", headers={HEADER: "Google"})
        if bearer is None:
            raise _missing()
        request[_BEARER] = bearer
        response = await handler(request)
        response.headers.setdefault(HEADER, "Google")
        response.headers.setdefault("Server", "Metadata Server for VM")
        return response

    async def root(request: web.Request) -> web.Response:
        return web.Response(text="computeMetadata/\n", content_type="application/text")

    async def read(request: web.Request) -> web.Response:
        return await _read(request[_BEARER], request)

    app = web.Application(middlewares=[front])
    app.add_routes([web.get("/", root), web.get("/computeMetadata/v1{path:(/.*)?}", read)])
    return app


async def _read(bearer: Bearer, request: web.Request) -> web.Response:
    query = request.query
    if unknown := set(query) - {
        "recursive",
        "alt",
        "wait_for_change",
        "last_etag",
        "timeout_sec",
        "scopes",
        "audience",
    }:
        raise web.HTTPBadRequest(text=f"Unknown parameter {min(unknown)}\n", headers={HEADER: "Google"})
    path = request.match_info["path"]
    recursive = query.get("recursive", "false").lower() == "true"
    value = _find(bearer.tree(), path, recursive)
    etag = _etag(value)
    if query.get("wait_for_change", "false").lower() == "true":
        known = query.get("last_etag", etag)
        loop = asyncio.get_running_loop()
        end = loop.time() + min(float(query.get("timeout_sec", _LONGEST_WAIT)), _LONGEST_WAIT)
        while etag == known and loop.time() < end:
            await asyncio.sleep(_POLL_SECONDS)
            value = _find(bearer.tree(), path, recursive)
            etag = _etag(value)
    as_json = query.get("alt") == "json" or (recursive and query.get("alt") != "text")
    if isinstance(value, dict | list) or as_json:
        as_text = not as_json and not isinstance(value, dict)
        body = "\n".join(map(str, value)) + "\n" if as_text else json.dumps(value)
        kind = "application/text" if as_text else "application/json"
    else:
        body, kind = str(value), "application/text"
    return web.Response(text=body, content_type=kind, headers={"ETag": etag})


def _find(tree: dict[str, Any], path: str, recursive: bool) -> Any:
    """The value at `path`; of a directory its entries, or with `recursive` all that is in it."""
    value: Any = tree
    for step in path.strip("/").split("/"):
        if not step:
            continue
        if isinstance(value, list) and step.isdigit() and int(step) < len(value):
            value = value[int(step)]
        elif isinstance(value, dict) and step in value:
            value = value[step]
        else:
            raise _missing()
    if callable(value):
        return value()
    if isinstance(value, dict):
        if recursive:
            return _camel_cased(value, names="attributes" not in path.split("/"))
        if not path.endswith("/") and path:
            raise web.HTTPMovedPermanently(f"/computeMetadata/v1{path}/", headers={HEADER: "Google"})
        return [f"{key}/" if isinstance(item, dict) else key for key, item in value.items()]
    return value


def _camel_cased(value: Any, *, names: bool = True) -> Any:
    """A directory as JSON: names in camel case but those of attributes, and without tokens."""
    if not isinstance(value, dict):
        return value
    result = {}
    for key, item in value.items():
        if callable(item):
            continue
        head, *tail = key.split("-")
        plain = not names or "@" in key  # names that somebody else gave: attributes, and accounts
        name = key if plain else head + "".join(word.capitalize() for word in tail)
        result[name] = _camel_cased(item, names=names and key != "attributes")
    return result


def _machine(cloud: Cloud, name: str) -> Bearer | None:
    node = cloud.store.get(name)
    if node is None:
        return None
    _, _, project, _, zone, _, key = name.split("/")
    email = (node.get("serviceAccount") or {}).get("email", "")

    def tree() -> dict[str, Any]:
        present = cloud.store.get(name) or node
        number = project_number(project)
        network = resource_path(present["networkConfig"]["network"], project).rpartition("/")[2]
        addresses = cloud.machines.endpoints(present["name"]) if cloud.machines else []
        instance = {
            "attributes": present.get("metadata") or {},
            "hostname": f"{key}.{zone}.c.{project}.internal",
            "id": present["id"],
            "machine-type": f"projects/{number}/machineTypes/{present['acceleratorType']}",
            "name": key,
            "network-interfaces": {
                str(index): {
                    "ip": endpoint["ipAddress"],
                    "network": f"projects/{number}/networks/{network}",
                }
                for index, endpoint in enumerate(addresses)
            },
            "tags": list(present.get("tags") or []),
            "zone": f"projects/{number}/zones/{zone}",
        }
        return _tree(cloud, f"serviceAccount:{email}", email, project, {"instance": instance})

    return Bearer(identity=f"serviceAccount:{email}", email=email, project=project, tree=tree)


def _tree(cloud: Cloud, identity: str, email: str, project: str, rest: dict[str, Any]) -> dict[str, Any]:
    scopes = list(PERSON) if identity == OPERATOR else _SCOPES

    def token() -> dict[str, Any]:
        issued = cloud.tokens.issue(identity, scopes=scopes)
        return {"access_token": issued, "expires_in": LIFETIME, "token_type": "Bearer"}

    account = {
        "aliases": ["default"],
        "email": email,
        "scopes": scopes,
        "token": token,
    }
    instance = {**rest["instance"], "service-accounts": {"default": account, email: account}}
    return {
        "instance": instance,
        "project": {"project-id": project, "numeric-project-id": project_number(project), "attributes": {}},
        "universe": {"universe-domain": "googleapis.com"},
    }


def _etag(value: Any) -> str:
    if isinstance(value, dict) and "access_token" in value:
        return "0"
    return hashlib.sha256(json.dumps(value, sort_keys=True, default=str).encode()).hexdigest()[:16]


def _missing() -> web.HTTPNotFound:
    return web.HTTPNotFound(
        text="The requested URL was not found on this server.\n", headers={HEADER: "Google"}
    )
