"""Google's APIs as their discovery documents describe them: what a call may look like, and what is refused.

The documents are those that google-api-python-client ships; their format is described at
https://developers.google.com/discovery/v1/reference/apis.
"""

from __future__ import annotations

import base64
import binascii
import json
import re
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cache, cached_property
from importlib import resources
from typing import Any, Final
from urllib.parse import unquote

from multidict import MultiMapping

from sandbox.cloud.errors import ApiError, invalid, not_found, unimplemented

_PARAMETER: Final = re.compile(r"\{(\+?)([^}]+)\}")
_INTEGERS: Final = {
    "int32": (-(2**31), 2**31 - 1),
    "uint32": (0, 2**32 - 1),
    "int64": (-(2**63), 2**63 - 1),
    "uint64": (0, 2**64 - 1),
}
_SYSTEM_PARAMETERS: Final = {"$alt", "$fields", "$prettyPrint", "$userProject", "$quotaUser", "userProject"}
"""Query parameters that every Google API takes and that the documents do not all list
(https://cloud.google.com/apis/docs/system-parameters)."""


_UNDOCUMENTED: Final[dict[str, dict[str, dict[str, Any]]]] = {
    "NetworkRoutingConfig": {"deleteBgpAlwaysCompareMed": {"type": "boolean"}},
    "RouterNat": {"initialNatIps": {"type": "array", "items": {"type": "string"}}},
}
"""Fields by schema that Google takes and the documents lack: Google's own provider sends them."""


@dataclass(frozen=True)
class Method:
    """One method of an API."""

    id: str
    """`compute.networks.insert`."""
    http_method: str
    path: str
    """Template below the host, such as `compute/beta/projects/{project}/global/networks`."""
    prefix: str
    """What of the path is version only, and so no part of a resource's name: `compute/beta/`."""
    parameters: dict[str, dict[str, Any]]
    """Path and query parameters by name, as the document describes them."""
    request: str | None
    """Name of the schema of the body."""
    response: str | None
    media: bool
    """Whether this is the form of the method that moves data: an upload or a download."""

    @property
    def collection(self) -> str:
        """`compute.networks`."""
        return self.id.rpartition(".")[0]

    @property
    def verb(self) -> str:
        """`insert`."""
        return self.id.rpartition(".")[2]

    @cached_property
    def pattern(self) -> re.Pattern[str]:
        """Matches the undecoded path; a group for each path parameter, in the order of `path_parameters`."""
        parts, end = [], 0
        for found in _PARAMETER.finditer(self.path):
            parts.append(re.escape(self.path[end : found.start()]))
            end = found.end()
            wide = str(self.parameters[found[2]].get("pattern", "^.+$")).removeprefix("^").removesuffix("$")
            parts.append(f"({wide})" if found[1] else "([^/]+)")
        return re.compile("".join(parts) + re.escape(self.path[end:]))

    @cached_property
    def path_parameters(self) -> tuple[str, ...]:
        """Their names in order of appearance."""
        return tuple(found[2] for found in _PARAMETER.finditer(self.path))


