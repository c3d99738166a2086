"""The control plane: every method that only creates, reads, changes or deletes a declared resource.

What a method does follows from its verb and from the discovery document; what needs more is in a `Kind`'s
hooks or, where there is behaviour, an override. What neither covers is refused by its name.
"""

from __future__ import annotations

import base64
import json
import logging
import secrets
from collections.abc import Awaitable, Callable, Mapping
from datetime import UTC, datetime
from functools import partial
from typing import Any, Final

from aiohttp import web

from sandbox.cloud import access, operations, policies
from sandbox.cloud.access.accounts import find
from sandbox.cloud.context import Call, Cloud, Handler
from sandbox.cloud.discovery import Api, Method, output_only
from sandbox.cloud.errors import (
    ApiError,
    already_exists,
    failed_precondition,
    invalid,
    not_found,
    unimplemented,
)
from sandbox.cloud.fields import select
from sandbox.cloud.filters import matches
from sandbox.cloud.ids import new_id
from sandbox.cloud.kinds import Kind, Resource, check_references, compute_address, refuse_if_used

PAGE: Final = 500
"""Resources on one page of a list when the caller does not say; Google's limits differ by API."""

_LOG: Final = logging.getLogger(__name__)
_TYPES: Final = {
    "artifactregistry": "type.googleapis.com/google.devtools.artifactregistry.v1.",
    "tpu": "type.googleapis.com/google.cloud.tpu.v2.",
}
"""Prefix of the `@type` of what an operation of that API carries."""


