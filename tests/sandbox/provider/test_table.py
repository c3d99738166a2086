"""The table speaks of the SDK's types and fields, and leaves no change without a call."""

from __future__ import annotations

import importlib
import inspect
import re

import pytest
from pulumi._types import input_type_py_to_pulumi_names

from sandbox.provider.fields import Field, Kind
from sandbox.provider.resource import Resource
from sandbox.provider.scope import variables
from sandbox.provider.table import TABLE

TYPES = [
    "gcp:projects/service:Service",
    "gcp:projects/iAMMember:IAMMember",
    "gcp:compute/network:Network",
    "gcp:compute/subnetwork:Subnetwork",
    "gcp:compute/router:Router",
    "gcp:compute/routerNat:RouterNat",
    "gcp:compute/firewall:Firewall",
    "gcp:compute/route:Route",
    "gcp:dns/managedZone:ManagedZone",
    "gcp:dns/recordSet:RecordSet",
    "gcp:dns/responsePolicy:ResponsePolicy",
    "gcp:dns/responsePolicyRule:ResponsePolicyRule",
    "gcp:dns/policy:Policy",
    "gcp:artifactregistry/repository:Repository",
    "gcp:artifactregistry/repositoryIamMember:RepositoryIamMember",
    "gcp:artifactregistry/vpcscConfig:VpcscConfig",
    "gcp:kms/keyRing:KeyRing",
    "gcp:kms/cryptoKey:CryptoKey",
    "gcp:kms/cryptoKeyIAMMember:CryptoKeyIAMMember",
    "gcp:storage/bucket:Bucket",
    "gcp:storage/bucketIAMMember:BucketIAMMember",
    "gcp:serviceaccount/account:Account",
    "gcp:serviceaccount/iAMMember:IAMMember",
    "gcp:tpu/v2Vm:V2Vm",
]


def sdk(kind: str) -> tuple[type, type]:
    """The SDK's classes of a type: the arguments and the resource."""
    module = importlib.import_module("pulumi_gcp." + kind.split(":")[1].split("/")[0])
    name = kind.rsplit(":", 1)[1]
    return getattr(module, f"{name}Args"), getattr(module, name)


def getters(cls: type) -> dict[str, property]:
    """The properties of an SDK class by Pulumi's names."""
    found = {}
    for name, member in inspect.getmembers(cls, lambda member: isinstance(member, property)):
        assert member.fget is not None
        found[getattr(member.fget, "_pulumi_name", name)] = member
    return found


def inner(cls: type, name: str) -> type:
    """The SDK's class of the objects that a property holds, which its annotation names."""
    package = cls.__module__.split(".")[1]
    side = "_inputs" if cls.__name__.endswith("Args") else "outputs"
    classes = importlib.import_module(f"pulumi_gcp.{package}.{side}")
    getter = getters(cls)[name].fget
    assert getter is not None
    words = re.findall(r"\w+", str(getter.__annotations__["return"]))
    stem = cls.__name__.removesuffix("Args")
    found: type = next(getattr(classes, word) for word in words if word.startswith(stem))
    return found


def assert_known(fields: tuple[Field, ...], cls: type) -> None:
    known = getters(cls)
    for field in fields:
        assert field.name in known, f"{cls.__name__} has no {field.name}"
        if field.kind in (Kind.OBJECT, Kind.OBJECTS, Kind.OBJECT_SET):
            assert_known(field.fields, inner(cls, field.name))


def test_the_table_has_the_types_of_the_stacks_and_no_others() -> None:
    assert set(TABLE) == set(TYPES)


@pytest.mark.parametrize("kind", TYPES)
def test_every_input_is_one_of_the_sdk(kind: str) -> None:
    arguments, _ = sdk(kind)
    assert_known(tuple(field for field in TABLE[kind].fields if field.input), arguments)


@pytest.mark.parametrize("kind", TYPES)
def test_every_property_is_an_output_of_the_sdk(kind: str) -> None:
    _, resource = sdk(kind)
    assert_known(TABLE[kind].fields, resource)


@pytest.mark.parametrize("kind", TYPES)
def test_what_the_sdk_requires_is_required(kind: str) -> None:
    arguments, _ = sdk(kind)
    names = input_type_py_to_pulumi_names(arguments)
    parameters = inspect.signature(arguments).parameters.values()
    required = {
        names[item.name]
        for item in parameters
        if item.default is inspect.Parameter.empty and item.name in names
    }
    given = {field.name for field in TABLE[kind].fields if field.required}
    assert required <= given


def reached(resource: Resource) -> set[str]:
    return {name for update in resource.updates for name in update.fields}


@pytest.mark.parametrize("kind", TYPES)
def test_every_change_has_a_call_or_replaces(kind: str) -> None:
    resource = TABLE[kind]
    for field in resource.fields:
        if field.input and field.api is not None and field.replace is not True:
            assert field.name in reached(resource), field.name


@pytest.mark.parametrize("kind", TYPES)
def test_updates_name_fields_of_the_type(kind: str) -> None:
    resource = TABLE[kind]
    assert reached(resource) <= set(resource.named)


@pytest.mark.parametrize("kind", TYPES)
def test_templates_name_fields_of_the_type(kind: str) -> None:
    resource = TABLE[kind]
    for template in (resource.identity, resource.path, resource.collection, resource.locked):
        assert set(variables(template)) <= set(resource.named)
