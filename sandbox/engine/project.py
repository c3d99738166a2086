"""A project's files: `Pulumi.yaml` with its configuration schema, and `Pulumi.STACK.yaml`.

Source: https://www.pulumi.com/docs/iac/concepts/projects/project-file/ and `pkg/workspace/config.go`
(pulumi/pulumi).
"""

from __future__ import annotations

import json
import os
import re
import tempfile
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import yaml

from sandbox.engine.errors import ConfigurationError

_PROJECT_KEYS = {
    "name",
    "runtime",
    "description",
    "main",
    "config",
    "author",
    "license",
    "website",
    "backend",
    "stackConfigDir",
}
_SCHEMA_KEYS = {"type", "description", "default", "value", "secret", "items"}
_TYPES = {"string", "integer", "boolean", "array", "object"}
_STACK_KEYS = {"config", "encryptionsalt", "secretsprovider"}
_NAME = re.compile(r"[a-zA-Z0-9_.-]{1,100}")


def read_yaml(path: Path) -> dict[str, Any]:
    """A YAML file that is a mapping; anything else is one clear line."""
    try:
        content = yaml.safe_load(path.read_text(encoding="utf-8"))
    except (OSError, UnicodeDecodeError) as error:
        raise ConfigurationError(f"could not read {path}: {error}") from error
    except yaml.YAMLError as error:
        raise ConfigurationError(f"{path} is not valid YAML: {' '.join(str(error).split())}") from error
    if content is None:
        return {}
    if not isinstance(content, dict) or not all(isinstance(key, str) for key in content):
        raise ConfigurationError(f"{path} must be a mapping with string keys")
    return content


def write_file(path: Path, text: str, mode: int = 0o600) -> None:
    """Write a file so that a reader sees the old content or the new, also after a crash."""
    path.parent.mkdir(parents=True, exist_ok=True)
    descriptor, name = tempfile.mkstemp(dir=path.parent, prefix=f".{path.name}.")
    try:
        with os.fdopen(descriptor, "w", encoding="utf-8") as file:
            file.write(text)
            file.flush()
            os.fsync(file.fileno())
        Path(name).chmod(mode)
        Path(name).replace(path)
    except BaseException:
        Path(name).unlink(missing_ok=True)
        raise


@dataclass(frozen=True)
class Schema:
    """What the project says of one configuration key."""

    key: str
    """With its namespace, `dmz:side`."""
    type: str | None = None
    items: dict[str, Any] | None = None
    default: Any = None
    secret: bool = False

    def describe(self) -> str:
        """The type in words, `array<string>`."""
        return _describe(self.type, self.items)

    def accepts(self, value: Any) -> bool:
        """Whether a value is of the type."""
        return self.type is None or _accepts(self.type, self.items, value)


def _describe(type_: str | None, items: dict[str, Any] | None) -> str:
    return f"array<{_describe(items.get('type'), items.get('items'))}>" if items else str(type_)


def _accepts(type_: str | None, items: dict[str, Any] | None, value: Any) -> bool:
    match type_:
        case "string":
            return isinstance(value, str)
        case "integer":
            if isinstance(value, str):
                return re.fullmatch(r"[+-]?[0-9]+", value) is not None
            return isinstance(value, int | float) and not isinstance(value, bool) and value == int(value)
        case "boolean":
            return isinstance(value, bool) or value in ("true", "false")
        case "object":
            return isinstance(value, dict)
        case _:
            return (
                isinstance(value, list)
                and items is not None
                and all(_accepts(items.get("type"), items.get("items"), item) for item in value)
            )


@dataclass(frozen=True)
class Project:
    """A parsed `Pulumi.yaml`."""

    file: Path
    name: str
    main: Path
    """The folder or file with the program."""
    schemas: tuple[Schema, ...]
    backend_url: str | None
    config_folder: Path

    @property
    def folder(self) -> Path:
        """The folder of `Pulumi.yaml`."""
        return self.file.parent

    def key(self, name: str) -> str:
        """A configuration key with its namespace; the project's is the default."""
        namespace, separator, rest = name.partition(":")
        if not separator:
            return f"{self.name}:{name}"
        if rest.startswith("config:"):  # the old form, dmz:config:side
            rest = rest.removeprefix("config:")
        if not namespace or not rest or ":" in rest:
            raise ConfigurationError(f"configuration key {name!r} must be of the form NAME or NAMESPACE:NAME")
        return f"{namespace}:{rest}"