class Control:
    """Answers the calls of one API."""

    def __init__(
        self,
        cloud: Cloud,
        api: Api,
        kinds: list[Kind],
        overrides: Mapping[str, Handler],
        charge: Callable[[Cloud, Method, Call], None] | None = None,
    ) -> None:
        """`kinds` are those of all APIs, for what refers to what; `overrides` are by method id.

        `charge` refuses a call that is over a quota.
        """
        self._cloud = cloud
        self.api = api
        self._kinds = kinds
        self._by_collection = {kind.collection: kind for kind in kinds}
        self._overrides = overrides
        self._charge = charge

    async def handle(self, request: web.Request) -> web.StreamResponse:
        """Answer one authenticated request; `ApiError` for what Google refuses or the sandbox has not."""
        method, params, name = self.api.find(request.method, request.rel_url.raw_path.lstrip("/"))
        query = self.api.check_query(method, request.query)
        body = {} if method.media else self.api.check_body(method, await _json(request))
        call = Call(method.id, params, query, body, request["identity"], request, name)
        answer = await self._dispatch(method, call)
        if isinstance(answer, web.StreamResponse):
            return answer
        if method.response is None:
            return web.Response(status=204)
        if fields := query.get("fields") or query.get("$fields"):
            answer = select(answer, fields)
        return web.json_response(answer)

    async def _dispatch(self, method: Method, call: Call) -> Resource | web.StreamResponse:
        run = self._behaviour(method)
        if self._charge:
            self._charge(self._cloud, method, call)
        if (asked := self._asked_of(method, call)) is not None:
            for permission in access.permissions_of(method.id):
                access.require(self._cloud, call.identity, permission, asked)
        return await run(call)

    def _behaviour(self, method: Method) -> Callable[[Call], Awaitable[Resource | web.StreamResponse]]:
        """What a call of this method does; 501 where the sandbox does not have it."""
        if override := self._overrides.get(method.id):
            return partial(override, self._cloud)
        if method.verb in {"get", "wait"} and method.collection.lower().endswith("operations"):
            return self._operation
        kind = self._by_collection.get(method.collection)
        if kind is None or method.media:
            raise unimplemented(f"The sandbox does not have {method.id}.")
        match method.verb:
            case "create" | "insert":
                return partial(self._create, kind, method)
            case "get":
                return partial(self._get, kind)
            case "list":
                return partial(self._list, kind, method)
            case "patch" | "update":
                return partial(self._change, kind, method)
            case "delete":
                return partial(self._delete, kind, method)
            case "getIamPolicy":
                return self._get_policy
            case "setIamPolicy":
                return self._set_policy
        raise unimplemented(f"The sandbox does not have {method.id}.")

    def _asked_of(self, method: Method, call: Call) -> str | None:
        """The resource on which a call needs its permissions; None where it is missing, as it is told then.

        Google tells only of buckets, and of accounts named without a project, that they don't exist; of the
        rest it says that they don't or that the caller may not.
        """
        if self.api.name == "storage":
            if method.verb in {"insert", "list"}:
                return f"cloudresourcemanager/projects/{call.query['project']}"
            return call.name if self._cloud.store.get(_guarded(call.name)) else None
        if method.collection.endswith("projects.serviceAccounts") and len(parts := call.name.split("/")) > 4:
            try:
                return find(self._cloud, parts[2], parts[4])[0]
            except ApiError:
                return None if parts[2] == "-" else call.name
        for field in ("name", "resource", "parent"):
            if field in call.params:
                return f"{self.api.name}/{call.params[field]}"
        return call.name

    async def _operation(self, call: Call) -> Resource:
        return self._existing(call.name.removesuffix("/wait"))

    async def _get(self, kind: Kind, call: Call) -> Resource:
        resource = self._existing(call.name)
        kind.show(self._cloud, call.name, resource)
        return resource

    async def _create(self, kind: Kind, method: Method, call: Call) -> Resource:
        key = kind.key(call) if kind.key else _key(method, call)
        resource = without_nulls(call.body)
        name = f"{call.name}/{key}"
        if self._cloud.store.get(name) is not None:
            raise already_exists(f"The resource '{name.partition('/')[2]}' already exists")
        check_references(self._cloud, kind, name, resource)
        self._outputs(method, name, resource)
        kind.prepare(self._cloud, name, resource)
        self._cloud.store.put(name, resource)
        along = kind.created(self._cloud, name, resource)
        try:
            await self._settle(kind)
        except ApiError:
            for new in [*along, name]:
                self._cloud.store.delete(new)
            raise
        return self._answer(method, call, name, resource)

    async def _list(self, kind: Kind, method: Method, call: Call) -> Resource:
        size = int(call.query.get("pageSize") or call.query.get("maxResults") or PAGE) or PAGE
        depth = call.name.count("/") + 1
        below = self._cloud.store.list(f"{call.name}/").items()
        found = [
            (name, resource)
            for name, resource in below
            if name.count("/") == depth and kind.listed(call, resource)
        ]
        for name, resource in found:
            kind.show(self._cloud, name, resource)
        if expression := call.query.get("filter"):
            found = [(name, resource) for name, resource in found if matches(expression, resource)]
        start = _page_start(call.query.get("pageToken"))
        page = [(name, resource) for name, resource in found if name > start]
        answer = self._kind_field(method.response)
        items = _list_field(self.api.schemas[method.response or ""])
        if page:
            answer[items] = [resource for _, resource in page[:size]]
        elif self.api.name == "storage":
            answer[items] = []
        if len(page) > size:
            answer["nextPageToken"] = base64.urlsafe_b64encode(page[size - 1][0].encode()).decode()
        return answer

    async def _change(self, kind: Kind, method: Method, call: Call) -> Resource:
        before = self._existing(call.name)
        for stamp in ("fingerprint", "etag"):
            if call.body.get(stamp) not in (None, "", before.get(stamp)):
                raise ApiError(412, "CONDITION_NOT_MET", f"Invalid {stamp}: the resource was changed since.")
        schema = self._schema(method)
        if method.verb == "update":
            kept = {key: before[key] for key in before if key in OUTPUTS or output_only(schema.get(key, {}))}
            after = {**without_nulls(call.body), **kept}
        elif "updateMask" in call.query:
            after = _masked(before, call.body, call.query["updateMask"], schema)
        else:
            after = merged(before, call.body)
        check_references(self._cloud, kind, call.name, after)
        kind.prepare(self._cloud, call.name, after)
        if after != before:
            self._touch(after)
        self._cloud.store.put(call.name, after)
        try:
            await self._settle(kind)
        except ApiError:
            self._cloud.store.put(call.name, before)
            raise
        return self._answer(method, call, call.name, after)

    async def _delete(self, kind: Kind, method: Method, call: Call) -> Resource:
        resource = self._existing(call.name)
        if self.api.name == "compute":
            refuse_if_used(self._cloud, self._kinds, call.name)
        kind.deleting(self._cloud, call.name, resource)
        for name in self._cloud.store.list(f"{call.name}/"):
            self._cloud.store.delete(name)
        self._cloud.store.delete(call.name)
        self._cloud.store.delete(f"policies/{call.name}")
        await self._settle(kind)
        return self._answer(method, call, call.name, resource)

    async def _get_policy(self, call: Call) -> Resource:
        name = _guarded(call.name)
        self._existing(name)
        return {**self._policy_fields(name), **policies.get(self._cloud.store, name)}

    async def _set_policy(self, call: Call) -> Resource:
        name = _guarded(call.name)
        self._existing(name)
        policy = call.body if self.api.name == "storage" else call.body.get("policy") or {}
        new = policies.put(self._cloud.store, name, policy, call.body.get("updateMask"))
        return {**self._policy_fields(name), **new}

    def _policy_fields(self, name: str) -> Resource:
        if self.api.name != "storage":
            return {}
        return {"kind": "storage#policy", "resourceId": f"projects/_/buckets/{name.rpartition('/')[2]}"}

    async def _settle(self, kind: Kind) -> None:
        """Let the machines follow what was changed."""
        if not kind.networked:
            return
        try:
            await self._cloud.reconcile()
        except ApiError:
            raise
        except Exception as error:
            _LOG.exception("the machines could not follow a change")
            raise ApiError(500, "INTERNAL", f"The machines could not follow: {error}") from error

    def _existing(self, name: str) -> Resource:
        resource = self._cloud.store.get(name)
        if resource is None:
            raise not_found(f"The resource '{name.partition('/')[2]}' was not found")
        return resource

    def _outputs(self, method: Method, name: str, resource: Resource) -> None:
        """Set what Google sets: identity, addresses and times, as far as the resource's schema has them."""
        schema = self._schema(method)
        path = name.partition("/")[2]
        now = timestamp()
        for field, description in schema.items():
            match field:
                case "kind":
                    resource["kind"] = description.get("default", f"{self.api.name}#{method.collection}")
                case "id":
                    resource["id"] = new_id()
                case "selfLink":
                    resource["selfLink"] = self._address(path)
                case "creationTimestamp" | "creationTime" | "createTime" | "timeCreated":
                    resource[field] = now
                case "region" if self.api.name == "compute":
                    resource["region"] = self._address("/".join(path.split("/")[:4]))
        if path.startswith("projects/") and method.id.endswith(".create") and self.api.name != "dns":
            resource["name"] = path
        if "etag" in schema:
            resource["etag"] = ""
        resource.pop("metageneration", None)
        self._touch(resource, schema)

    def _touch(self, resource: Resource, schema: Resource | None = None) -> None:
        """Give a new or changed resource new stamps: of time, and against concurrent changes."""
        known = resource if schema is None else schema
        for field in ("updateTime", "updated"):
            if field in known:
                resource[field] = timestamp()
        for field in ("fingerprint", "etag"):
            if field in known and (field in resource or self.api.name == "compute"):
                resource[field] = base64.b64encode(secrets.token_bytes(8)).decode()
        if "metageneration" in known:
            resource["metageneration"] = str(int(resource.get("metageneration", 0)) + 1)

    def _address(self, path: str) -> str:
        if self.api.name == "compute":
            return compute_address(self._cloud, path)
        return f"{self._cloud.endpoints.get(self.api.name, '')}/{self.api.base}{path}"

    def _schema(self, method: Method) -> Resource:
        properties: Resource = self.api.schemas[method.request or ""].get("properties", {})
        return properties

    def _kind_field(self, schema: str | None) -> Resource:
        kind = self.api.schemas.get(schema or "", {}).get("properties", {}).get("kind", {}).get("default")
        return {"kind": kind} if kind else {}

    def _answer(self, method: Method, call: Call, name: str, resource: Resource) -> Resource:
        """What the method returns: the resource, an operation, or a wrapper around either."""
        if method.response in {None, "Empty"}:
            return {}
        if method.response == "Operation":
            if self.api.name == "compute":
                return self._compute_operation(method, call, name, resource)
            if self.api.name == "dns":
                return {
                    "kind": "dns#operation",
                    "id": secrets.token_hex(8),
                    "status": "done",
                    "type": "update",
                }
            prefix = _TYPES[self.api.name]
            deleted = method.verb == "delete"
            response = (
                {"@type": "type.googleapis.com/google.protobuf.Empty"}
                if deleted
                else {"@type": prefix + str(method.request), **resource}
            )
            parent = "/".join(name.split("/")[:5])
            return operations.done(self._cloud, parent, response, {"@type": f"{prefix}OperationMetadata"})
        properties = self.api.schemas[method.response or ""].get("properties", {})
        for field, description in properties.items():
            if description.get("$ref") == method.request and method.request != method.response:
                return {field: resource}  # dns.policies.patch and its like
        return resource

    def _compute_operation(self, method: Method, call: Call, name: str, resource: Resource) -> Resource:
        path = name.partition("/")[2]
        scope = "/".join(path.split("/")[:-2])
        now = timestamp()
        operation: Resource = {
            "kind": "compute#operation",
            "id": new_id(),
            "name": f"operation-{secrets.token_hex(12)}",
            "operationType": method.verb,
            "targetLink": self._address(path),
            "targetId": resource.get("id", ""),
            "status": "DONE",
            "progress": 100,
            "user": call.identity.partition(":")[2],
            "insertTime": now,
            "startTime": now,
            "endTime": now,
        }
        operation["selfLink"] = self._address(f"{scope}/operations/{operation['name']}")
        if "/regions/" in scope:
            operation["region"] = self._address(scope)
        self._cloud.store.put(f"compute/{scope}/operations/{operation['name']}", operation)
        return operation


