"""The apt data plane under the real apt-get."""

from __future__ import annotations

import base64
import hashlib
import subprocess
from pathlib import Path
from typing import Any

import httpx
import pytest

from sandbox.cloud.artifact_registry import Options
from tests.sandbox.data.harness import (
    LOCATION,
    AptClient,
    Archive,
    Counted,
    Running,
    change_a_byte,
    cut_off,
    deb,
    related,
    run,
    running,
    sha256,
)

ARCHITECTURE = run("dpkg", "--print-architecture").strip()


def apt(sandbox: Running, tmp_path: Path, entry: str, key: Path | None = None) -> AptClient:
    """A client whose only source is `entry`, with the sandbox's key or another."""
    if key is None:
        key = tmp_path / "sandbox.asc"
        key.write_bytes(httpx.get(f"http://127.0.0.1:{sandbox.apt}/doc/repo-signing-key.gpg").content)
    line = f"deb [signed-by={key}] http://127.0.0.1:{sandbox.apt}/{entry}"
    root = tmp_path / f"client-{len(list(tmp_path.glob('client-*')))}"
    return AptClient(root, line, sandbox.apt, sandbox.token)


def upload(sandbox: Running, repository: str, path: Path) -> httpx.Response:
    content_type, body = related({}, path.read_bytes())
    with sandbox.client(sandbox.api) as client:
        return client.post(
            f"/upload/v1/{LOCATION}/repositories/{repository}/aptArtifacts:create",
            params={"uploadType": "multipart"}, headers={"Content-Type": content_type}, content=body,
        )  # fmt: skip


def operation(sandbox: Running, answer: httpx.Response) -> dict[str, Any]:
    """The operation once it is over."""
    assert answer.status_code == 200, answer.text
    found: dict[str, Any] = answer.json()
    with sandbox.client(sandbox.api) as client:
        while not found.get("done"):
            found = client.get(f"/v1/{found['name']}").json()
    return found


def put_object(sandbox: Running, bucket: str, name: str, data: bytes) -> None:
    with sandbox.client(sandbox.storage) as client:
        query = {"uploadType": "media", "name": name}
        assert client.post(f"/upload/storage/v1/b/{bucket}/o", params=query, content=data).status_code == 200


