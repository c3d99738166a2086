"""Foreign code in isolation reaches nothing: no network, no metadata, no file but its own."""

from __future__ import annotations

import json
import os
import socket
import subprocess
import tempfile
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from dmz.machine.agent.command import StepError
from dmz.machine.agent.isolation import NOBODY, Folder

pytestmark = [
    pytest.mark.sandbox,
    pytest.mark.skipif(os.geteuid() != 0, reason="isolation is made by root"),
]
ENV = {"HOME": "/mnt/space"}


@pytest.fixture
def folder() -> Iterator[Folder]:
    """Not below tmp_path, which pytest keeps for its user alone."""
    path = Path(tempfile.mkdtemp(prefix="dmz-isolation-", dir="/var/tmp"))
    path.chmod(0o755)
    made = Folder(path / "build")
    yield made
    made.remove()
    path.rmdir()


def asked(folder: Folder, program: str, *arguments: str, env: dict[str, str] | None = None) -> Any:
    """What a program inside leaves as its answer; it assigns `answer`."""
    text = f"import json, os, sys, socket\n{program}\njson.dump(answer, open('answer.json', 'w'))\n"
    (folder.inputs / "program.py").write_text(text)
    folder.run("it", ["/usr/bin/python3", "../in/program.py", *arguments], ENV | (env or {}))
    return folder.answer()


TRY = """
answer = {}
def attempt(name, what):
    try:
        answer[name] = repr(what())
    except BaseException as error:
        answer[name] = f"{type(error).__name__}"
"""


def test_it_is_nobody_without_any_capability(folder: Folder) -> None:
    program = (
        "text = open('/proc/self/status').read()\n"
        "said = dict(line.split(':\\t') for line in text.splitlines() if ':\\t' in line)\n"
        "answer = [os.getuid(), os.getgid(), os.getgroups()]\n"
        "answer += [said[name] for name in ('CapEff', 'CapPrm', 'NoNewPrivs')]"
    )
    uid, gid, groups, effective, permitted, no_new = asked(folder, program)
    assert (uid, gid, groups) == (NOBODY, NOBODY, [])
    assert int(effective, 16) == int(permitted, 16) == 0
    assert no_new == "1"


def test_there_is_no_network_and_no_metadata_server(folder: Folder) -> None:
    with socket.create_server(("0.0.0.0", 0)) as listener:  # reachable by everybody on this machine
        heard: list[object] = []
        listener.settimeout(60)
        port = listener.getsockname()[1]
        address = socket.gethostbyname(socket.gethostname()) if _named() else "127.0.0.1"
        threading.Thread(target=lambda: heard.append(listener.accept()), daemon=True).start()
        program = TRY + (
            f"for name, place in {{'metadata': ('169.254.169.254', 80), 'own': ('127.0.0.1', {port}),"
            f" 'host': ('{address}', {port}), 'outside': ('203.0.113.1', 443)}}.items():\n"
            "    attempt(name, lambda: socket.create_connection(place, timeout=3))\n"
            "attempt('udp', lambda: socket.socket(socket.AF_INET, socket.SOCK_DGRAM)"
            ".sendto(b'x', ('203.0.113.1', 53)))\n"
            "attempt('name', lambda: socket.getaddrinfo('metadata.google.internal', 80))\n"
            "links = open('/proc/self/net/dev').readlines()[2:]\n"
            "attempt('links', lambda: [line.split(':')[0].strip() for line in links])\n"
        )
        answer = asked(folder, program)
        links = answer.pop("links")
        assert set(answer.values()) <= {"OSError", "ConnectionRefusedError", "TimeoutError", "gaierror"}, (
            answer
        )
        assert links in {"['lo']", "[]"}
        assert not heard
        # The listener could have been reached: from here it is.
        socket.create_connection(("127.0.0.1", port), timeout=5).close()


def _named() -> bool:
    try:
        socket.gethostbyname(socket.gethostname())
    except OSError:
        return False
    return True


def test_abstract_sockets_of_the_machine_are_not_there(folder: Folder) -> None:
    with socket.socket(socket.AF_UNIX) as listener:
        listener.bind("\0dmz-test-isolation")
        listener.listen()
        program = TRY + (
            "attempt('connect', lambda: socket.socket(socket.AF_UNIX).connect('\\0dmz-test-isolation'))"
        )
        assert asked(folder, program) == {"connect": "ConnectionRefusedError"}


def test_what_the_machine_keeps_is_hidden_and_nothing_outside_its_space_can_be_written(
    folder: Folder,
) -> None:
    marks = [Path("/tmp/dmz-mark"), Path("/var/tmp/dmz-mark"), Path("/root/dmz-mark")]
    for mark in marks:
        mark.write_text("secret")
        mark.chmod(0o644)
    try:
        program = TRY + (
            "for place in ['/tmp', '/var/tmp', '/root']:\n"
            "    attempt('read ' + place, lambda: open(place + '/dmz-mark').read())\n"
            "    attempt('own ' + place, lambda: open(place + '/dmz-own', 'w').write('x'))\n"
            "attempt('shadow', lambda: open('/etc/shadow').read())\n"
            "for place in ['/etc', '/usr/lib', '/mnt', '../in', '/var/lib']:\n"
            "    attempt('write ' + place, lambda: open(place + '/dmz-own', 'w'))\n"
            "attempt('space', lambda: open('mine', 'w').write('x'))\n"
            "attempt('inputs', lambda: open('../in/program.py').read(6))\n"
        )
        answer = asked(folder, program)
        assert answer.pop("space") == "1"
        assert answer.pop("inputs") == "'import'"
        assert {answer[f"read {place}"] for place in ("/tmp", "/var/tmp", "/root")} == {"FileNotFoundError"}
        refused = {key: value for key, value in answer.items() if key.startswith(("write", "shadow"))}
        assert len(refused) == 6
        assert set(refused.values()) <= {"PermissionError", "OSError"}
        # What it wrote where anybody may went away with it.
        assert not any(mark.with_name("dmz-own").exists() for mark in marks)
        assert not any(Path(place, "dmz-own").exists() for place in ("/etc", "/usr/lib", "/mnt", "/var/lib"))
    finally:
        for mark in marks:
            mark.unlink()


