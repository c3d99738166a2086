"""Cloud KMS: key rings, keys that sign, and their versions (https://cloud.google.com/kms/docs/reference/rest).

The sandbox signs with real keys on elliptic curves. What it has not (encryption, hardware, imports, rotation)
it refuses by name.
"""

from __future__ import annotations

import base64
import re
from datetime import UTC, datetime, timedelta
from typing import Final

import google_crc32c

from sandbox.cloud.context import Call, Cloud, Handler
from sandbox.cloud.control import timestamp
from sandbox.cloud.errors import failed_precondition, invalid, not_found, unimplemented
from sandbox.cloud.kinds import Kind, Resource
from sandbox.cloud.signing_keys import ALGORITHMS, SigningKeys, digest_of

_ID: Final = re.compile(r"[a-zA-Z0-9_-]{1,63}")
_DESTROYED_AFTER: Final = "2592000s"
"""How long a version that is to be destroyed can be restored, unless its key says otherwise: 30 days."""
_VERSIONS: Final = "cryptoKeyVersions"


def _ring(cloud: Cloud, name: str, ring: Resource) -> None:
    _check_id(name)


def _key(cloud: Cloud, name: str, key: Resource) -> None:
    _check_id(name)
    ring = name.rpartition("/cryptoKeys/")[0]
    if cloud.store.get(ring) is None:
        raise not_found(f"KeyRing {ring.partition('/')[2]} not found.")
    before = cloud.store.get(name)
    if before is not None and before["purpose"] != key.get("purpose"):
        raise invalid("CryptoKey.purpose can't be changed.")
    if key.get("purpose", "CRYPTO_KEY_PURPOSE_UNSPECIFIED") == "CRYPTO_KEY_PURPOSE_UNSPECIFIED":
        raise invalid("CryptoKey.purpose must be specified.")
    if key["purpose"] != "ASYMMETRIC_SIGN":
        raise unimplemented(f"The sandbox has keys of the purpose ASYMMETRIC_SIGN, not {key['purpose']}.")
    for field in ("rotationPeriod", "nextRotationTime"):
        if key.get(field):
            raise invalid(f"CryptoKey.{field} can't be set on a key of the purpose ASYMMETRIC_SIGN.")
    for field in ("importOnly", "cryptoKeyBackend", "keyAccessJustificationsPolicy"):
        if key.get(field):
            raise unimplemented(f"The sandbox does not have CryptoKey.{field}.")
    template = key.get("versionTemplate") or {}
    algorithm = template.get("algorithm")
    if not algorithm:
        raise invalid("CryptoKey.version_template.algorithm must be specified.")
    if algorithm not in ALGORITHMS:
        raise unimplemented(f"The sandbox signs with {' and '.join(ALGORITHMS)}, not with {algorithm}.")
    level = template.get("protectionLevel", "SOFTWARE")
    if level != "SOFTWARE":
        raise unimplemented(f"The sandbox has no hardware: the protection level {level} is not to be had.")
    key["versionTemplate"] = {"protectionLevel": level, "algorithm": algorithm}
    key.setdefault("destroyScheduledDuration", _DESTROYED_AFTER)


def _first_version(cloud: Cloud, name: str, key: Resource) -> list[str]:
    """A new key has its first version, unless its creator said otherwise."""
    skipped = key.pop(_SKIP, False)
    cloud.store.put(name, key)
    if skipped:
        return []
    _make_version(cloud, name, key)
    return [f"{name}/{_VERSIONS}/1"]


_SKIP: Final = "skipInitialVersionCreation"


def _key_id(call: Call) -> str:
    """The new key's id; the query also says whether it gets a version, which its creation has to know."""
    if call.query.get(_SKIP) == "true":
        call.body[_SKIP] = True
    if not call.query.get("cryptoKeyId"):
        raise invalid("Required parameter: cryptoKeyId")
    return call.query["cryptoKeyId"]


def _refuse_deletion(cloud: Cloud, name: str, resource: Resource) -> None:
    raise unimplemented("The sandbox deletes nothing of Cloud KMS; destroy the versions of a key instead.")


def _show_version(cloud: Cloud, name: str, version: Resource) -> None:
    """A version whose time has come is destroyed, and its key with it."""
    if version["state"] == "DESTROY_SCHEDULED" and version["destroyTime"] <= timestamp():
        SigningKeys(cloud.root).forget(version["name"])
        version |= {"state": "DESTROYED", "destroyEventTime": version.pop("destroyTime")}
        cloud.store.put(name, version)


def _make_version(cloud: Cloud, key_name: str, key: Resource) -> Resource:
    taken = [int(name.rpartition("/")[2]) for name in cloud.store.list(f"{key_name}/{_VERSIONS}/")]
    name = f"{key_name}/{_VERSIONS}/{max(taken, default=0) + 1}"
    template = key["versionTemplate"]
    now = timestamp()
    version = {
        "name": name.partition("/")[2],
        "state": "ENABLED",
        "protectionLevel": template["protectionLevel"],
        "algorithm": template["algorithm"],
        "createTime": now,
        "generateTime": now,
    }
    SigningKeys(cloud.root).make(version["name"], template["algorithm"])
    cloud.store.put(name, version)
    return version


def _version(cloud: Cloud, name: str) -> Resource:
    version = cloud.store.get(name)
    if version is None:
        raise not_found(f"CryptoKeyVersion {name.partition('/')[2]} not found.")
    _show_version(cloud, name, version)
    return version


def _enabled(cloud: Cloud, name: str) -> Resource:
    version = _version(cloud, name)
    if version["state"] != "ENABLED":
        raise failed_precondition(f"{version['name']} is not enabled, current state is: {version['state']}.")
    return version


