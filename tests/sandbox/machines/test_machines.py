"""Real machines in real namespaces: what is sealed is sealed by a declared resource, and by nothing else."""

from __future__ import annotations

import json
import os
import signal
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

from sandbox.cloud.errors import ApiError
from sandbox.machines import machine_command, sandbox_id
from tests.sandbox.machines.conftest import Box
from tests.sandbox.machines.declare import (
    BYPASSED,
    Resources,
    allow_vip,
    deny_egress,
    firewall,
    inner,
    logging_policy,
    nat,
    network_url,
    node,
    outer,
    private_zones,
    response_policy,
    route,
    vpc,
)

pytestmark = pytest.mark.sandbox

PROBE = (Path(__file__).parent / "probe.py").read_text()
OUTER, INNER = "dmz-outer", "dmz-inner"
EVERYTHING = {"tcp", "udp", "icmp", "ipv6", "dns-a", "dns-aaaa", "dns-txt", "google"}
SEALED = {"google"}
DNS = {"dns-a", "dns-aaaa", "dns-txt"}


def script(box: Box, project: str, address: str, text: str) -> None:
    """What the metadata server hands out as the startup script of a machine."""
    box.front.scripts[(network_url(project), address)] = text


def check_reached(box: Box, machine: str, expected: set[str]) -> None:
    """What the machine reaches is exactly this."""
    done = box.run(machine, "python3", "-c", PROBE, *expected)
    assert done.returncode == 0, done.stderr
    assert set(json.loads(done.stdout)) == expected


@contextmanager
def without(box: Box, resources: Resources) -> Iterator[None]:
    kept = {name: body for name in resources if (body := box.cloud.store.get(name)) is not None}
    assert kept.keys() == resources.keys()
    box.remove(resources)
    try:
        yield
    finally:
        box.declare(kept)


@contextmanager
def declared(box: Box, resources: Resources) -> Iterator[None]:
    before = {name: box.cloud.store.get(name) for name in resources}
    box.declare(resources)
    try:
        yield
    finally:
        box.remove({name: {} for name, body in before.items() if body is None})
        box.declare({name: body for name, body in before.items() if body is not None})


@pytest.fixture(scope="module")
def machines(box: Box) -> tuple[str, str]:
    """A machine in the outer and one in the inner network, both up."""
    box.declare(outer(OUTER) | inner(INNER))
    for project, address in ((OUTER, "10.0.0.2"), (INNER, "10.0.1.2")):
        script(box, project, address, "#!/bin/sh\necho I am $(hostname -f); echo once >> /var/boots\n")
    return box.boot(node(OUTER)), box.boot(node(INNER))