def find_project(start: Path) -> Project:
    """The project of a folder: the nearest `Pulumi.yaml` in it or above."""
    for folder in (start, *start.parents):
        for name in ("Pulumi.yaml", "Pulumi.yml"):
            if (folder / name).is_file():
                return load_project(folder / name)
    raise ConfigurationError(f"no Pulumi.yaml project file found in {start} or above it")


def load_project(file: Path) -> Project:
    """Read and check a `Pulumi.yaml`."""
    content = read_yaml(file)
    if unknown := sorted(content.keys() - _PROJECT_KEYS):
        raise ConfigurationError(f"{file}: the embedded engine does not implement {', '.join(unknown)}")
    name = content.get("name")
    if not isinstance(name, str) or not _NAME.fullmatch(name):
        raise ConfigurationError(f"{file}: 'name' must be a name of letters, digits, '-', '_' and '.'")
    runtime = content.get("runtime")
    runtime_name = runtime.get("name") if isinstance(runtime, dict) else runtime
    if runtime_name != "python":
        raise ConfigurationError(
            f"{file}: runtime {runtime_name!r}: the embedded engine runs Python programs only"
        )
    backend = content.get("backend") or {}
    config = content.get("config") or {}
    if isinstance(config, str):
        raise ConfigurationError(
            f"{file}: 'config' must be a mapping (a folder is named with stackConfigDir)"
        )
    schemas = tuple(_schema(file, name, key, value) for key, value in sorted(config.items()))
    return Project(
        file=file,
        name=name,
        main=(file.parent / content.get("main", ".")).resolve(),
        schemas=schemas,
        backend_url=backend.get("url"),
        config_folder=file.parent / content.get("stackConfigDir", "."),
    )


def _schema(file: Path, project: str, name: str, value: Any) -> Schema:
    where = f"{file}: configuration key '{name}'"
    own = ":" not in name or name.startswith(f"{project}:")
    key = name if ":" in name else f"{project}:{name}"
    if not isinstance(value, dict):
        return Schema(key, default=value)
    if unknown := sorted(value.keys() - _SCHEMA_KEYS):
        raise ConfigurationError(f"{where} has the unknown attribute {', '.join(unknown)}")
    if "default" in value and "value" in value:
        raise ConfigurationError(f"{where} cannot have both a 'default' and a 'value' attribute")
    type_, items = value.get("type"), value.get("items")
    if not own and (type_ is not None or "default" in value or "value" not in value):
        raise ConfigurationError(
            f"{where} is not the project's own: it takes a 'value' and neither type nor default"
        )
    if type_ is not None and type_ not in _TYPES:
        raise ConfigurationError(
            f"{where} has the type {type_!r}, which is none of {', '.join(sorted(_TYPES))}"
        )
    if type_ == "array" and items is None:
        raise ConfigurationError(f"{where} is an array and must name the type of its 'items'")
    schema = Schema(key, type_, items, value.get("default", value.get("value")), value.get("secret", False))
    if schema.default is not None and not schema.accepts(schema.default):
        raise ConfigurationError(f"{where}: its default is not of the type {schema.describe()}")
    return schema


@dataclass
class StackConfig:
    """A parsed `Pulumi.STACK.yaml`: configuration as it is written there, secrets encrypted."""

    file: Path
    values: dict[str, Any] = field(default_factory=dict)
    encryption_salt: str | None = None
    _rest: dict[str, Any] = field(default_factory=dict)

    def save(self) -> None:
        """Write the file back."""
        content: dict[str, Any] = dict(self._rest)
        if self.encryption_salt:
            content["encryptionsalt"] = self.encryption_salt
        if self.values:
            content["config"] = self.values
        text = yaml.safe_dump(content, sort_keys=False, allow_unicode=True, width=10_000) if content else ""
        write_file(self.file, text, 0o644)


def load_stack_config(project: Project, stack: str, file: Path | None = None) -> StackConfig:
    """The configuration of a stack; a stack without a file has none."""
    path = file or project.config_folder / f"Pulumi.{stack}.yaml"
    if not path.exists():
        if file is not None:
            raise ConfigurationError(f"configuration file {file} does not exist")
        return StackConfig(path)
    content = read_yaml(path)
    if unknown := sorted(content.keys() - _STACK_KEYS):
        raise ConfigurationError(f"{path}: the embedded engine does not implement {', '.join(unknown)}")
    provider = content.get("secretsprovider", "passphrase")
    if provider not in ("passphrase", "default"):
        raise ConfigurationError(
            f"{path}: secretsprovider {provider!r}: the embedded engine knows only passphrase"
        )
    config = content.get("config") or {}
    if not isinstance(config, dict):
        raise ConfigurationError(f"{path}: 'config' must be a mapping")
    rest = {key: value for key, value in content.items() if key == "secretsprovider"}
    keyed = {project.key(str(key)): value for key, value in config.items()}
    return StackConfig(path, keyed, content.get("encryptionsalt"), rest)