class TestStandard:
    def test_apt_installs_what_was_uploaded(self, sandbox: Running, tmp_path: Path) -> None:
        sandbox.repository("apt", "APT")
        packages = [
            deb(tmp_path, "tiny-data", "1.0-1"),
            deb(tmp_path, "tiny-tool", "1:2.0+x~1", ARCHITECTURE),
        ]
        for path in packages:
            answer = upload(sandbox, "apt", path).json()["operation"]
            assert answer["done"]
            assert answer["response"]["aptArtifacts"][0]["packageName"] == path.name.partition("_")[0]
        client = apt(sandbox, tmp_path, "projects/p apt main")
        done = client("update")
        assert done.returncode == 0, done.stderr
        assert "W:" not in done.stderr
        done = client("download", "tiny-data", "tiny-tool")
        assert done.returncode == 0, done.stderr
        digests = {sha256(path) for path in client.root.glob("*.deb")}
        assert digests == {sha256(path) for path in packages}
        md5 = hashlib.md5(packages[1].read_bytes()).hexdigest()
        names = [file["name"].rpartition("/")[2] for file in sandbox.files("apt")]
        assert f"pool%2Ftiny-tool_2.0+x~1_{ARCHITECTURE}_{md5}.deb" in names

    def test_an_empty_repository_updates(self, sandbox: Running, tmp_path: Path) -> None:
        sandbox.repository("apt", "APT")
        done = apt(sandbox, tmp_path, "projects/p apt main")("update")
        assert (done.returncode, done.stderr) == (0, "")

    def test_signed_by_the_sandbox_only(self, sandbox: Running, tmp_path: Path) -> None:
        sandbox.repository("apt", "APT")
        (tmp_path / "foreign").mkdir()
        foreign = Archive(tmp_path / "foreign/debian").keyring
        done = apt(sandbox, tmp_path, "projects/p apt main", foreign)("update")
        assert "NO_PUBKEY" in done.stdout + done.stderr

    def test_needs_a_token(self, sandbox: Running) -> None:
        sandbox.repository("apt", "APT")
        url = f"http://127.0.0.1:{sandbox.apt}/projects/p/dists/apt/InRelease"
        assert httpx.get(url).status_code == 401

    def test_no_agent_stays(self, sandbox: Running, tmp_path: Path) -> None:
        sandbox.repository("apt", "APT")
        assert apt(sandbox, tmp_path, "projects/p apt main")("update").returncode == 0
        for _ in range(200):
            if not agents():
                return
            subprocess.run(["sleep", "0.05"], check=True)
        raise AssertionError(agents())

    def test_a_conflict_is_ignored(self, sandbox: Running, tmp_path: Path) -> None:
        sandbox.repository("apt", "APT")
        (tmp_path / "other").mkdir()
        first, other = (
            deb(tmp_path, "tiny", "1.0"),
            deb(tmp_path / "other", "tiny", "1.0", text="other bytes\n"),
        )
        upload(sandbox, "apt", first)
        again = upload(sandbox, "apt", other)
        assert again.status_code == 200
        assert again.json()["operation"]["response"]["aptArtifacts"] == []
        (file,) = sandbox.files("apt")
        assert base64.b64decode(file["hashes"][0]["value"]).hex() == sha256(first)
        assert sandbox.leftovers() == []

    @pytest.mark.parametrize("data", [b"", b"!<arch>\nno package", b"PK"])
    def test_what_is_no_package_is_refused(self, sandbox: Running, tmp_path: Path, data: bytes) -> None:
        sandbox.repository("apt", "APT")
        path = tmp_path / "bad.deb"
        path.write_bytes(data)
        answer = upload(sandbox, "apt", path)
        assert answer.status_code == 400
        assert "Not a Debian package" in answer.json()["error"]["message"]
        assert sandbox.files("apt") == []
        assert sandbox.leftovers() == []

    def test_a_truncated_upload_leaves_nothing(self, sandbox: Running, tmp_path: Path) -> None:
        sandbox.repository("apt", "APT")
        content_type, body = related({}, deb(tmp_path, "tiny", "1.0").read_bytes())
        path = f"/upload/v1/{LOCATION}/repositories/apt/aptArtifacts:create?uploadType=multipart"
        headers = {"Content-Type": content_type, "Authorization": f"Bearer {sandbox.token}"}
        with sandbox.client(sandbox.api) as client:
            for cut in (len(body) // 2, len(body) - len("--b--\r\n")):
                assert client.post(path, headers=headers, content=body[:cut]).status_code == 400
        cut_off(sandbox.api, path, headers, body)
        assert sandbox.files("apt") == []

    def test_import_from_a_bucket(self, sandbox: Running, tmp_path: Path) -> None:
        repository = sandbox.repository("apt", "APT")
        sandbox.bucket("staging")
        (tmp_path / "other").mkdir()
        upload(sandbox, "apt", deb(tmp_path, "held", "1.0"))
        for name, data in {
            "in/one.deb": deb(tmp_path, "one", "1.0").read_bytes(),
            "in/two.deb": deb(tmp_path, "two", "1.0").read_bytes(),
            "held.deb": deb(tmp_path / "other", "held", "1.0", text="other\n").read_bytes(),
            "bad.deb": b"bad",
        }.items():
            put_object(sandbox, "staging", name, data)
        uris = [
            "gs://staging/in/*.deb",
            "gs://staging/held.deb",
            "gs://staging/bad.deb",
            "gs://nowhere/x.deb",
        ]
        with sandbox.client(sandbox.api) as client:
            body = {"gcsSource": {"uris": uris, "useWildcards": True}}
            done = operation(sandbox, client.post(f"/v1/{repository}/aptArtifacts:import", json=body))
        response = done["response"]
        assert response["@type"].endswith(".ImportAptArtifactsResponse")
        assert [found["packageName"] for found in response["aptArtifacts"]] == ["one", "two"]
        assert [error["gcsSource"]["uris"] for error in response["errors"]] == [[uris[2]], [uris[3]]]
        owners = {file["owner"].split("/packages/")[1] for file in sandbox.files("apt")}
        assert owners == {"held/versions/1.0", "one/versions/1.0", "two/versions/1.0"}

    def test_a_deleted_version_is_withdrawn(self, sandbox: Running, tmp_path: Path) -> None:
        repository = sandbox.repository("apt", "APT")
        for version in ("1.0", "1:2.0"):
            upload(sandbox, "apt", deb(tmp_path, "tiny", version))
        with sandbox.client(sandbox.api) as client:
            done = client.delete(f"/v1/{repository}/packages/tiny/versions/1:2.0")
            assert operation(sandbox, done)["response"]["@type"].endswith("protobuf.Empty")
        with sandbox.client(sandbox.apt) as client:
            packages = client.get(f"/projects/p/dists/apt/main/binary-{ARCHITECTURE}/Packages").text
        assert "Version: 1.0\n" in packages
        assert "Version: 1:2.0\n" not in packages


@pytest.fixture
def archive(tmp_path: Path) -> Archive:
    (tmp_path / "archive").mkdir()
    return Archive(tmp_path / "archive/debian")


@pytest.fixture
def upstream(sandbox: Running, archive: Archive, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Counted:
    """The archive on a port, which this process's apt configuration names as its mirror."""
    counted = Counted(sandbox.loop, archive.folder.parent)
    configured(tmp_path, counted.url, archive, monkeypatch)
    return counted


def configured(tmp_path: Path, url: str, archive: Archive, monkeypatch: pytest.MonkeyPatch) -> None:
    folder = tmp_path / "host-apt"
    (folder / "sources.list.d").mkdir(parents=True, exist_ok=True)
    (folder / "sources.list.d/debian.sources").write_text(
        f"Types: deb\nURIs: {url}/debian\nSuites: {archive.suite}\nComponents: main\n"
        f"Signed-By: {archive.keyring}\n"
    )
    (folder / "apt.conf").write_text(f'Dir::Etc "{folder}"; Dir::Etc::sourcelist "none";\n')
    monkeypatch.setenv("APT_CONFIG", str(folder / "apt.conf"))
    monkeypatch.delenv("DMZ_SANDBOX_MIRROR", raising=False)


def remote(sandbox: Running, path: str = "debian/dists/bookworm") -> str:
    public = {"repositoryBase": "DEBIAN", "repositoryPath": path}
    sandbox.repository("apt-bookworm", "APT", {"aptRepository": {"publicRepository": public}})
    return "apt-bookworm"


class TestRemote:
    def test_apt_fetches_through(
        self, sandbox: Running, upstream: Counted, archive: Archive, tmp_path: Path
    ) -> None:
        package = deb(tmp_path, "tiny", "1.0")
        archive.publish([package, deb(tmp_path, "other", "1.0")])
        name = remote(sandbox)
        client = apt(sandbox, tmp_path, f"remote/p/{name} bookworm main", archive.keyring)
        done = client("update")
        assert (done.returncode, done.stderr) == (0, "")
        for _ in range(2):
            done = client("download", "tiny")
            assert done.returncode == 0, done.stderr
            (fetched,) = client.root.glob("*.deb")
            assert sha256(fetched) == sha256(package)
            fetched.unlink()
        assert upstream.asked.count("/debian/pool/main/tiny_1.0_all.deb") == 1
        (file,) = sandbox.files(name)
        assert file["name"].endswith(f"/files/pool%2F{name}%2Fmain%2Ftiny_1.0_all.deb")
        assert file["fetchTime"]

    @pytest.mark.parametrize("path", ["dists/{}/InRelease", "pool/{}/main/tiny_1.0_all.deb"])
    def test_its_address_is_not_that_of_a_standard_repository(
        self, sandbox: Running, upstream: Counted, archive: Archive, tmp_path: Path, path: str
    ) -> None:
        archive.publish([deb(tmp_path, "tiny", "1.0")])
        name = remote(sandbox)
        sandbox.repository("apt", "APT")
        with sandbox.client(sandbox.apt) as client:
            answer = client.get(f"/projects/p/{path.format(name)}")
            assert answer.status_code == 404
            assert answer.text == (
                f"Repository {name} is a remote repository; its address is under /remote/\n"
            )
            assert client.get("/remote/p/apt/dists/apt/InRelease").status_code == 404
        assert upstream.asked == []

    def test_what_was_fetched_outlives_the_sandbox(
        self, tmp_path: Path, archive: Archive, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        archive.publish([deb(tmp_path, "tiny", "1.0")])
        asked: list[str] = []
        url = ""
        for root in ("one", "two"):
            with running(tmp_path / root, Options(), tmp_path / "cache") as sandbox:
                if not url:
                    counted = Counted(sandbox.loop, archive.folder.parent)
                    asked, url = counted.asked, counted.url
                    configured(tmp_path, url, archive, monkeypatch)
                name = remote(sandbox)
                client = apt(sandbox, tmp_path, f"remote/p/{name} bookworm main", archive.keyring)
                assert client("update").returncode == 0
                assert client("download", "tiny").returncode == 0
        assert asked.count("/debian/dists/bookworm/InRelease") == 1

    def test_a_changed_deb_is_refused_and_not_kept(
        self, sandbox: Running, upstream: Counted, archive: Archive, tmp_path: Path
    ) -> None:
        archive.publish([deb(tmp_path, "tiny", "1.0")])
        change_a_byte(archive.folder / "pool/main/tiny_1.0_all.deb")
        name = remote(sandbox)
        with sandbox.client(sandbox.apt) as client:
            answer = client.get(f"/remote/p/{name}/pool/main/tiny_1.0_all.deb")
        assert answer.status_code == 502
        assert "its index promises" in answer.text
        assert sandbox.files(name) == []
        assert sandbox.leftovers() == []

    @pytest.mark.parametrize("changed", ["InRelease", f"main/binary-{ARCHITECTURE}/Packages.gz"])
    def test_a_changed_index_is_refused(
        self, sandbox: Running, upstream: Counted, archive: Archive, tmp_path: Path, changed: str
    ) -> None:
        archive.publish([deb(tmp_path, "tiny", "1.0")])
        change_a_byte(archive.folder / "dists/bookworm" / changed)
        name = remote(sandbox)
        with sandbox.client(sandbox.apt) as client:
            assert client.get(f"/remote/p/{name}/dists/bookworm/{changed}").status_code == 502

    def test_a_key_that_is_not_configured(
        self,
        sandbox: Running,
        upstream: Counted,
        archive: Archive,
        tmp_path: Path,
        monkeypatch: pytest.MonkeyPatch,
    ) -> None:
        (tmp_path / "foreign").mkdir()
        foreign = Archive(tmp_path / "foreign/debian")
        archive.keyring.write_bytes(foreign.keyring.read_bytes())
        archive.publish([deb(tmp_path, "tiny", "1.0")])
        name = remote(sandbox)
        with sandbox.client(sandbox.apt) as client:
            answer = client.get(f"/remote/p/{name}/dists/bookworm/InRelease")
        assert answer.status_code == 502
        assert "signature does not verify" in answer.text

    def test_a_change_upstream_is_seen(
        self, tmp_path: Path, archive: Archive, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        with running(tmp_path / "root", Options(apt_index_seconds=0)) as sandbox:
            counted = Counted(sandbox.loop, archive.folder.parent)
            configured(tmp_path, counted.url, archive, monkeypatch)
            archive.publish([deb(tmp_path, "tiny", "1.0")])
            name = remote(sandbox)
            client = apt(sandbox, tmp_path, f"remote/p/{name} bookworm main", archive.keyring)
            assert client("update").returncode == 0
            archive.publish([deb(tmp_path, "tiny", "2.0")])
            assert client("update").returncode == 0
            assert client("download", "tiny=2.0").returncode == 0
            with sandbox.client(sandbox.apt) as http:
                assert http.get(f"/remote/p/{name}/pool/main/tiny_1.0_all.deb").status_code == 404

    def test_a_mirror_by_variable(
        self, sandbox: Running, archive: Archive, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        configured(tmp_path, "http://127.0.0.1:9", archive, monkeypatch)
        archive.publish([deb(tmp_path, "tiny", "1.0")])
        counted = Counted(sandbox.loop, archive.folder.parent)
        monkeypatch.setenv("DMZ_SANDBOX_MIRROR", f"{counted.url}/debian/")
        name = remote(sandbox)
        client = apt(sandbox, tmp_path, f"remote/p/{name} bookworm main", archive.keyring)
        assert client("update").returncode == 0

    @pytest.mark.parametrize(
        ("config", "complaint"),
        [
            (
                {"publicRepository": {"repositoryBase": "UBUNTU", "repositoryPath": "ubuntu/dists/jammy"}},
                "has no source",
            ),
            (
                {"publicRepository": {"repositoryBase": "DEBIAN_SNAPSHOT", "repositoryPath": "x"}},
                "DEBIAN_SNAPSHOT",
            ),
            (
                {"publicRepository": {"repositoryBase": "DEBIAN", "repositoryPath": "../x"}},
                "ARCHIVE/dists/SUITE",
            ),
            ({"customRepository": {"uri": "http://127.0.0.1:9/x/dists/y"}}, "no key is known"),
        ],
    )
    def test_what_is_not_offered_is_refused_by_name(
        self, sandbox: Running, upstream: Counted, config: dict[str, Any], complaint: str
    ) -> None:
        sandbox.repository("apt-x", "APT", {"aptRepository": config})
        with sandbox.client(sandbox.apt) as client:
            answer = client.get("/remote/p/apt-x/dists/y/InRelease")
        assert answer.status_code in {400, 501}
        assert complaint in answer.text

    @pytest.mark.sandbox
    def test_the_mirror_that_this_machine_uses(self, sandbox: Running, tmp_path: Path) -> None:
        name = remote(sandbox)
        keyring = Path("/usr/share/keyrings/debian-archive-keyring.gpg")
        client = apt(sandbox, tmp_path, f"remote/p/{name} bookworm main", keyring)
        done = client("update")
        assert (done.returncode, done.stderr) == (0, "")
        done = client("download", "hello")
        assert done.returncode == 0, done.stderr


def agents() -> list[str]:
    """Agents of gpg that the signer started."""
    found = []
    for path in Path("/proc").glob("[0-9]*/cmdline"):
        try:
            command = path.read_bytes()
        except OSError:
            continue
        if b"gpg-agent" in command and b"/tmp/dmz-gpg-" in command:
            found.append(command.decode())
    return found
