"""What the provider does not do it refuses by name, before anything is called."""

from __future__ import annotations

import grpc  # type: ignore[import-untyped]
import pytest
from pulumi.runtime.proto import provider_pb2

from sandbox.provider.values import encode
from tests.sandbox.provider import engine as engines
from tests.sandbox.provider.cases import CASES, Props
from tests.sandbox.provider.engine import Engine, RefusedError
from tests.sandbox.provider.recorder import Recorder, error


@pytest.mark.parametrize(
    ("case", "change", "line"),
    [
        (
            "vm",
            {"dataDisks": [{"sourceDisk": "d"}]},
            "gcp:tpu/v2Vm:V2Vm 'vm': field 'dataDisks' is not supported by the sandbox's provider",
        ),
        ("network", {"networkProfile": "p"}, "field 'networkProfile' is not supported"),
        (
            "repository-apt-inner-loop",
            {"remoteRepositoryConfig": {"dockerRepository": {}}},
            "field 'remoteRepositoryConfig.dockerRepository' is not supported",
        ),
        (
            "firewall-allow",
            {"allows": [{"protocol": "tcp", "portz": []}]},
            "field 'allows[0].portz' is not supported",
        ),
        ("subnetwork", {"network": None}, "field 'network' is required"),
        ("bucket", {"versioning": {}}, "field 'versioning.enabled' is required"),
        ("subnetwork", {"region": None}, "field 'region' is required (or set gcp:region)"),
        ("vm", {"zone": None}, "field 'zone' is required (or set gcp:zone)"),
        ("network", {"mtu": "big"}, "field 'mtu' must be a whole number"),
        ("network", {"mtu": True}, "field 'mtu' must be a whole number"),
        ("network", {"name": "Upper"}, "field 'name' is 'Upper': it must match"),
        ("network", {"routingMode": "LOCAL"}, "it must be one of REGIONAL, GLOBAL"),
        ("firewall-allow", {"denies": [{"protocol": "all"}]}, "exactly one of allows, denies"),
        ("firewall-allow", {"allows": None}, "exactly one of allows, denies"),
        ("managed-zone", {"dnsName": "pkg.dev"}, "field 'dnsName' is 'pkg.dev': it must match"),
        ("project-member", {"member": "nobody"}, "field 'member' is 'nobody'"),
        ("vm", {"labels": {"a": 1}}, "field 'labels' must be a map of strings"),
        ("network", {"deletionPolicy": "KEEP"}, "it must be one of DELETE, ABANDON, PREVENT"),
    ],
)
def test_inputs(case: str, change: Props, line: str, engine: Engine, recorder: Recorder) -> None:
    kind, given = CASES[case]
    with pytest.raises(RefusedError) as refused:
        engine.check(kind, case, {key: v for key, v in (given | change).items() if v is not None})
    assert line in str(refused.value)
    assert "\n" not in str(refused.value)
    assert recorder.calls == []


def test_a_type_that_the_table_lacks(engine: Engine) -> None:
    with pytest.raises(grpc.RpcError) as refused:
        engine.check("gcp:compute/instance:Instance", "x", {})
    assert refused.value.details() == (
        "gcp:compute/instance:Instance 'x': resource type 'gcp:compute/instance:Instance' "
        "is not supported by the sandbox's provider"
    )


def test_functions_methods_and_components(engine: Engine) -> None:
    for call, request in [
        (engine.stub.Invoke, provider_pb2.InvokeRequest(tok="gcp:compute/getZones:getZones")),
        (engine.stub.Call, provider_pb2.CallRequest(tok="gcp:a/b:c")),
        (engine.stub.Construct, provider_pb2.ConstructRequest(type="gcp:a/b:C")),
    ]:
        with pytest.raises(grpc.RpcError) as refused:
            call(request)
        assert refused.value.code() is grpc.StatusCode.UNIMPLEMENTED
        assert "is not supported by the sandbox's provider" in refused.value.details()


def test_a_function_with_wrong_arguments(engine: Engine, recorder: Recorder) -> None:
    request = provider_pb2.InvokeRequest(
        tok="gcp:kms/getKMSCryptoKeyVersion:getKMSCryptoKeyVersion", args=encode({"versoin": 1})
    )
    answer = engine.stub.Invoke(request)
    assert {failure.property for failure in answer.failures} == {"versoin", "cryptoKey"}
    assert recorder.calls == []


def test_settings(engine: Engine) -> None:
    request = provider_pb2.CheckRequest(
        news=encode(
            {
                "version": "10.2.0",
                "project": "p",
                "computeCustomEndpoint": "https://x/",
                "disableGlobalProjectWarning": "true",
            }
        )
    )
    answer = engine.stub.CheckConfig(request)
    assert [failure.property for failure in answer.failures] == ["computeCustomEndpoint"]


def test_a_service_without_an_endpoint(recorder: Recorder) -> None:
    environment = recorder.environment()
    del environment["GOOGLE_DNS_CUSTOM_ENDPOINT"]
    with engines.serve(environment) as engine, pytest.raises(grpc.RpcError) as refused:
        engine.create(*_named("policy"))
    assert "no endpoint for dns: set GOOGLE_DNS_CUSTOM_ENDPOINT" in refused.value.details()
    assert recorder.calls == []


def test_no_project_anywhere(recorder: Recorder) -> None:
    with engines.serve(recorder.environment()) as engine, pytest.raises(RefusedError) as refused:
        engine.check("gcp:compute/network:Network", "x", {"name": "x"})
    assert "field 'project' is required (or set gcp:project)" in str(refused.value)


def test_an_unknown_outside_a_preview(engine: Engine, recorder: Recorder) -> None:
    with pytest.raises(grpc.RpcError, match="field 'description' is not known"):
        engine.create("gcp:compute/network:Network", "x", {"name": "x", "description": engines.UNKNOWN})
    assert recorder.calls == []


def test_the_services_own_words_are_passed_on(engine: Engine, recorder: Recorder) -> None:
    path = "compute/beta/projects/inner/global/networks"
    recorder.failing["POST", path] = [(403, error(403, "PERMISSION_DENIED", "not you"))]
    with pytest.raises(grpc.RpcError) as refused:
        engine.create(*_named("network"))
    assert refused.value.details() == (
        "gcp:compute/network:Network 'network': POST compute projects/inner/global/networks: "
        "403 PERMISSION_DENIED: not you"
    )


def _named(case: str) -> tuple[str, str, Props]:
    kind, given = CASES[case]
    return kind, case, given