async def _create_version(cloud: Cloud, call: Call) -> Resource:
    key_name = call.name.removesuffix(f"/{_VERSIONS}")
    key = cloud.store.get(key_name)
    if key is None:
        raise not_found(f"CryptoKey {key_name.partition('/')[2]} not found.")
    return _make_version(cloud, key_name, key)


async def _change_version(cloud: Cloud, call: Call) -> Resource:
    version = _version(cloud, call.name)
    if call.query.get("updateMask") != "state":
        raise invalid("updateMask must name the field that can be changed: state.")
    wanted = call.body.get("state")
    if wanted not in {"ENABLED", "DISABLED"} or version["state"] not in {"ENABLED", "DISABLED"}:
        raise failed_precondition(
            f"{version['name']} can't go from {version['state']} to {wanted}; see its destroy and restore."
        )
    version["state"] = wanted
    cloud.store.put(call.name, version)
    return version


async def _destroy_version(cloud: Cloud, call: Call) -> Resource:
    version = _version(cloud, call.name)
    if version["state"] not in {"ENABLED", "DISABLED"}:
        raise failed_precondition(f"{version['name']} can't be destroyed, its state is {version['state']}.")
    key = cloud.store.get(call.name.partition(f"/{_VERSIONS}/")[0]) or {}
    seconds = float(key.get("destroyScheduledDuration", _DESTROYED_AFTER).removesuffix("s"))
    end = datetime.now(UTC) + timedelta(seconds=seconds)
    version |= {
        "state": "DESTROY_SCHEDULED",
        "destroyTime": end.isoformat(timespec="milliseconds").replace("+00:00", "Z"),
    }
    cloud.store.put(call.name, version)
    return version


async def _restore_version(cloud: Cloud, call: Call) -> Resource:
    version = _version(cloud, call.name)
    if version["state"] != "DESTROY_SCHEDULED":
        raise failed_precondition(f"{version['name']} can't be restored, its state is {version['state']}.")
    del version["destroyTime"]
    version["state"] = "DISABLED"
    cloud.store.put(call.name, version)
    return version


async def _public_key(cloud: Cloud, call: Call) -> Resource:
    form = call.query.get("publicKeyFormat", "PEM")
    if form not in {"PEM", "PUBLIC_KEY_FORMAT_UNSPECIFIED"}:
        raise unimplemented(f"The sandbox gives public keys as PEM, not as {form}.")
    version = _enabled(cloud, call.name.removesuffix("/publicKey"))
    pem = SigningKeys(cloud.root).public(version["name"])
    return {
        "pem": pem,
        "algorithm": version["algorithm"],
        "pemCrc32c": _crc32c(pem.encode()),
        "name": version["name"],
        "protectionLevel": version["protectionLevel"],
    }


async def _sign(cloud: Cloud, call: Call) -> Resource:
    """Sign a digest, and say whether it arrived whole.

    See https://cloud.google.com/kms/docs/data-integrity-guidelines.
    """
    if call.body.get("data"):
        raise unimplemented("The sandbox signs digests, not data: send a digest.")
    version = _enabled(cloud, call.name)
    field, size = digest_of(version["algorithm"])
    digests = {key: value for key, value in (call.body.get("digest") or {}).items() if value}
    if set(digests) != {field}:
        given = ", ".join(sorted(digests)) or "none"
        raise invalid(f"{version['algorithm']} takes one digest, {field}; given: {given}.")
    digest = base64.b64decode(digests[field].replace("-", "+").replace("_", "/"))
    if len(digest) != size:
        raise invalid(f"Provided digest has incorrect size (got {len(digest)}, want {size}).")
    promised = call.body.get("digestCrc32c")
    if promised is not None and promised != _crc32c(digest):
        raise invalid("The checksum in field digest_crc32c did not match the data in field digest.")
    signature = SigningKeys(cloud.root).sign(version["name"], version["algorithm"], digest)
    return {
        "signature": base64.b64encode(signature).decode(),
        "signatureCrc32c": _crc32c(signature),
        **({"verifiedDigestCrc32c": True} if promised is not None else {}),
        "name": version["name"],
        "protectionLevel": version["protectionLevel"],
    }


def _crc32c(data: bytes) -> str:
    """CRC32C (RFC 3720); a 64-bit number is a text in Google's JSON."""
    return str(google_crc32c.value(data))


def _check_id(name: str) -> None:
    key = name.rpartition("/")[2]
    if not _ID.fullmatch(key):
        raise invalid(f"Invalid id '{key}': use 1 to 63 letters, digits, dashes and underscores.")


_PREFIX: Final = "cloudkms.projects.locations.keyRings"

KINDS: Final = [
    Kind(_PREFIX, "keyRings", prepare=_ring, deleting=_refuse_deletion),
    Kind(
        f"{_PREFIX}.cryptoKeys",
        "cryptoKeys",
        prepare=_key,
        created=_first_version,
        deleting=_refuse_deletion,
        key=_key_id,
    ),
    Kind(f"{_PREFIX}.cryptoKeys.{_VERSIONS}", _VERSIONS, show=_show_version, deleting=_refuse_deletion),
]

OVERRIDES: Final[dict[str, Handler]] = {
    f"{_PREFIX}.cryptoKeys.{_VERSIONS}.{verb}": handler
    for verb, handler in {
        "create": _create_version,
        "patch": _change_version,
        "destroy": _destroy_version,
        "restore": _restore_version,
        "getPublicKey": _public_key,
        "asymmetricSign": _sign,
    }.items()
}
