"""What a command works with: the project of a folder, its backend, the chosen stack and its secrets."""

from __future__ import annotations

import hashlib
import json
import os
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from sandbox.engine.backend import FileBackend, StackName, parse_stack_name
from sandbox.engine.errors import ConfigurationError, EngineError, StackNotFoundError
from sandbox.engine.project import (
    ConfigValue,
    Project,
    StackConfig,
    evaluate,
    find_project,
    load_stack_config,
    merged,
    scalar_text,
    validate,
    write_file,
)
from sandbox.engine.secrets import Crypter, passphrase
from sandbox.engine.state import Json, Snapshot, snapshot_to_json


class Workspace:
    """A folder with a project, seen with an environment."""

    def __init__(self, folder: Path, environment: Mapping[str, str]) -> None:
        self.folder = folder
        self._environment = environment

    @property
    def project(self) -> Project:
        """The folder's project; none is a `ConfigurationError`."""
        return find_project(self.folder)

    def project_if_any(self) -> Project | None:
        """The folder's project, or None."""
        try:
            return self.project
        except ConfigurationError:
            if any((self.folder / name).exists() for name in ("Pulumi.yaml", "Pulumi.yml")):
                raise
            return None

    def backend(self) -> FileBackend:
        """The backend that `PULUMI_BACKEND_URL` or the project names."""
        project = self.project_if_any()
        url = self._environment.get("PULUMI_BACKEND_URL") or (project and project.backend_url)
        if not url:
            raise ConfigurationError(
                "no backend chosen: set PULUMI_BACKEND_URL to file:///FOLDER (the embedded engine "
                "has no `pulumi login`)"
            )
        return FileBackend(url)

    # The chosen stack

    def _settings_file(self) -> Path:
        project = self.project
        home = Path(self._environment.get("PULUMI_HOME") or Path.home() / ".pulumi")
        digest = hashlib.sha1(str(project.file).encode(), usedforsecurity=False).hexdigest()
        return home / "workspaces" / f"{project.name}-{digest}-workspace.json"

    def _settings(self) -> dict[str, Any]:
        try:
            content = json.loads(self._settings_file().read_text(encoding="utf-8"))
        except FileNotFoundError:
            return {}
        except ValueError as error:
            raise ConfigurationError(f"{self._settings_file()} is not valid JSON: {error}") from error
        return content if isinstance(content, dict) else {}

    def selected(self) -> StackName | None:
        """The stack chosen with `PULUMI_STACK` or `pulumi stack select`."""
        project = self.project
        name = self._environment.get("PULUMI_STACK") or self._settings().get("stack")
        return parse_stack_name(name, project.name) if name else None

    def select(self, name: StackName | None) -> None:
        """Choose a stack for the commands to come, or none."""
        settings = {key: value for key, value in self._settings().items() if key != "stack"}
        if name is not None:
            settings["stack"] = str(name)
        if settings:
            write_file(self._settings_file(), json.dumps(settings, indent=4))
        else:
            self._settings_file().unlink(missing_ok=True)

    def name(self, text: str | None) -> StackName:
        """The stack that was named, or the chosen one."""
        if text:
            project = self.project_if_any()
            return parse_stack_name(text, project.name if project else None)
        chosen = self.selected()
        if chosen is None:
            raise NoStackSelectedError(
                "no stack selected: pass --stack NAME or run `pulumi stack select NAME`"
            )
        return chosen

    def stack(self, text: str | None, config_file: str | None = None) -> Stack:
        """An existing stack of this project."""
        backend = self.backend()
        name = self.name(text)
        if not backend.exists(name):
            raise StackNotFoundError(text or name.stack)
        return self.stack_files(name, backend, config_file)

    def stack_files(self, name: StackName, backend: FileBackend, config_file: str | None = None) -> Stack:
        """A stack of this project, existing or not."""
        project = self.project
        if name.project != project.name:
            raise ConfigurationError(
                f"stack {name} does not belong to the project {project.name!r} of {project.file}"
            )
        config = load_stack_config(project, name.stack, Path(config_file) if config_file else None)
        return Stack(project, name, backend, config, self._environment)


class NoStackSelectedError(EngineError):
    """A command needs a stack and none was chosen."""

    exit_code = StackNotFoundError.exit_code


@dataclass
class Stack:
    """A stack with its configuration and its secrets."""

    project: Project
    name: StackName
    backend: FileBackend
    config: StackConfig
    _environment: Mapping[str, str]
    _crypter: Crypter | None = None

    def crypter(self) -> Crypter:
        """The secrets manager: the configuration's salt, else the state's, else a new one."""
        if self._crypter is None:
            phrase = passphrase(self._environment)
            deployment = self.backend.load(self.name) if self.backend.exists(self.name) else None
            salt = self.config.encryption_salt or _salt(deployment)
            self._crypter = Crypter(phrase, salt) if salt else Crypter.create(phrase)
        return self._crypter

    def decrypt(self, text: str) -> str:
        """A secret of the configuration."""
        if not self.config.encryption_salt:
            raise ConfigurationError(f"{self.config.file} has an encrypted value but no encryptionsalt")
        return self.crypter().decrypt(text)

    def decrypter(self, deployment: Json | None) -> Callable[[str], str]:
        """How to read the secrets of a deployment, this stack's or another's."""
        crypters: list[Crypter] = []

        def decrypt(text: str) -> str:
            if not crypters:
                crypters.append(Crypter(passphrase(self._environment), _salt(deployment) or ""))
            return crypters[0].decrypt(text)

        return decrypt

    def encrypt(self, text: str) -> str:
        """A secret for the configuration, whose file gets the salt with its first one."""
        crypter = self.crypter()
        self.config.encryption_salt = crypter.state
        return crypter.encrypt(text)

    def create(self) -> None:
        """Make the stack, without resources."""
        self.backend.create(self.name, snapshot_to_json(Snapshot(), self.crypter()))

    def values(self, *, blind: bool = False) -> dict[str, ConfigValue]:
        """The whole configuration; with `blind` secrets are not decrypted."""
        decrypt: Callable[[str], str] = (lambda _: "[secret]") if blind else self.decrypt
        return {key: evaluate(value, decrypt) for key, value in merged(self.project, self.config).items()}

    def check(self) -> None:
        """Refuse a configuration that a run could not use."""
        for key in self.config.values:
            if key.startswith("pulumi:"):
                raise ConfigurationError(
                    f"configuration key '{key}' is not implemented by the embedded engine"
                )
        validate(self.project, self.name.stack, self.config, self.decrypt)

    def config_record(self) -> Json:
        """The configuration for the history: secrets encrypted."""
        return {
            key: value if isinstance(value, dict | list) else scalar_text(value)
            for key, value in merged(self.project, self.config).items()
        }


def _salt(deployment: Json | None) -> str | None:
    if not deployment:
        return None
    providers = deployment.get("secrets_providers") or {}
    if providers and providers.get("type") != "passphrase":
        raise EngineError(f"secrets provider {providers.get('type')!r} is not known to the embedded engine")
    salt = providers.get("state", {}).get("salt")
    return str(salt) if salt else None


def default_environment() -> Mapping[str, str]:
    """The environment of this process."""
    return os.environ