class TestSeal:
    def test_outer_reaches_everything(self, box: Box, machines: tuple[str, str]) -> None:
        check_reached(box, machines[0], EVERYTHING)

    def test_inner_reaches_the_restricted_address_only(self, box: Box, machines: tuple[str, str]) -> None:
        check_reached(box, machines[1], SEALED)

    def test_without_the_response_policy_names_leak(self, box: Box, machines: tuple[str, str]) -> None:
        seen = len(box.lines("internet-dns.jsonl"))
        with without(box, response_policy(INNER, *BYPASSED)):
            check_reached(box, machines[1], SEALED | DNS)
        names = {line["name"] for line in box.lines("internet-dns.jsonl")[seen:]}
        assert names == {"leak.example.com."}

    def test_behind_the_response_policy_no_query_goes_out(self, box: Box, machines: tuple[str, str]) -> None:
        seen = len(box.lines("internet-dns.jsonl"))
        check_reached(box, machines[1], SEALED)
        assert len(box.lines("internet-dns.jsonl")) == seen

    def test_a_way_out_without_the_deny_rule(self, box: Box, machines: tuple[str, str]) -> None:
        way_out = route(INNER, "default", "0.0.0.0/0") | nat(INNER)
        with without(box, deny_egress(INNER, "deny-egress", "0.0.0.0/0")), declared(box, way_out):
            check_reached(box, machines[1], SEALED | {"tcp", "udp", "icmp"})

    def test_the_deny_rule_holds_against_a_way_out(self, box: Box, machines: tuple[str, str]) -> None:
        with declared(box, route(INNER, "default", "0.0.0.0/0") | nat(INNER)):
            check_reached(box, machines[1], SEALED)

    def test_no_way_out_holds_without_the_deny_rule(self, box: Box, machines: tuple[str, str]) -> None:
        with without(box, deny_egress(INNER, "deny-egress", "0.0.0.0/0")):
            check_reached(box, machines[1], SEALED)
            with declared(box, route(INNER, "default", "0.0.0.0/0")):
                check_reached(box, machines[1], SEALED)

    def test_external_ipv6(self, box: Box, machines: tuple[str, str]) -> None:
        dual = vpc(INNER, "10.0.1.0/24", stackType="IPV4_IPV6", ipv6AccessType="EXTERNAL")
        way_out = dual | route(INNER, "default6", "::/0")
        with declared(box, way_out):
            check_reached(box, machines[1], SEALED)
            with without(box, deny_egress(INNER, "deny-egress6", "::/0")):
                check_reached(box, machines[1], SEALED | {"ipv6"})
        check_reached(box, machines[1], SEALED)

    @pytest.mark.parametrize(
        "needed",
        [
            route(INNER, "restricted-vip", "199.36.153.4/30"),
            allow_vip(INNER),
            private_zones(INNER),
        ],
        ids=["route", "firewall", "zones"],
    )
    def test_what_the_restricted_address_needs(
        self, box: Box, machines: tuple[str, str], needed: Resources
    ) -> None:
        with without(box, needed):
            check_reached(box, machines[1], set())

    def test_private_google_access_is_needed(self, box: Box, machines: tuple[str, str]) -> None:
        with declared(box, vpc(INNER, "10.0.1.0/24", privateIpGoogleAccess=False)):
            check_reached(box, machines[1], set())

    def test_names_that_do_not_bypass_the_policy(self, box: Box, machines: tuple[str, str]) -> None:
        with (
            without(box, response_policy(INNER, *BYPASSED)),
            declared(box, response_policy(INNER, "*.internal.")),
        ):
            check_reached(box, machines[1], set())

    def test_outer_without_nat(self, box: Box, machines: tuple[str, str]) -> None:
        with without(box, nat(OUTER)):
            check_reached(box, machines[0], EVERYTHING - {"tcp", "udp", "icmp"})

    def test_outer_with_a_denied_port(self, box: Box, machines: tuple[str, str]) -> None:
        rule = firewall(
            OUTER, "no-echo", denied=[{"IPProtocol": "udp", "ports": ["7"]}], direction="EGRESS", priority=1
        )
        with declared(box, rule):
            check_reached(box, machines[0], EVERYTHING - {"udp"})

    def test_the_query_log_names_the_machine(self, box: Box, machines: tuple[str, str]) -> None:
        check_reached(box, machines[1], SEALED)
        lines = box.lines("dns.jsonl")
        assert {line["machine"] for line in lines} == {machines[1]}
        assert {line["name"] for line in lines} >= {"leak.example.com.", "storage.googleapis.com."}
        with without(box, logging_policy(INNER)):
            count = len(box.lines("dns.jsonl"))
            check_reached(box, machines[1], SEALED)
            assert len(box.lines("dns.jsonl")) == count