class Api:
    """One API: finds the method that a request means, and checks what the request says."""

    def __init__(self, name: str, version: str) -> None:
        """Load the document of `name` (`compute`) in `version` (`beta`)."""
        folder = resources.files("googleapiclient.discovery_cache.documents")
        document = json.loads((folder / f"{name}.{version}.json").read_text(encoding="utf-8"))
        self.name = name
        self.version = version
        self.schemas: dict[str, dict[str, Any]] = document["schemas"]
        for schema, fields in _UNDOCUMENTED.items():
            if schema in self.schemas:
                self.schemas[schema]["properties"] |= fields
        self._common: dict[str, dict[str, Any]] = document.get("parameters", {})
        base: str = document["servicePath"] or f"{version}/"
        self.base = f"dns/{base}" if name == "dns" else base
        """What the API's paths begin with: `compute/beta/`, `v1/`."""
        methods = sorted(self._methods(document, document["servicePath"]), key=_specificity, reverse=True)
        self._by_shape: dict[tuple[str, int | None], list[Method]] = {}
        for method in methods:
            self._by_shape.setdefault((method.http_method, _length(method)), []).append(method)
        self._ids = {method.id: method for method in methods if not method.media}

    def method(self, method_id: str) -> Method:
        """The method with this id; KeyError if the API has none."""
        return self._ids[method_id]

    def methods(self) -> list[str]:
        """The ids of all methods."""
        return sorted(self._ids)

    def find(self, http_method: str, path: str) -> tuple[Method, dict[str, str], str]:
        """The method that an undecoded path below the host means, its path parameters, and its resource name.

        The name is the one that the store uses: `compute/projects/P/global/networks/N`. 404 if no method has
        this path, 400 if a part of it does not have the form that the document asks for.
        """
        segments = path.count("/") + 1
        for shape in ((http_method, segments), (http_method, None)):
            for method in self._by_shape.get(shape, []):
                if found := method.pattern.fullmatch(path):
                    return method, self._path_values(method, found), self._name(method, path)
        raise not_found(
            f"The requested URL /{path} was not found for {http_method} on {self.name} {self.version}."
        )

    def check_query(self, method: Method, query: MultiMapping[str]) -> dict[str, str]:
        """The query parameters with their names as documented; 400 for unknown, missing and wrong ones."""
        known = {**self._common, **method.parameters}
        checked: dict[str, str] = {}
        for given, text in query.items():
            name = given if given in known or given in _SYSTEM_PARAMETERS else _camel(given)
            if name in _SYSTEM_PARAMETERS and name not in known:
                checked[name] = text
                continue
            parameter = known.get(name)
            if parameter is None or parameter.get("location") == "path":
                raise invalid(
                    f'Invalid JSON payload received. Unknown name "{given}": Cannot bind query parameter. '
                    f"Field '{given}' could not be found in request message."
                )
            self._check(parameter, _from_text(parameter, text), name)
            checked[name] = text
        for name, parameter in method.parameters.items():
            if parameter.get("required") and parameter.get("location") == "query" and name not in checked:
                raise ApiError(400, "INVALID_ARGUMENT", f"Required parameter: {name}")
        return checked

    def check_body(self, method: Method, body: Any) -> dict[str, Any]:
        """The body without what is output only and with field names as documented; 400 if anything is wrong.

        A null stays: in a patch it clears the field.
        """
        if method.request is None:
            if body:
                raise invalid(f"{method.id} takes no body.")
            return {}
        if not isinstance(body, dict):
            raise invalid("Invalid JSON payload received. The body must be an object.")
        checked = self._check({"$ref": method.request}, body, "")
        assert isinstance(checked, dict)
        # What is annotated as required for other verbs is not asked for by the services themselves.
        properties = self.schemas[method.request].get("properties", {}) if method.verb == "insert" else {}
        for name, schema in properties.items():
            if method.id in schema.get("annotations", {}).get("required", []) and checked.get(name) is None:
                raise invalid(f"Invalid value for field 'resource.{name}': ''. Required field not specified.")
        return checked

    def _methods(self, node: dict[str, Any], service_path: str) -> Iterator[Method]:
        for item in node.get("methods", {}).values():
            prefix = "dns/" if self.name == "dns" else ""
            version = service_path or f"{prefix}{self.version}/"

            def described(path: str, prefix: str, media: bool, item: dict[str, Any] = item) -> Method:
                return Method(
                    id=item["id"],
                    http_method=item["httpMethod"],
                    path=path,
                    prefix=prefix,
                    parameters=item.get("parameters", {}),
                    request=item.get("request", {}).get("$ref"),
                    response=item.get("response", {}).get("$ref"),
                    media=media,
                )

            yield described(service_path + item["path"], version, media=False)
            upload = item.get("mediaUpload", {}).get("protocols", {}).get("simple", {}).get("path")
            if upload:
                yield described(upload.lstrip("/"), f"upload/{version}", media=True)
            if item.get("useMediaDownloadService"):
                yield described(f"download/{service_path}{item['path']}", f"download/{version}", media=True)
        for child in node.get("resources", {}).values():
            yield from self._methods(child, service_path)

    def _path_values(self, method: Method, found: re.Match[str]) -> dict[str, str]:
        values = {}
        for name, raw in zip(method.path_parameters, found.groups(), strict=True):
            values[name] = value = unquote(raw)
            pattern = method.parameters[name].get("pattern")
            if pattern and not re.fullmatch(pattern.removeprefix("^").removesuffix("$"), raw):
                raise invalid(
                    f"Invalid value for field '{name}': '{value}'. Must be a match of regex '{pattern}'."
                )
        return values

    def _name(self, method: Method, path: str) -> str:
        """The store's name for what the path is about, without a verb after a colon."""
        below = path.removeprefix(method.prefix)
        verb = method.path.rpartition("}")[2]
        if verb.startswith(":"):
            below = below.removesuffix(verb)
        segments = (unquote(segment).replace("/", "%2F") for segment in below.split("/"))
        return f"{self.name}/{'/'.join(segments)}"

    def _check(self, schema: dict[str, Any], value: Any, where: str) -> Any:
        if value is None:
            return None
        if "$ref" in schema:
            return self._check(self.schemas[schema["$ref"]], value, where)
        match schema.get("type", "any"):
            case "object":
                return self._check_object(schema, value, where)
            case "array":
                if not isinstance(value, list):
                    raise _wrong(where, "list", value)
                if any(item is None for item in value):
                    raise _wrong(where, "list without null", value)
                return [self._check(schema["items"], item, f"{where}[{i}]") for i, item in enumerate(value)]
            case "string":
                return _check_string(schema, value, where)
            case "integer":
                return _check_integer(schema.get("format", "int32"), value, where)
            case "number":
                if isinstance(value, bool) or not isinstance(value, int | float):
                    raise _wrong(where, "TYPE_DOUBLE", value)
                return value
            case "boolean":
                if not isinstance(value, bool):
                    raise _wrong(where, "TYPE_BOOL", value)
                return value
        return value

    def _check_object(self, schema: dict[str, Any], value: Any, where: str) -> dict[str, Any]:
        if not isinstance(value, dict):
            raise _wrong(where, schema.get("id", "object"), value)
        properties = schema.get("properties", {})
        free = schema.get("additionalProperties")
        checked = {}
        for given, item in value.items():
            name = given if given in properties else _camel(given)
            inside = f"{where}.{name}" if where else name
            if name in properties:
                if not output_only(properties[name]):
                    checked[name] = self._check(properties[name], item, inside)
            elif free is not None:
                checked[given] = self._check(free, item, f"{where}[{given}]")
            elif properties or "additionalProperties" not in schema:
                place = f" at '{where}'" if where else ""
                raise invalid(
                    f'Invalid JSON payload received. Unknown name "{given}"{place}: Cannot find field.'
                )
        return checked


