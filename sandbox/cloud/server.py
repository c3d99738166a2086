"""All services behind one HTTP server: by local port for this host, by host name for the machines."""

from __future__ import annotations

import hashlib
import logging
import re
import socket
import ssl
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from datetime import UTC, datetime
from http import HTTPStatus
from typing import Any, Final

from aiohttp import BasicAuth, hdrs, web
from aiohttp.web_urldispatcher import AbstractRuleMatching, MatchedSubAppResource

from sandbox.cloud import metadata
from sandbox.cloud.authority import Authority
from sandbox.cloud.context import Cloud
from sandbox.cloud.errors import ApiError, not_found, refusal, unauthenticated
from sandbox.cloud.registry import SERVICES, Service, applications
from sandbox.cloud.requests import DATA, Data, Entry

_LOG: Final = logging.getLogger(__name__)
_BASIC_USER: Final = "oauth2accesstoken"
"""The user name that goes with an access token in Basic authentication
(https://cloud.google.com/artifact-registry/docs/python/authentication)."""

_LOGGED_BYTES: Final = 1 << 24
"""JSON bodies beyond this size are not kept in the log."""

_STARTED: Final = web.RequestKey("started", bool)
"""Set once the head of the answer is on its way, after which an error can only end the connection."""

RequestHandler = Callable[[web.Request], Awaitable[web.StreamResponse]]


@dataclass
class Site:
    """A socket that is being served."""

    _site: web.SockSite
    _runner: web.AppRunner | None = None
    """The runner that ends with the site, where it has one of its own."""

    async def stop(self) -> None:
        """Stop serving, and close the socket."""
        if self._runner is None:
            await self._site.stop()
        else:
            await self._runner.cleanup()