class TestMachine:
    def test_the_startup_script_ran(self, box: Box, machines: tuple[str, str]) -> None:
        text = box.console(machines[1], "ended with")
        assert "I am machine.us-central1-a.c.dmz-inner.internal" in text
        assert "ended with exit status 0" in text

    def test_what_the_cloud_asks(self, box: Box, machines: tuple[str, str]) -> None:
        assert box.machines.endpoints(machines[1]) == [{"ipAddress": "10.0.1.2", "port": 8470}]
        assert box.machines.node_at(network_url(INNER), "10.0.1.2") == machines[1]
        assert box.machines.node_at(network_url(OUTER), "10.0.1.2") is None
        assert box.machines.running(machines[1])

    def test_a_shell_from_another_process(self, box: Box, machines: tuple[str, str]) -> None:
        command = machine_command(box.cloud.root, machines[0], ["cat", "/etc/hostname"])
        assert subprocess.run(command, capture_output=True, text=True, check=True).stdout == "machine\n"

    def test_the_hosts_files_are_out_of_sight(self, box: Box, machines: tuple[str, str]) -> None:
        assert box.run(machines[0], "ls", str(box.cloud.root)).returncode != 0
        mounts = box.run(machines[0], "cat", "/proc/mounts").stdout
        points = {line.split()[1] for line in mounts.splitlines()}
        allowed = ("/proc", "/dev", "/tmp", "/run")
        assert all(point == "/" or point.startswith(allowed) for point in points)

    def test_the_host_can_not_be_changed(self, box: Box, machines: tuple[str, str]) -> None:
        for attempt in (
            "echo x > /proc/sys/kernel/hostname",
            "mount -t tmpfs x /mnt",
            "mknod /tmp/disk b 254 0",
            "hostname other",
        ):
            assert box.run(machines[0], "sh", "-c", attempt).returncode != 0, attempt

    def test_a_shell_has_no_more_rights_than_the_machine(self, box: Box, machines: tuple[str, str]) -> None:
        def rights(process: str) -> list[str]:
            status = box.run(machines[0], "cat", f"/proc/{process}/status").stdout
            return [line for line in status.splitlines() if line.startswith(("CapEff", "CapPrm", "CapBnd"))]

        assert len(rights("self")) == 3
        assert rights("self") == rights("2")

    def test_other_processes_are_out_of_sight(self, box: Box, machines: tuple[str, str]) -> None:
        listed = box.run(machines[0], "sh", "-c", "cat /proc/[0-9]*/comm").stdout.split()
        assert "sleep" in listed
        assert len(listed) < 8

    def test_the_hosts_loopback_is_out_of_reach(self, box: Box, machines: tuple[str, str]) -> None:
        with socket.create_server(("127.0.0.1", 0)) as server:
            port = server.getsockname()[1]
            done = box.run(
                machines[0],
                "python3",
                "-c",
                f"import socket; socket.create_connection(('127.0.0.1', {port}), timeout=2)",
            )
            assert "Connection refused" in done.stderr

    def test_apt_and_dpkg_work(self, box: Box, machines: tuple[str, str]) -> None:
        build = """
        set -e
        mkdir -p /srv/deb/DEBIAN /srv/deb/usr/share/probe
        printf 'Package: probe\\nVersion: 1\\nArchitecture: all\\nMaintainer: x <x@x>\\nDescription: x\\n' \\
            > /srv/deb/DEBIAN/control
        printf '#!/bin/sh\\nset -e\\nadduser --system probe >&2\\n' > /srv/deb/DEBIAN/postinst
        echo chown probe /usr/share/probe >> /srv/deb/DEBIAN/postinst
        chmod 0755 /srv/deb/DEBIAN/postinst
        dpkg-deb --build /srv/deb /srv/probe.deb
        apt-get install -qq -y /srv/probe.deb
        stat -c %U /usr/share/probe
        """
        done = box.run(machines[0], "sh", "-c", build)
        assert done.stdout.splitlines()[-1] == "probe", done.stderr
        assert "unsandboxed" not in done.stderr

    def test_files_stay_over_a_restart(self, box: Box, machines: tuple[str, str]) -> None:
        box.console(machines[0], "ended with")
        box.do(box.machines.restart(machines[0]))
        deadline = time.monotonic() + 30
        while box.run(machines[0], "cat", "/var/boots").stdout != "once\nonce\n":
            assert time.monotonic() < deadline
        check_reached(box, machines[0], EVERYTHING)

    def test_a_connection_lives_through_a_change_of_rules(self, box: Box, machines: tuple[str, str]) -> None:
        talk = (
            "import socket, sys\n"
            "echo = socket.create_connection(('203.0.113.7', 7), timeout=20)\n"
            "for line in sys.stdin.buffer:\n"
            "    echo.sendall(line)\n"
            "    sys.stdout.buffer.write(echo.recv(64))\n"
            "    sys.stdout.flush()\n"
        )
        command = box.machines.command(machines[0], ["python3", "-c", talk])
        with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE) as talking:
            assert talking.stdin is not None
            assert talking.stdout is not None
            for change in (nat(OUTER), firewall(OUTER, "x", allowed=[{"IPProtocol": "tcp"}])):
                with declared(box, change):
                    talking.stdin.write(b"still here\n")
                    talking.stdin.flush()
                    assert talking.stdout.readline() == b"still here\n"
            talking.stdin.close()

    def test_files_over_https(self, box: Box, machines: tuple[str, str]) -> None:
        (box.cloud.root / "internet/files.example.com/data.txt").write_text("from far away")
        get = ["curl", "-sS", "--max-time", "5", "https://files.example.com/data.txt"]
        assert box.run(machines[0], *get).stdout == "from far away"
        assert box.run(machines[1], *get).returncode != 0

    def test_machines_of_one_network_are_kept_apart(self, box: Box, machines: tuple[str, str]) -> None:
        second = box.boot(node(OUTER, "second", tags=["server"]))
        try:
            serve = box.machines.command(
                second,
                [
                    "python3",
                    "-c",
                    "import socket\n"
                    "server = socket.create_server(('', 7))\n"
                    "print('ready', flush=True)\n"
                    "while True: server.accept()[0].close()",
                ],
            )
            call = "import socket; socket.create_connection(('10.0.0.3', 7), timeout=1.5)"
            allow = firewall(
                OUTER,
                "peers",
                allowed=[{"IPProtocol": "tcp", "ports": ["7"]}],
                sourceTags=["inner"],
                targetTags=["server"],
            )
            with subprocess.Popen(serve, stdout=subprocess.PIPE) as server:
                assert server.stdout is not None
                assert server.stdout.readline() == b"ready\n"
                assert box.run(machines[0], "python3", "-c", call).returncode != 0
                with declared(box, allow):
                    assert box.run(machines[0], "python3", "-c", call).returncode == 0
                name = "second.us-central1-a.c.dmz-outer.internal"
                assert box.run(machines[0], "getent", "hosts", name).stdout.split()[0] == "10.0.0.3"
                server.kill()
        finally:
            box.do(box.machines.delete(second))
            box.cloud.store.delete(f"tpu/{second}")
        assert not (box.cloud.root / f"machines/{OUTER}.us-central1-a.second").exists()
        with pytest.raises(ApiError, match="is not running"):
            box.machines.command(second, ["true"])

    def test_an_unknown_runtime_is_refused(self, box: Box, machines: tuple[str, str]) -> None:
        with pytest.raises(ApiError, match="'tpu-ubuntu2204-base' can't be made by the sandbox"):
            box.do(box.machines.create(node(OUTER, "other", runtimeVersion="tpu-ubuntu2204-base")))
        assert box.machines.endpoints(f"projects/{OUTER}/locations/us-central1-a/nodes/other") == []

    def test_what_can_not_be_reproduced_changes_nothing(self, box: Box, machines: tuple[str, str]) -> None:
        (name,) = bad = firewall(OUTER, "bad", allowed=[{"IPProtocol": "tcp"}], params={"x": 1})
        with pytest.raises(ApiError, match="params"):
            box.declare(bad)
        box.remove({name: {}})
        check_reached(box, machines[0], EVERYTHING)


