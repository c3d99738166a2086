"""Cloud KMS: key rings, keys, and the function that reads a version of a key.

Calls: https://cloud.google.com/kms/docs/reference/rest/v1, as the real provider makes them.
"""

from __future__ import annotations

from typing import Final

from sandbox.provider.errors import ProviderError
from sandbox.provider.fields import Field, Kind
from sandbox.provider.function import Function
from sandbox.provider.resource import DELETION_POLICY, LABELS, PROJECT, Resource, Update
from sandbox.provider.rest import Api, Body
from sandbox.provider.scope import Scope, last
from sandbox.provider.values import Props

_GONE: Final = {"DESTROYED", "DESTROY_SCHEDULED"}
_SIGNING: Final = {"ASYMMETRIC_SIGN", "ASYMMETRIC_DECRYPT"}
"""Purposes of keys that have a public half."""


class _KeyRing(Resource):
    """A ring is nothing but its name."""

    def insert(self, api: Api, scope: Scope) -> Body:
        query = {"keyRingId": str(scope.values["name"])}
        return api.call(self.service, "POST", scope.path(self.collection), query)

    def remove(self, api: Api, identity: str, scope: Scope) -> None:
        """Nothing: key rings can't be deleted in Cloud KMS, and the real provider only forgets them."""


class _CryptoKey(Resource):
    """The ring is given by its full name, so the key's place follows from that."""

    def identify(self, scope: Scope, answer: Body) -> str:
        return f"{scope.values['keyRing']}/cryptoKeys/{scope.values['name']}"

    def insert(self, api: Api, scope: Scope) -> Body:
        skipped = "true" if scope.values.get("skipInitialVersionCreation") else "false"
        query = {"cryptoKeyId": str(scope.values["name"]), "skipInitialVersionCreation": skipped}
        path = f"{scope.values['keyRing']}/cryptoKeys"
        return api.call(self.service, "POST", path, query, self.encode(scope))

    def fetch(self, api: Api, identity: str, scope: Scope) -> Body | None:
        return api.get(self.service, identity)

    def state(self, answer: Body, known: Props, scope: Scope) -> Props:
        ring, _, name = str(answer["name"]).rpartition("/cryptoKeys/")
        own = {"keyRing": ring, "name": name}
        return super().state(answer, known, Scope({**scope.values, **own}, scope.defaults)) | own

    def location(self, scope: Scope) -> str:
        return self.identify(scope, {})

    def step(self, api: Api, scope: Scope, step: Update, hit: list[str], inputs: Props) -> None:
        masks = {"labels": "labels", "versionTemplate": "versionTemplate.algorithm"}
        body = self.encode_update(scope, step, hit, inputs)
        query = {"updateMask": ",".join(masks[name] for name in hit)}
        api.call(self.service, "PATCH", self.location(scope), query, body)

    def remove(self, api: Api, identity: str, scope: Scope) -> None:
        """Destroy its versions: the key itself can't be deleted in Cloud KMS."""
        versions = api.call(self.service, "GET", f"{identity}/cryptoKeyVersions")
        for version in versions.get("cryptoKeyVersions", []):
            if version["state"] not in _GONE:
                api.call(self.service, "POST", f"{version['name']}:destroy", body={})


KEY_RING: Final = _KeyRing(
    type="gcp:kms/keyRing:KeyRing",
    service="cloudkms",
    identity="projects/{project}/locations/{location}/keyRings/{name}",
    collection="projects/{project}/locations/{location}/keyRings",
    fields=(
        Field(name="name", api=None, replace=True),
        Field(name="location", api=None, required=True, replace=True),
        PROJECT,
    ),
)

CRYPTO_KEY: Final = _CryptoKey(
    type="gcp:kms/cryptoKey:CryptoKey",
    service="cloudkms",
    identity="{keyRing}/cryptoKeys/{name}",
    fields=(
        Field(name="name", api=None, replace=True),
        Field(
            name="keyRing",
            api=None,
            required=True,
            replace=True,
            pattern="projects/[^/]+/locations/[^/]+/keyRings/[^/]+",
        ),
        Field(name="purpose", default="ENCRYPT_DECRYPT", replace=True),
        Field(
            name="versionTemplate",
            kind=Kind.OBJECT,
            computed=True,
            fields=(
                Field(name="algorithm", required=True),
                Field(name="protectionLevel", default="SOFTWARE", replace=True),
            ),
        ),
        Field(name="destroyScheduledDuration", computed=True, replace=True),
        Field(name="skipInitialVersionCreation", kind=Kind.BOOLEAN, api=None),
        *LABELS,
        DELETION_POLICY,
    ),
    updates=(Update(fields=("labels", "versionTemplate")),),
)


def _version(api: Api, given: Props) -> Props:
    """A version of a key, with its public half where it has one."""
    key = str(given["cryptoKey"])
    number = int(given.get("version") or 1)
    name = f"{key}/cryptoKeyVersions/{number}"
    found = api.get("cloudkms", name)
    if found is None:
        raise ProviderError(f"{name} was not found")
    public: list[Props] = []
    if api.call("cloudkms", "GET", key).get("purpose") in _SIGNING:
        answer = api.call("cloudkms", "GET", f"{name}/publicKey")
        public = [{"algorithm": answer["algorithm"], "pem": answer["pem"]}]
    return {
        "id": f"//cloudkms.googleapis.com/v1/{name}",
        "cryptoKey": key,
        "version": int(last(str(found["name"]))),
        "publicKeys": public,
        **{field: found[field] for field in ("name", "state", "algorithm", "protectionLevel")},
    }


RESOURCES: Final = (KEY_RING, CRYPTO_KEY)
FUNCTIONS: Final = (
    Function(
        token="gcp:kms/getKMSCryptoKeyVersion:getKMSCryptoKeyVersion",  # noqa: S106 - a function's name
        fields=(Field(name="cryptoKey", required=True), Field(name="version", kind=Kind.INTEGER)),
        call=_version,
    ),
)