@dataclass(frozen=True)
class ConfigValue:
    """One configuration value as programs get it: text, JSON for lists and objects."""

    text: str
    secret: bool = False
    structured: bool = False
    """Whether the text is JSON."""


def is_secure(value: Any) -> bool:
    """Whether a value of the file is one encrypted secret."""
    return isinstance(value, dict) and value.keys() == {"secure"} and isinstance(value["secure"], str)


def has_secure(value: Any) -> bool:
    """Whether a value of the file has an encrypted secret in it."""
    if is_secure(value):
        return True
    if isinstance(value, dict):
        return any(map(has_secure, value.values()))
    return isinstance(value, list) and any(map(has_secure, value))


def scalar_text(value: Any) -> str:
    """A scalar as programs get it: `true`, `3`, the text itself."""
    return json.dumps(value) if isinstance(value, bool) or value is None else str(value)


def evaluate(value: Any, decrypt: Callable[[str], str]) -> ConfigValue:
    """A value of the file as programs get it."""
    if is_secure(value):
        return ConfigValue(decrypt(value["secure"]), secret=True)
    if isinstance(value, dict | list):
        text = json.dumps(_opened(value, decrypt), separators=(",", ":"), sort_keys=True, ensure_ascii=False)
        return ConfigValue(text, secret=has_secure(value), structured=True)
    return ConfigValue(scalar_text(value))


def _opened(value: Any, decrypt: Callable[[str], str]) -> Any:
    if is_secure(value):
        return decrypt(value["secure"])
    if isinstance(value, dict):
        return {str(key): _opened(item, decrypt) for key, item in value.items()}
    if isinstance(value, list):
        return [_opened(item, decrypt) for item in value]
    return value


def merged(project: Project, stack: StackConfig) -> dict[str, Any]:
    """The stack's values and, where it has none, the project's defaults, as files write them."""
    result = {schema.key: schema.default for schema in project.schemas if schema.default is not None}
    result.update(stack.values)
    return dict(sorted(result.items()))


def validate(project: Project, stack_name: str, stack: StackConfig, decrypt: Callable[[str], str]) -> None:
    """Refuse a configuration in which a value is missing or not of its type."""
    present = merged(project, stack)
    missing = [schema.key for schema in project.schemas if schema.key not in present]
    if missing:
        noun = "value" if len(missing) == 1 else "values"
        names = ", ".join(f"'{key}'" for key in missing)
        raise ConfigurationError(
            f"Stack '{stack_name}' is missing configuration {noun} {names}: "
            f"set it with `pulumi config set {missing[0]} VALUE --stack {stack_name}`"
        )
    for schema in project.schemas:
        if schema.key not in stack.values:
            continue
        value = stack.values[schema.key]
        if schema.secret and not has_secure(value):
            raise ConfigurationError(
                f"Stack '{stack_name}' with configuration key '{schema.key}' must be encrypted as "
                "it's secret: "
                f"set it with `pulumi config set --secret {schema.key} --stack {stack_name}`"
            )
        if not schema.accepts(_opened(value, decrypt)):
            raise ConfigurationError(
                f"Stack '{stack_name}' with configuration key '{schema.key}' must be of type "
                f"'{schema.describe()}' "
                f"(in {stack.file})"
            )


_STEP = re.compile(r'\[(?:(\d+|\*)|"((?:[^"\\]|\\.)*)")\]|\.?([^.\[\]]+)')


def parse_path(text: str) -> list[str | int]:
    """The steps of a property path, `a.b[0]["c.d"]`."""
    steps: list[str | int] = []
    position = 0
    while position < len(text):
        match = _STEP.match(text, position)
        if match is None:
            raise ConfigurationError(f"{text!r} is not a valid property path")
        index, quoted, name = match.groups()
        if index is not None:
            steps.append("*" if index == "*" else int(index))
        else:
            steps.append(quoted.replace('\\"', '"') if quoted is not None else name)
        position = match.end()
    return steps