def test_reconciling_again_does_nothing(box: Box, machines: tuple[str, str]) -> None:
    router = f"dmz-{sandbox_id(box.cloud.root)}-vpc-dmz-inner.vpc"

    def state() -> str:
        handles = ["ip", "netns", "exec", router, "nft", "--handle", "list", "ruleset"]
        links = ["ip", "-n", router, "-oneline", "link"]
        runs = (subprocess.run(each, capture_output=True, text=True, check=True) for each in (handles, links))
        return "".join(run.stdout for run in runs)

    before = state()
    box.do(box.machines.reconcile())
    assert state() == before
    with declared(box, firewall(INNER, "x", allowed=[{"IPProtocol": "tcp", "ports": ["1"]}])):
        assert state() != before


class TestLeftovers:
    @staticmethod
    def host() -> list[str]:
        """What of the host a sandbox could leave something in."""
        commands = (["ip", "-oneline", "link"], ["nft", "list", "ruleset"], ["ip", "route"])
        return [subprocess.run(each, capture_output=True, text=True, check=True).stdout for each in commands]

    @staticmethod
    def left(root: Path) -> list[str]:
        """Namespaces, mounts and processes of the sandbox in this folder."""
        prefix = f"dmz-{sandbox_id(root)}-"
        found = [each.name for each in Path("/run/netns").iterdir() if each.name.startswith(prefix)]
        found += [line for line in Path("/proc/self/mountinfo").read_text().splitlines() if str(root) in line]
        for entry in Path("/proc").iterdir():
            if entry.name.isdigit() and int(entry.name) != os.getpid():
                try:
                    words = (entry / "cmdline").read_text() + str((entry / "cwd").readlink())
                except OSError:
                    continue
                if str(root) in words or prefix in words:
                    found.append(words)
        return found

    def test_stop_leaves_nothing(self, tmp_path: Path, cache: Path) -> None:
        before = self.host()
        made = Box(tmp_path, cache)
        made.do(made.machines.start())
        made.declare(outer(OUTER))
        name = made.boot(node(OUTER))
        assert self.left(tmp_path)
        made.close()
        assert self.left(tmp_path) == []
        assert self.host() == before
        with pytest.raises(ApiError, match="is not running"):
            machine_command(tmp_path, name, ["true"])

    def test_what_a_killed_daemon_left_is_taken_away(self, tmp_path: Path, cache: Path) -> None:
        program = (
            "import os, sys; from pathlib import Path\n"
            "from tests.sandbox.machines.conftest import Box\n"
            "from tests.sandbox.machines.declare import node, outer\n"
            "try:\n"
            "    box = Box(Path(sys.argv[1]), Path(sys.argv[2]))\n"
            "    box.do(box.machines.start()); box.declare(outer('dmz-outer')); box.boot(node('dmz-outer'))\n"
            "    box.run('projects/dmz-outer/locations/us-central1-a/nodes/machine', 'touch', '/var/kept')\n"
            "except BaseException as error:\n"
            "    print(error, flush=True)\n"
            "    os._exit(1)  # its loop's thread would keep it alive\n"
            "print('up', flush=True)\n"
        )
        command = [sys.executable, "-c", program, str(tmp_path), str(cache)]
        with subprocess.Popen(command, stdout=subprocess.PIPE, cwd=Path(__file__).parents[3]) as daemon:
            assert daemon.stdout is not None
            assert daemon.stdout.readline() == b"up\n"
            os.kill(daemon.pid, signal.SIGKILL)
        again = Box(tmp_path, cache)
        try:
            again.do(again.machines.start())
            name = "projects/dmz-outer/locations/us-central1-a/nodes/machine"
            assert again.machines.running(name), "a declared machine is booted with the daemon"
            assert again.run(name, "ls", "/var/kept").returncode == 0
            check_reached(again, name, EVERYTHING)
        finally:
            again.close()
        assert self.left(tmp_path) == []

    def test_a_network_that_goes_takes_its_router_along(self, box: Box) -> None:
        served = len(box.front.open)
        box.declare(vpc("brief", "10.9.0.0/24"))
        assert len(box.front.open) == served + 1
        assert any("brief" in each for each in self.left(box.cloud.root))
        box.remove(vpc("brief", "10.9.0.0/24"))
        assert not any("brief" in each for each in self.left(box.cloud.root))
        assert len(box.front.open) == served

    def test_no_thread_stays_in_a_namespace(self, box: Box) -> None:
        assert not [each.name for each in threading.enumerate() if each.name.startswith("netns")]


def test_a_machine_that_can_not_boot_says_why(box: Box) -> None:
    box.declare(vpc("broken", "10.8.0.0/24"))
    broken: dict[str, Any] = node("broken")

    async def refuse(*_: Any) -> None:
        raise ApiError(400, "FAILED_PRECONDITION", "no image today")

    images = box.machines._images
    original, images.root = images.root, refuse  # type: ignore[method-assign,assignment]
    try:
        with pytest.raises(ApiError, match="no image today"):
            box.do(box.machines.create(broken))
    finally:
        images.root = original  # type: ignore[method-assign]
    assert not box.machines.running(broken["name"])
    box.remove(vpc("broken", "10.8.0.0/24"))