OUTPUTS: Final = {
    "kind", "id", "name", "selfLink", "creationTimestamp", "creationTime", "createTime", "timeCreated",
    "updated", "updateTime", "metageneration", "etag", "fingerprint", "projectNumber", "region",
    "nameServers",
}  # fmt: skip
"""Fields that stay what they are when a resource is replaced as a whole."""


_TRACKING: Final = {"requestId", "clientOperationId"}
"""Ids in the query that name the call, not the resource."""


def timestamp() -> str:
    """The present time as Google writes it."""
    return datetime.now(UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")


def without_nulls(value: Any) -> Any:
    """`value` without fields that are null: in a new resource they say nothing."""
    if isinstance(value, dict):
        return {key: without_nulls(item) for key, item in value.items() if item is not None}
    if isinstance(value, list):
        return [without_nulls(item) for item in value]
    return value


def merged(before: Resource, patch: Resource) -> Resource:
    """`before` with `patch` merged into it (RFC 7396): null removes, all but objects replaced."""
    after = dict(before)
    for key, value in patch.items():
        if value is None:
            after.pop(key, None)
        elif isinstance(value, dict):
            present = after.get(key)
            after[key] = merged(present if isinstance(present, dict) else {}, value)
        else:
            after[key] = value
    return after


def _masked(before: Resource, body: Resource, mask: str, schema: Resource) -> Resource:
    """`before` with the fields that `mask` names taken from `body` (https://google.aip.dev/161)."""
    after: Resource = json.loads(json.dumps(before))
    paths = [path.strip() for path in mask.split(",") if path.strip()]
    if paths == ["*"]:
        paths = [field for field, description in schema.items() if not output_only(description)]
    for path in paths:
        head, *tail = path.split(".")
        words = head.split("_")
        head = words[0] + "".join(word.capitalize() for word in words[1:])
        if head not in schema or output_only(schema[head]):
            raise invalid(f"Invalid update mask: field '{path}' can't be updated.")
        source: Any = body
        target = after
        steps = [head, *tail]
        for step in steps[:-1]:
            source = (source or {}).get(step)
            target = target.setdefault(step, {})
        value = (source or {}).get(steps[-1])
        if value is None:
            target.pop(steps[-1], None)
        else:
            target[steps[-1]] = without_nulls(value)
    return after


def _key(method: Method, call: Call) -> str:
    """The last part of the new resource's name: an id in the query, else the body's `name`."""
    for parameter, description in method.parameters.items():
        if description.get("location") == "query" and parameter.endswith("Id") and parameter not in _TRACKING:
            if not call.query.get(parameter):
                raise invalid(f"Required parameter: {parameter}")
            return call.query[parameter]
    name = call.body.get("name")
    if not isinstance(name, str) or not name or "/" in name:
        raise invalid("Required field 'resource.name' not specified or not a plain name")
    return name


def _guarded(name: str) -> str:
    """The resource whose policy a path is about: Cloud Storage has it below the bucket."""
    return name.removesuffix("/iam") if name.startswith("storage/") else name


def _list_field(schema: Resource) -> str:
    """The field of a list's response that has the resources."""
    for field, description in schema["properties"].items():
        if description.get("type") == "array" and "$ref" in description.get("items", {}):
            return str(field)
    raise failed_precondition("The list's schema has no field for resources")


def _page_start(token: str | None) -> str:
    if not token:
        return ""
    try:
        return base64.urlsafe_b64decode(token).decode()
    except ValueError:
        raise invalid(f"Invalid value for field 'pageToken': '{token}'.") from None


async def _json(request: web.Request) -> Any:
    text = await request.text()
    if not text.strip():
        return {}
    try:
        return json.loads(text)
    except ValueError as error:
        raise invalid(f"Invalid JSON payload received. {error}") from None
