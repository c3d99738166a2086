"""How long discovery without a machine takes: MaxText's distributions for a TPU, against an outer repository.

The repository is the sandbox's, in a process of its own, and its upstream is this machine's. Four settings:
nothing is kept anywhere; the repository runs and has the pages, as after a discovery; it has the wheels too,
as after an installation (*warm*); and this machine has kept the metadata besides. Before, it keeps nothing.
Against plain `uv pip compile` with an empty cache, on the warm repository.

MaxText needs Python 3.12, which the TPU image does not have, and its packages are not to be had here: the
base image is a stand-in with that Python, the platform of the real one and a made-up list of packages.

    python -m bench.resolution
"""

from __future__ import annotations

import json
import os
import shutil
import sys
import tempfile
import tomllib
from pathlib import Path
from typing import Any, Final

import yaml
from uv import find_uv_bin

from bench.harness import HERE, ROUNDS, Run, keep, result, run, show
from bench.serving import serving

ROOT: Final = HERE.parent
WORKLOAD: Final = ROOT / "workloads" / "maxtext.toml"
RUNTIME: Final = "tpu-stand-in"
COLD: Final = 3
"""Rounds with nothing kept."""
EXPECTED: Final = 230
"""Distributions at least; their number changes as they publish versions."""
IMAGE: Final = {
    "runtime": RUNTIME,
    "distribution": "ubuntu",
    "release": "jammy",
    "suites": [{"name": "jammy", "base": "UBUNTU", "path": "ubuntu/dists/jammy"}],
    "components": ["main"],
    "python": "3.12",
    "architecture": "amd64",
    "glibc": "2.35",
}
STATUS: Final = """Package: libc6
Status: install ok installed
Version: 2.35-0ubuntu3
Architecture: amd64
"""


def main() -> None:
    """Measure, print, and write `results.json`."""
    with tempfile.TemporaryDirectory(prefix="dmz-bench-") as name:
        scratch = Path(name)
        checkout = _checkout(scratch / "checkout")
        cold, asked, warm, kept, plain = [], [], [], [], []
        for number in range(COLD):
            with serving("registry", scratch / f"cold-{number}") as where:
                cold.append(_ours(checkout, where, scratch / f"cold-{number}-cache"))
        with serving("registry", scratch / "warm") as where:
            _ours(checkout, where, scratch / "kept")
            for number in range(COLD):
                asked.append(_ours(checkout, where, scratch / f"asked-{number}"))
            _plain(checkout, where, scratch / "uv-first")  # the repository fetches whole wheels for it
            for number in range(ROUNDS):
                warm.append(_ours(checkout, where, scratch / f"warm-{number}"))
                kept.append(_ours(checkout, where, scratch / "kept"))
            if "--against-uv" in sys.argv:
                plain = [_plain(checkout, where, scratch / f"uv-{number}") for number in range(COLD)]
    results = [
        result("discover maxtext, nothing kept", "s", [each.seconds for each in cold], target=15),
        result("discover maxtext, repository asked before", "s", [each.seconds for each in asked]),
        result(
            "discover maxtext, repository warm",
            "s",
            [each.seconds for each in warm],
            target=3,
            other=[each.seconds for each in plain] or None,
        ),
        result(
            "discover maxtext, repository warm, metadata kept",
            "s",
            [each.seconds for each in kept],
            target=3,
        ),
        result("discover maxtext, processor time", "s", [each.processor for each in warm]),
    ]
    keep(results)
    show(results)
    if not all(each.holds in (None, True) for each in results):
        sys.exit("a target is missed")


def _checkout(folder: Path) -> Path:
    """A checkout whose workload is MaxText on a stand-in for its base image."""
    (folder / "workloads").mkdir(parents=True)
    (folder / "base-images").mkdir()
    text = WORKLOAD.read_text().replace('base-image = "tpu-ubuntu2204-base"', f'base-image = "{RUNTIME}"')
    (folder / "workloads/maxtext.toml").write_text(text)
    (folder / f"base-images/{RUNTIME}.status").write_text(STATUS)
    shutil.copy(ROOT / "Pulumi.yaml", folder)
    for stack in ("outer", "inner"):
        document = yaml.safe_load((ROOT / f"Pulumi.{stack}.yaml").read_text())
        document["config"] |= {
            "dmz:workload": "workloads/maxtext.toml",
            "dmz:runtime": RUNTIME,
            "dmz:baseImages": [IMAGE],
        }
        (folder / f"Pulumi.{stack}.yaml").write_text(yaml.safe_dump(document))
    return folder


def _ours(checkout: Path, where: dict[str, Any], cache: Path) -> Run:
    done = run(
        [sys.executable, "-m", "bench.discover", str(checkout)],
        {
            "PYTHONPATH": str(ROOT),
            "XDG_CACHE_HOME": str(cache),
            "DMZ_PYTHON_REPOSITORY_ENDPOINT": f"http://127.0.0.1:{where['python']}/",
            "GOOGLE_ARTIFACT_REGISTRY_CUSTOM_ENDPOINT": f"http://127.0.0.1:{where['api']}/v1/",
            "GOOGLE_OAUTH_ACCESS_TOKEN": where["token"],
        },
    )
    found = json.loads(done.output)
    if len(found.get("pypi", ())) < EXPECTED:
        raise RuntimeError(f"not MaxText's distributions: {found.get('error', len(found.get('pypi', ())))}")
    return done


def _plain(checkout: Path, where: dict[str, Any], cache: Path) -> Run:
    """uv by itself, as it comes."""
    document = tomllib.loads((checkout / "workloads/maxtext.toml").read_text())
    wanted, overrides = cache.with_suffix(".in"), cache.with_suffix(".overrides")
    wanted.write_text("\n".join(document["python"]))
    overrides.write_text("\n".join(document["python-overrides"]))
    return run(
        [
            find_uv_bin(),
            *("pip", "compile", str(wanted), "--overrides", str(overrides), "--no-build", "--no-config"),
            *("--python-version", "3.12", "--python-platform", "x86_64-manylinux_2_35"),
            *("--output-file", str(cache.with_suffix(".txt")), "--quiet"),
        ],
        {
            **{key: "" for key in os.environ if key.startswith(("PIP_", "UV_"))},
            "UV_CACHE_DIR": str(cache),
            "UV_PYTHON_DOWNLOADS": "never",
            "UV_DEFAULT_INDEX": f"outer=http://127.0.0.1:{where['python']}/p/python-remote/simple/",
            "UV_INDEX_OUTER_USERNAME": "oauth2accesstoken",
            "UV_INDEX_OUTER_PASSWORD": where["token"],
        },
    )


if __name__ == "__main__":
    main()
