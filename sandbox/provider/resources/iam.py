"""Members of IAM policies: a role for one identity, on a project, repository, bucket, account or key.

The policy is read, changed and written back with its etag, and that again when another writer came between
(https://cloud.google.com/iam/docs/allow-policies#etag).
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any, Final

from sandbox.provider.errors import ApiError, ProviderError
from sandbox.provider.fields import Field, Kind
from sandbox.provider.resource import PROJECT, Resource
from sandbox.provider.rest import Api, Body
from sandbox.provider.scope import Scope

TRIES: Final = 10
"""How often a change of a policy is tried when others change it too."""
VERSION: Final = 3
"""The policy version that has conditions."""

_CASED: Final = ("principal:", "principalSet:", "principalHierarchy:")


def normal(member: str) -> str:
    """A member as IAM compares it: without case, but for principals of pools."""
    kind, separator, rest = member.partition(":")
    if member.startswith(_CASED) or not separator:
        return member
    if kind == "deleted":
        return f"{kind}:{normal(rest)}"
    return f"{kind}:{rest.lower()}"


def _same_member(old: str, new: str) -> bool:
    return normal(old) == normal(new)


def _condition(values: Mapping[str, Any]) -> Body | None:
    return {key: value for key, value in values.items() if value} or None


def _find(policy: Body, role: str, condition: Body | None) -> Body | None:
    for binding in policy.get("bindings", []):
        if binding["role"] == role and (_condition(binding.get("condition") or {}) == condition):
            return binding  # type: ignore[no-any-return]
    return None


def grant(policy: Body, role: str, member: str, condition: Body | None) -> Body:
    """The policy with a member in a role, otherwise the same."""
    bindings = [dict(binding) for binding in policy.get("bindings", [])]
    changed = {**policy, "bindings": bindings, "version": VERSION}
    binding = _find(changed, role, condition)
    if binding is None:
        binding = {"role": role, "members": []} | ({"condition": condition} if condition else {})
        bindings.append(binding)
    kept = [other for other in binding["members"] if not _same_member(other, member)]
    binding["members"] = sorted([*kept, member])
    return changed


def revoke(policy: Body, role: str, member: str, condition: Body | None) -> Body:
    """The policy without a member in a role; what is empty then goes too."""
    bindings = []
    for binding in policy.get("bindings", []):
        if binding["role"] == role and _condition(binding.get("condition") or {}) == condition:
            binding = {**binding, "members": [m for m in binding["members"] if not _same_member(m, member)]}
        if binding["members"]:
            bindings.append(binding)
    changed = {**policy, "version": VERSION}
    changed.pop("bindings", None)
    return changed | ({"bindings": bindings} if bindings else {})


class Member(Resource):
    """One member of a policy; the subclasses say where the policy is and how it is read and written."""

    def policy(self, api: Api, scope: Scope) -> Body:
        """Read the policy."""
        raise NotImplementedError

    def write(self, api: Api, scope: Scope, policy: Body) -> None:
        """Write the policy; the service refuses it if its etag is no longer the current one."""
        raise NotImplementedError

    def place(self, scope: Scope) -> str:
        """The beginning of the id: what the policy belongs to."""
        raise NotImplementedError

    def identify(self, scope: Scope, answer: Body) -> str:
        """What the policy belongs to, the role, the member and the condition."""
        values = scope.values
        parts = [self.place(scope), values["role"], normal(str(values["member"]))]
        if condition := values.get("condition"):
            parts += [condition.get(key, "") for key in ("title", "description", "expression")]
        return "/".join(parts)

    def modify(self, api: Api, scope: Scope, change: Callable[[Body], Body]) -> None:
        """Read, change and write the policy, again when someone else wrote in between."""
        with api.lock(f"iam/{self.service}/{self.place(scope)}"):
            for attempt in range(1, TRIES + 1):
                before = self.policy(api, scope)
                after = change(before)
                if after.get("bindings") == before.get("bindings"):
                    return
                try:
                    return self.write(api, scope, after)
                except ApiError as error:
                    if error.status not in (409, 412) or attempt == TRIES:
                        raise
                api.pause(0.1 * attempt)

    def insert(self, api: Api, scope: Scope) -> Body:
        """Grant."""
        role, member, condition = self._binding(scope.values)
        self.modify(api, scope, lambda policy: grant(policy, role, member, condition))
        return {}

    def fetch(self, api: Api, identity: str, scope: Scope) -> Body | None:
        """The grant as the policy has it."""
        if "member" not in scope.values:
            raise ProviderError(f"{self.type}: import is not supported by the sandbox's provider")
        role, member, condition = self._binding(scope.values)
        try:
            policy = self.policy(api, scope)
        except ApiError as error:
            if error.status == 404:
                return None
            raise
        binding = _find(policy, role, condition)
        found = next((m for m in (binding or {}).get("members", []) if _same_member(m, member)), None)
        if found is None:
            return None
        return {"role": role, "member": found, "condition": condition, "etag": policy.get("etag")}

    def remove(self, api: Api, identity: str, scope: Scope) -> None:
        """Revoke."""
        role, member, condition = self._binding(scope.values)
        self.modify(api, scope, lambda policy: revoke(policy, role, member, condition))

    def _binding(self, values: Mapping[str, Any]) -> tuple[str, str, Body | None]:
        return values["role"], values["member"], _condition(values.get("condition") or {})


def member_fields(*parents: Field) -> tuple[Field, ...]:
    """The properties that every member has, with those that say where."""
    return (
        *parents,
        Field(name="role", required=True, replace=True),
        Field(
            name="member",
            required=True,
            replace=True,
            pattern="allUsers|allAuthenticatedUsers|[A-Za-z]+:.+",
            equal=_same_member,
        ),
        Field(
            name="condition",
            kind=Kind.OBJECT,
            replace=True,
            fields=(
                Field(name="title", required=True),
                Field(name="expression", required=True),
                Field(name="description"),
            ),
        ),
        Field(name="etag", output=True),
    )


class _ProjectMember(Member):
    def policy(self, api: Api, scope: Scope) -> Body:
        body = {"options": {"requestedPolicyVersion": VERSION}}
        return api.call(self.service, "POST", scope.path("projects/{project}:getIamPolicy"), body=body)

    def write(self, api: Api, scope: Scope, policy: Body) -> None:
        body = {"policy": policy, "updateMask": "bindings,etag,auditConfigs"}
        api.call(self.service, "POST", scope.path("projects/{project}:setIamPolicy"), body=body)

    def place(self, scope: Scope) -> str:
        return scope.text("{project}")


class _RepositoryMember(Member):
    _path: Final = "projects/{project}/locations/{location}/repositories/{repository}"

    def policy(self, api: Api, scope: Scope) -> Body:
        return api.call(self.service, "GET", scope.path(self._path + ":getIamPolicy"))

    def write(self, api: Api, scope: Scope, policy: Body) -> None:
        api.call(self.service, "POST", scope.path(self._path + ":setIamPolicy"), body={"policy": policy})

    def place(self, scope: Scope) -> str:
        return scope.text(self._path)


class _BucketMember(Member):
    def policy(self, api: Api, scope: Scope) -> Body:
        query = {"optionsRequestedPolicyVersion": str(VERSION)}
        policy = api.call(self.service, "GET", scope.path("b/{bucket}/iam"), query)
        return {key: value for key, value in policy.items() if key in ("bindings", "etag", "version")}

    def write(self, api: Api, scope: Scope, policy: Body) -> None:
        api.call(self.service, "PUT", scope.path("b/{bucket}/iam"), body=policy)

    def place(self, scope: Scope) -> str:
        return scope.text("b/{bucket}")


class _AccountMember(Member):
    """The account is given by its full name, ``projects/P/serviceAccounts/EMAIL``."""

    def policy(self, api: Api, scope: Scope) -> Body:
        query = {"options.requestedPolicyVersion": str(VERSION)}
        return api.call(self.service, "POST", f"{self.place(scope)}:getIamPolicy", query)

    def write(self, api: Api, scope: Scope, policy: Body) -> None:
        api.call(self.service, "POST", f"{self.place(scope)}:setIamPolicy", body={"policy": policy})

    def place(self, scope: Scope) -> str:
        return str(scope.values["serviceAccountId"])


class _KeyMember(Member):
    """The key is given by its full name, ``projects/P/locations/L/keyRings/R/cryptoKeys/K``."""

    def policy(self, api: Api, scope: Scope) -> Body:
        query = {"options.requestedPolicyVersion": str(VERSION)}
        return api.call(self.service, "GET", f"{self.place(scope)}:getIamPolicy", query)

    def write(self, api: Api, scope: Scope, policy: Body) -> None:
        api.call(self.service, "POST", f"{self.place(scope)}:setIamPolicy", body={"policy": policy})

    def place(self, scope: Scope) -> str:
        return str(scope.values["cryptoKeyId"])


def _parent(name: str, **options: Any) -> Field:
    return Field(name=name, api=None, required=True, replace=True, **options)


PROJECT_MEMBER: Final = _ProjectMember(
    type="gcp:projects/iAMMember:IAMMember",
    service="cloudresourcemanager",
    identity="{project}/{role}/{member}",
    autoname="",
    fields=member_fields(_parent("project", equal=lambda a, b: a.split("/")[-1] == b.split("/")[-1])),
)
REPOSITORY_MEMBER: Final = _RepositoryMember(
    type="gcp:artifactregistry/repositoryIamMember:RepositoryIamMember",
    service="artifactregistry",
    identity="projects/{project}/locations/{location}/repositories/{repository}/{role}/{member}",
    autoname="",
    fields=member_fields(
        PROJECT,
        Field(name="location", api=None, computed=True, replace=True),
        _parent("repository", equal=lambda a, b: a.split("/")[-1] == b.split("/")[-1]),
    ),
)
BUCKET_MEMBER: Final = _BucketMember(
    type="gcp:storage/bucketIAMMember:BucketIAMMember",
    service="storage",
    identity="b/{bucket}/{role}/{member}",
    autoname="",
    fields=member_fields(_parent("bucket", equal=lambda a, b: a.removeprefix("b/") == b.removeprefix("b/"))),
)
ACCOUNT_MEMBER: Final = _AccountMember(
    type="gcp:serviceaccount/iAMMember:IAMMember",
    service="iam",
    identity="{serviceAccountId}/{role}/{member}",
    autoname="",
    fields=member_fields(_parent("serviceAccountId", pattern="projects/[^/]+/serviceAccounts/[^/]+")),
)

KEY_MEMBER: Final = _KeyMember(
    type="gcp:kms/cryptoKeyIAMMember:CryptoKeyIAMMember",
    service="cloudkms",
    identity="{cryptoKeyId}/{role}/{member}",
    autoname="",
    fields=member_fields(
        _parent("cryptoKeyId", pattern="projects/[^/]+/locations/[^/]+/keyRings/[^/]+/cryptoKeys/[^/]+")
    ),
)

RESOURCES: Final = (PROJECT_MEMBER, REPOSITORY_MEMBER, BUCKET_MEMBER, ACCOUNT_MEMBER, KEY_MEMBER)
