"""Cloud Storage: buckets.

Calls: https://cloud.google.com/storage/docs/json_api/v1, as the real provider makes them.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final
from urllib.parse import quote

from sandbox.provider.errors import ApiError, ProviderError
from sandbox.provider.fields import Field, Kind
from sandbox.provider.resource import DELETION_POLICY, LABELS, Resource, Update
from sandbox.provider.rest import Api, Body
from sandbox.provider.scope import Scope
from sandbox.provider.values import Props


def _same_word(old: str, new: str) -> bool:
    return old.lower() == new.lower()


def _number(name: str) -> Field:
    return Field(name=name, kind=Kind.INTEGER)


def _live(rule: Mapping[str, Any], scope: Scope) -> dict[str, Any]:
    """The provider's ``withState`` is the service's ``isLive``."""
    rule = dict(rule)
    state = rule.pop("withState", "ANY")
    return rule if state == "ANY" else {**rule, "isLive": state == "LIVE"}


def _with_state(condition: Mapping[str, Any]) -> dict[str, Any]:
    condition = dict(condition)
    live = condition.pop("isLive", None)
    return condition if live is None else {**condition, "withState": "LIVE" if live else "ARCHIVED"}


LIFECYCLE: Final = Field(
    name="lifecycleRules",
    kind=Kind.OBJECTS,
    api="lifecycle.rule",
    absent=[],
    fields=(
        Field(
            name="action",
            kind=Kind.OBJECT,
            required=True,
            fields=(
                Field(name="type", required=True),
                Field(name="storageClass"),
            ),
        ),
        Field(
            name="condition",
            kind=Kind.OBJECT,
            required=True,
            absent={},
            expand=_live,
            flatten=_with_state,
            fields=(
                _number("age"),
                Field(name="createdBefore"),
                Field(name="customTimeBefore"),
                _number("daysSinceCustomTime"),
                _number("daysSinceNoncurrentTime"),
                Field(name="noncurrentTimeBefore"),
                _number("numNewerVersions"),
                Field(name="matchesPrefixes", kind=Kind.LIST, api="matchesPrefix"),
                Field(name="matchesSuffixes", kind=Kind.LIST, api="matchesSuffix"),
                Field(name="matchesStorageClasses", kind=Kind.LIST, api="matchesStorageClass"),
                Field(name="withState", computed=True, values=("LIVE", "ARCHIVED", "ANY")),
            ),
        ),
    ),
)


def _text(value: int, scope: Scope) -> str:
    """64-bit numbers are strings in Google's JSON."""
    return str(value)


class _Bucket(Resource):
    def state(self, answer: Body, known: Props, scope: Scope) -> Props:
        state = super().state(answer, known, scope)
        return state | {"url": f"gs://{answer['name']}"}

    def fetch(self, api: Api, identity: str, scope: Scope) -> Body | None:
        bucket = super().fetch(api, identity, scope)
        if bucket is not None and not scope.values.get("project"):
            # A bucket knows its project's number only: Compute tells the name
            project = api.get("compute", f"projects/{bucket['projectNumber']}") or {}
            bucket = {**bucket, "project": project.get("name") or scope.defaults.project}
        return bucket

    def encode_update(self, scope: Scope, step: Update, hit: list[str], inputs: Props) -> Body:
        body = super().encode_update(scope, step, hit, inputs)
        changed = {name: body[name] for name in {self.named[item].path[0] for item in hit} if name in body}
        if "labels" in hit:
            gone = (scope.values.get("effectiveLabels") or {}).keys() - (inputs.get("labels") or {}).keys()
            changed["labels"] = {**(inputs.get("labels") or {}), **dict.fromkeys(gone)}
        return changed

    def remove(self, api: Api, identity: str, scope: Scope) -> None:
        bucket, force = self.location(scope), bool(scope.values.get("forceDestroy"))
        caches = api.get(self.service, f"{bucket}/anywhereCaches/") or {}
        if caches.get("items"):
            raise ProviderError(
                f"bucket {identity} has Anywhere Caches: the sandbox's provider does not delete them"
            )
        for item in api.pages(self.service, f"{bucket}/o", "items", {"versions": "true"}):
            if not force:
                raise ProviderError(
                    f"bucket {identity} is not empty: set forceDestroy to delete it with its objects"
                )
            path = f"{bucket}/o/{quote(item['name'], safe='')}"
            try:
                api.call(self.service, "DELETE", path, {"generation": str(item["generation"])})
            except ApiError as error:
                if error.status != 404:
                    raise
        super().remove(api, identity, scope)


BUCKET: Final = _Bucket(
    type="gcp:storage/bucket:Bucket",
    service="storage",
    identity="{name}",
    path="b/{name}",
    collection="b",
    query={"project": "{project}"},
    fields=(
        Field(name="name", replace=True),
        Field(name="project", api=None, computed=True, replace=True),
        Field(name="location", required=True, replace=True, equal=_same_word),
        Field(name="storageClass", default="STANDARD"),
        Field(name="forceDestroy", kind=Kind.BOOLEAN, api=None, default=False),
        Field(
            name="uniformBucketLevelAccess",
            kind=Kind.BOOLEAN,
            api="iamConfiguration.uniformBucketLevelAccess.enabled",
            computed=True,
            zero=True,
            absent=False,
        ),
        Field(
            name="publicAccessPrevention",
            api="iamConfiguration.publicAccessPrevention",
            computed=True,
            values=("enforced", "inherited"),
        ),
        Field(
            name="versioning",
            kind=Kind.OBJECT,
            computed=True,
            fields=(Field(name="enabled", kind=Kind.BOOLEAN, required=True, zero=True),),
        ),
        LIFECYCLE,
        Field(
            name="softDeletePolicy",
            kind=Kind.OBJECT,
            computed=True,
            fields=(
                Field(
                    name="retentionDurationSeconds",
                    kind=Kind.INTEGER,
                    default=604800,
                    zero=True,
                    expand=_text,
                ),
                Field(name="effectiveTime", output=True),
            ),
        ),
        Field(
            name="retentionPolicy",
            kind=Kind.OBJECT,
            fields=(Field(name="retentionPeriod", required=True),),
        ),
        Field(name="defaultEventBasedHold", kind=Kind.BOOLEAN),
        Field(name="requesterPays", kind=Kind.BOOLEAN, api="billing.requesterPays"),
        *LABELS,
        DELETION_POLICY,
        Field(name="projectNumber", kind=Kind.INTEGER, output=True),
        Field(name="timeCreated", output=True),
        Field(name="updated", output=True),
        Field(name="selfLink", output=True),
        Field(name="url", api=None, output=True),
    ),
    updates=(
        Update(
            fields=(
                "storageClass",
                "uniformBucketLevelAccess",
                "publicAccessPrevention",
                "versioning",
                "lifecycleRules",
                "softDeletePolicy",
                "retentionPolicy",
                "defaultEventBasedHold",
                "requesterPays",
                "labels",
            )
        ),
    ),
)

RESOURCES: Final = (BUCKET,)