class GoogleFront:
    """Google as the machines see it, and the same services on ports of this host."""

    def __init__(self, cloud: Cloud) -> None:
        """Serve the services of `cloud`; nothing listens before `start`."""
        self._cloud = cloud
        self._authority = Authority(cloud.root)
        self._ports: dict[int, Service] = {}
        self._runner = web.AppRunner(self._application(), access_log=None)
        self._sites: list[Site] = []

    async def start(self) -> None:
        """Be ready to serve."""
        await self._runner.setup()

    async def stop(self) -> None:
        """Close all sockets."""
        for site in self._sites:
            await site.stop()
        await self._runner.cleanup()

    def tls_context(self) -> ssl.SSLContext:
        """What a server needs to answer as one of the names that the sandbox's authority signs for."""
        return self._authority.server_context()

    async def serve(self, sock: socket.socket, tls: bool) -> Site:
        """Serve all services on a listening socket, by the host name that each request carries."""
        site = web.SockSite(self._runner, sock, ssl_context=self.tls_context() if tls else None)
        await site.start()
        return Site(site)

    async def serve_metadata(self, sock: socket.socket, network: str) -> Site:
        """Serve the metadata server of a VPC (`projects/P/global/networks/N`) on a listening socket."""
        return await self._serve_metadata(sock, metadata.machine_finder(self._cloud, network))

    async def serve_here(self, listening: dict[str, socket.socket]) -> None:
        """Serve each service by its name on a listening socket of this host, `metadata` being one of them."""
        by_name = {service.name: service for service in SERVICES}
        for name, sock in listening.items():
            if name == "metadata":
                self._sites.append(await self._serve_metadata(sock, metadata.host_finder(self._cloud)))
            else:
                self._ports[sock.getsockname()[1]] = by_name[name]
                await self.serve(sock, tls=False)

    async def _serve_metadata(self, sock: socket.socket, finder: metadata.Finder) -> Site:
        app = metadata.application(self._cloud, finder)
        app.middlewares.insert(0, self._logged)
        runner = web.AppRunner(app, access_log=None)
        await runner.setup()
        site = web.SockSite(runner, sock)
        await site.start()
        return Site(site, runner)

    def _application(self) -> web.Application:
        # Bodies have no limit here: Artifact Registry takes files of 9.9 GB, which its handlers stream.
        app = web.Application(middlewares=[self._logged, self._authenticated], client_max_size=0)
        for service, rule, part in applications(self._cloud):
            app.router.register_resource(MatchedSubAppResource(_Rule(self, service, rule), part))
            _live_together(app, part)

        async def started(request: web.Request, response: web.StreamResponse) -> None:
            request[_STARTED] = True

        app.on_response_prepare.append(started)
        return app

    def service(self, request: web.BaseRequest) -> Service | None:
        """The service that a request is for."""
        transport = request.transport
        host, port = transport.get_extra_info("sockname")[:2] if transport is not None else ("", 0)
        if host == "127.0.0.1" and port in self._ports:
            return self._ports[port]
        name = request.host.partition(":")[0].lower()
        return next((service for service in SERVICES if re.fullmatch(service.hosts, name)), None)

    @web.middleware
    async def _logged(self, request: web.Request, handler: RequestHandler) -> web.StreamResponse:
        response: web.StreamResponse
        try:
            response = await handler(request)
        except ApiError as error:
            response = self._refused(request, error)
        except web.HTTPException as error:
            self._write(request, error)
            raise
        except ConnectionError:
            raise
        except Exception as error:
            known = refusal(error)
            if known is None:
                _LOG.exception("%s %s failed", request.method, request.path)
                known = ApiError(500, "INTERNAL", f"The sandbox failed: {error!r}; see its log.")
            response = self._refused(request, known)
            if request.get(_STARTED):
                self._write(request, response)
                raise
        await self._keep(request, response)
        return response

    def _refused(self, request: web.Request, error: ApiError) -> web.Response:
        """A refusal in the service's form: Google's JSON, or text for who reads what pip or apt print."""
        service = self.service(request)
        data_plane = service is not None and service.basic
        response = (
            web.Response(status=error.status, text=error.message + "\n", headers=error.headers)
            if data_plane
            else web.json_response(error.body(), status=error.status, headers=error.headers)
        )
        if error.status == HTTPStatus.UNAUTHORIZED:
            scheme = "Basic" if data_plane else "Bearer"
            response.headers[hdrs.WWW_AUTHENTICATE] = f'{scheme} realm="Google"'
        return response

    @web.middleware
    async def _authenticated(self, request: web.Request, handler: RequestHandler) -> web.StreamResponse:
        service = self.service(request)
        request["identity"] = None
        if service is None:
            raise not_found(f"The sandbox does not have {request.host}.")
        token = _token(request, service)
        if service.anonymous:
            request["identity"] = self._cloud.tokens.identity(token or "")
            return await handler(request)
        if token is None:
            raise unauthenticated(
                "Request is missing required authentication credential. Expected OAuth 2 access token."
            )
        request["identity"] = self._cloud.tokens.identity(token)
        if request["identity"] is None:
            raise unauthenticated(
                "Request had invalid authentication credentials: the token is not valid any more."
            )
        return await handler(request)

    async def _keep(self, request: web.Request, response: web.StreamResponse) -> None:
        body: Any = None
        sent = request.content_type == "application/json" and request.body_exists
        if sent and (request.content_length or 0) <= _LOGGED_BYTES:
            try:
                body = await request.json()
            except (ValueError, web.HTTPException):
                body = None
        self._write(request, response, body)

    def _write(self, request: web.Request, response: web.StreamResponse, body: Any = None) -> None:
        service = self.service(request)
        port = request.url.port
        self._cloud.requests.write(
            Entry(
                time=datetime.now(UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z"),
                identity=request.get("identity"),
                host=service.host if service is not None and port in self._ports else request.host,
                method=request.method,
                path=request.raw_path.partition("?")[0],
                query=dict(request.query),
                body=body,
                data=request.get(DATA) or _data(request, response),
                status=response.status,
            )
        )


class _Rule(AbstractRuleMatching):
    """Matches requests for a service, and of these those whose path `path` matches."""

    def __init__(self, front: GoogleFront, service: Service, path: re.Pattern[str]) -> None:
        self._front = front
        self._service = service
        self._path = path

    async def match(self, request: web.Request) -> bool:
        """Whether the request is for this service and path."""
        return (
            self._front.service(request) is self._service and self._path.match(request.raw_path) is not None
        )

    def get_info(self) -> Any:
        """What the rule matches, for aiohttp."""
        return {"domain": self._service.host}

    @property
    def canonical(self) -> str:
        """A name for the rule."""
        return self._service.host


def _live_together(app: web.Application, part: web.Application) -> None:
    """Start and stop `part` with `app`, as `add_subapp` does for applications below a path."""
    part.pre_freeze()

    async def startup(_: web.Application) -> None:
        part.freeze()
        await part.startup()

    async def shutdown(_: web.Application) -> None:
        await part.shutdown()

    async def cleanup(_: web.Application) -> None:
        await part.cleanup()

    app.on_startup.append(startup)
    app.on_shutdown.append(shutdown)
    app.on_cleanup.append(cleanup)


def _token(request: web.Request, service: Service) -> str | None:
    """The access token that a request carries, if any."""
    scheme, _, value = request.headers.get(hdrs.AUTHORIZATION, "").partition(" ")
    if scheme.lower() == "bearer":
        return value.strip()
    if scheme.lower() == "basic" and service.basic:
        try:
            credentials = BasicAuth.decode(request.headers[hdrs.AUTHORIZATION])
        except ValueError:
            return None
        return credentials.password if credentials.login == _BASIC_USER else None
    return None


def _data(request: web.BaseRequest, response: web.StreamResponse) -> Data | None:
    """What is known of an answer that is data and not JSON; one that is streamed is noted by its handler."""
    if request.method == hdrs.METH_HEAD or response.status >= HTTPStatus.BAD_REQUEST:
        return None
    if response.content_type == "application/json":
        return None
    body = response.body if isinstance(response, web.Response) else None
    return Data(len(body), hashlib.sha256(body).hexdigest()) if isinstance(body, bytes | bytearray) else None