@cache
def load(name: str, version: str) -> Api:
    """The API `name` in `version`; the documents are large, so each is read once."""
    return Api(name, version)


def output_only(schema: dict[str, Any]) -> bool:
    """Whether Google sets a field itself and ignores what is sent; older documents say so in words only."""
    description = schema.get("description", "").lower()
    words = description.startswith(("[output only]", "output only")) or "(output only)" in description
    return bool(schema.get("readOnly")) or words


def _check_string(schema: dict[str, Any], value: Any, where: str) -> str:
    form = schema.get("format")
    if form in _INTEGERS:
        return str(_check_integer(form, value, where))
    if "enum" in schema and isinstance(value, int):
        raise unimplemented(f"The sandbox takes values of '{where}' by name, not by number ({value}).")
    if not isinstance(value, str):
        raise _wrong(where, "TYPE_STRING", value)
    if "enum" in schema and value not in schema["enum"]:
        allowed = ", ".join(schema["enum"])
        raise invalid(f"Invalid value at '{where}': \"{value}\". Acceptable values are: {allowed}.")
    if "pattern" in schema and not re.fullmatch(schema["pattern"], value):
        raise invalid(
            f"Invalid value for field '{where}': '{value}'. Must be a match of regex '{schema['pattern']}'."
        )
    if form == "byte":
        try:
            base64.b64decode(value.replace("-", "+").replace("_", "/"), validate=True)
        except binascii.Error:
            raise _wrong(where, "TYPE_BYTES, Base64 decoding failed", value) from None
    return value


def _check_integer(form: str, value: Any, where: str) -> int:
    low, high = _INTEGERS[form]
    if isinstance(value, str) and re.fullmatch(r"-?\d+", value):
        value = int(value)
    if isinstance(value, float) and value.is_integer():
        value = int(value)
    if isinstance(value, bool) or not isinstance(value, int) or not low <= value <= high:
        raise _wrong(where, f"TYPE_{form.upper()}", value)
    return value


def _wrong(where: str, expected: str, value: Any) -> ApiError:
    return invalid(f"Invalid value at '{where}' ({expected}), {json.dumps(value)[:80]}")


def _from_text(parameter: dict[str, Any], text: str) -> Any:
    """A query parameter's text as the JSON value that it stands for, for checking."""
    if parameter.get("type") == "boolean" and text in {"true", "false"}:
        return text == "true"
    if parameter.get("type") == "number":
        try:
            return float(text)
        except ValueError:
            return text
    return text


def _camel(name: str) -> str:
    """`repository_id` as `repositoryId`: Google takes both."""
    head, *tail = name.split("_")
    return head + "".join(part[:1].upper() + part[1:] for part in tail)


def _specificity(method: Method) -> tuple[int, int]:
    """Methods with more literal text come first, so that `x:verb` isn't taken for a name."""
    return len(_PARAMETER.sub("", method.path)), -len(method.path_parameters)


def _length(method: Method) -> int | None:
    """How many segments paths of this method have; None if that varies."""
    length = 0
    for segment in re.sub(r"\{(\+?)([^}]+)\}", lambda found: f"\0{found[2]}\0", method.path).split("/"):
        name = re.search("\0(.+)\0", segment)
        pattern = str(method.parameters[name[1]].get("pattern", "")) if name else ""
        plus = name is not None and "{+" + name[1] + "}" in method.path
        if plus and (not pattern or ".*" in pattern or ".+" in pattern):
            return None
        length += len(re.sub(r"\[[^]]*\]", "", pattern).split("/")) if plus else 1
    return length