def test_where_anybody_may_write_nothing_is_written(folder: Folder) -> None:
    opened = Path(tempfile.mkdtemp(prefix="dmz-open-", dir="/var/lib"))
    opened.chmod(0o777)
    try:
        program = TRY + f"attempt('write', lambda: open('{opened}/own', 'w'))\n"
        assert asked(folder, program) == {"write": "OSError"}
        assert not list(opened.iterdir())
    finally:
        opened.rmdir()


def test_nor_on_another_file_system(folder: Folder) -> None:
    disk = Path(tempfile.mkdtemp(prefix="dmz-disk-", dir="/var/lib"))
    subprocess.run(["mount", "-t", "tmpfs", "-o", "mode=1777,nosuid,nodev", "tmpfs", disk], check=True)
    try:
        program = TRY + f"attempt('write', lambda: open('{disk}/own', 'w'))\n"
        assert asked(folder, program) == {"write": "OSError"}
        assert not list(disk.iterdir())
    finally:
        subprocess.run(["umount", disk], check=True)
        disk.rmdir()


def test_nothing_of_the_environment_goes_in(folder: Folder, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("DMZ_TEST_SECRET", "secret")
    answer = asked(folder, "answer = dict(os.environ)")
    assert "secret" not in json.dumps(answer)
    assert answer["HOME"] == "/mnt/space"


def test_processes_of_the_machine_cannot_be_looked_into_or_ended(folder: Folder) -> None:
    program = TRY + (
        f"attempt('kill', lambda: os.kill({os.getpid()}, 0))\n"
        f"attempt('environment', lambda: open('/proc/{os.getpid()}/environ', 'rb').read())\n"
        f"attempt('root', lambda: os.listdir('/proc/{os.getpid()}/root/'))\n"
        "answer['init'] = os.getppid() in (0, 1) or os.getpid() < 20\n"
    )
    answer = asked(folder, program)
    assert answer.pop("init") is True
    assert set(answer.values()) <= {"ProcessLookupError", "PermissionError", "FileNotFoundError"}, answer


def test_what_it_started_ends_with_it(folder: Folder) -> None:
    program = (
        "import subprocess\n"
        "subprocess.Popen([sys.executable, '-c', 'import time; time.sleep(600)', 'dmz-left-behind'],"
        " start_new_session=True)\nanswer = 1"
    )
    assert asked(folder, program) == 1
    lines = [path.read_bytes() for path in Path("/proc").glob("[0-9]*/cmdline") if path.exists()]
    assert not any(b"dmz-left-behind" in line for line in lines)


def test_a_failure_is_one_line_with_its_last_words(folder: Folder) -> None:
    with pytest.raises(StepError, match=r"^it: .* / ValueError: so it / goes$") as error:
        asked(folder, "raise ValueError('so it\\ngoes')")
    assert len(str(error.value).splitlines()) == 1


def test_too_long_is_too_long(folder: Folder, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("dmz.machine.agent.isolation._WITHIN", 1)
    with pytest.raises(StepError, match="not done after 1 seconds"):
        asked(folder, "import time; time.sleep(600)")


@pytest.mark.parametrize(
    ("leave", "name"),
    [
        ("os.symlink('/etc/passwd', 'x.whl')", "x.whl"),
        ("open('y', 'w'); os.symlink('y', 'x.whl')", "x.whl"),
        ("os.mkfifo('x.whl')", "x.whl"),
        ("os.mkdir('x.whl')", "x.whl"),
        ("open('y', 'w'); os.link('y', 'x.whl')", "x.whl"),
        ("0", "x.whl"),
        ("0", "../in/program.py"),
        ("0", ".."),
    ],
)
def test_only_a_plain_file_of_its_own_is_taken_out(
    folder: Folder, tmp_path: Path, leave: str, name: str
) -> None:
    asked(folder, f"{leave}\nanswer = 0")
    with pytest.raises(StepError):
        folder.take(name, tmp_path / "taken")
    assert not (tmp_path / "taken").exists()


def test_a_file_of_somebody_else_is_not_taken_out(folder: Folder, tmp_path: Path) -> None:
    asked(folder, "answer = 0")
    (folder.path / "space/x.whl").write_bytes(b"of root")
    with pytest.raises(StepError, match="no file of what was built"):
        folder.take("x.whl", tmp_path / "taken")


@pytest.mark.parametrize("text", ["", "{", "\\xff", "[" * 100_000])
def test_an_answer_that_is_none_is_an_error(folder: Folder, text: str) -> None:
    (folder.inputs / "program.py").write_text(f"open('answer.json', 'w').write({text!r})")
    folder.run("it", ["/usr/bin/python3", "../in/program.py"], ENV)
    with pytest.raises(StepError, match="cannot be read"):
        folder.answer()


def test_folders_without_end_are_in_nobodys_way(folder: Folder) -> None:
    down = "for _ in range(3000):\n    os.mkdir('a')\n    os.chdir('a')\n"
    assert asked(folder, f"{down}os.chdir('/mnt/space')\nanswer = 1") == 1
    assert asked(folder, "answer = 2") == 2, "the next step finds its way"
    Folder(folder.path)
    assert list((folder.path / "space").iterdir()) == []
