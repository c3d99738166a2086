"""Cloud TPU: virtual machines.

Calls: https://cloud.google.com/tpu/docs/reference/rest/v2/projects.locations.nodes.
"""

from __future__ import annotations

from typing import Any, Final

from sandbox.provider.fields import Field, Kind
from sandbox.provider.resource import DELETION_POLICY, LABELS, PROJECT, Resource, Update
from sandbox.provider.scope import last, same_link


def _switch(name: str, **options: Any) -> Field:
    return Field(name=name, kind=Kind.BOOLEAN, **options)


def _link(name: str) -> Field:
    return Field(name=name, computed=True, equal=same_link)


V2_VM: Final = Resource(
    type="gcp:tpu/v2Vm:V2Vm",
    service="tpu",
    identity="projects/{project}/locations/{zone}/nodes/{name}",
    collection="projects/{project}/locations/{zone}/nodes",
    query={"nodeId": "{name}"},
    fields=(
        Field(name="name", replace=True, flatten=last),
        PROJECT,
        Field(name="zone", api=None, computed=True, replace=True),
        Field(name="runtimeVersion", required=True, replace=True),
        Field(name="acceleratorType", computed=True, replace=True),
        Field(name="cidrBlock", computed=True, replace=True),
        Field(name="description"),
        Field(
            name="networkConfig",
            kind=Kind.OBJECT,
            computed=True,
            replace=True,
            fields=(
                _link("network"),
                _link("subnetwork"),
                _switch("enableExternalIps", zero=True, absent=False),
                _switch("canIpForward", zero=True, absent=False),
            ),
        ),
        Field(
            name="serviceAccount",
            kind=Kind.OBJECT,
            computed=True,
            replace=True,
            fields=(
                Field(name="email", computed=True),
                Field(name="scopes", kind=Kind.SET, api="scope", computed=True),
            ),
        ),
        Field(
            name="schedulingConfig",
            kind=Kind.OBJECT,
            replace=True,
            fields=(
                _switch("preemptible", zero=True, absent=False),
                _switch("reserved", zero=True, absent=False),
                _switch("spot"),
            ),
        ),
        Field(
            name="shieldedInstanceConfig",
            kind=Kind.OBJECT,
            replace=True,
            fields=(_switch("enableSecureBoot", required=True, zero=True),),
        ),
        Field(name="metadata", kind=Kind.MAP),
        Field(name="tags", kind=Kind.LIST),
        *LABELS,
        DELETION_POLICY,
        Field(name="apiVersion", output=True),
        Field(name="health", output=True),
        Field(name="healthDescription", output=True),
        _switch("multisliceNode", output=True),
        Field(
            name="networkEndpoints",
            kind=Kind.OBJECTS,
            output=True,
            fields=(
                Field(
                    name="accessConfigs",
                    kind=Kind.OBJECTS,
                    api="accessConfig",
                    flatten=lambda value: [value],
                    fields=(Field(name="externalIp"),),
                ),
                Field(name="ipAddress"),
                Field(name="port", kind=Kind.INTEGER),
            ),
        ),
        Field(name="queuedResource", output=True),
        Field(name="state", output=True),
        Field(
            name="symptoms",
            kind=Kind.OBJECTS,
            output=True,
            fields=(
                Field(name="createTime"),
                Field(name="details"),
                Field(name="symptomType"),
                Field(name="workerId"),
            ),
        ),
    ),
    updates=(Update(fields=("description", "metadata", "tags", "labels"), mask=True),),
)

RESOURCES: Final = (V2_VM,)
