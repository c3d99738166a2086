"""`oauth2.googleapis.com`: whom an access token stands for.

As google-auth-library-nodejs asks (`OAuth2Client.getTokenInfo`): POST, with the token as the bearer's. A
token in the address, which Google takes too, would end up in logs: it is not looked at here.
"""

from __future__ import annotations

import time

from aiohttp import hdrs, web

from sandbox.cloud.context import Cloud
from sandbox.cloud.references import project_number
from sandbox.cloud.tokens import EMAIL


def application(cloud: Cloud) -> web.Application:
    """Answers for tokens; the server in front lets everybody in."""

    async def tell(request: web.Request) -> web.Response:
        scheme, _, token = request.headers.get(hdrs.AUTHORIZATION, "").partition(" ")
        if scheme.lower() != "bearer":
            token = str((await request.post()).get("access_token", ""))
        claim = cloud.tokens.claim(token)
        if claim is None:
            error = {"error": "invalid_token", "error_description": "Invalid Value"}
            return web.json_response(error, status=400)
        email = claim.identity.partition(":")[2]
        number = _number(cloud, claim.identity, email)
        answer = {"azp": number, "aud": number, "scope": " ".join(claim.scopes), "exp": str(claim.end)}
        answer["expires_in"] = str(claim.end - int(time.time()))
        if not {EMAIL, "email"}.isdisjoint(claim.scopes):  # which a machine's usual token has not
            answer |= {"sub": number, "email": email, "email_verified": "true"}
        return web.json_response({**answer, "access_type": "online"})

    app = web.Application()
    app.add_routes([web.post("/tokeninfo", tell)])
    return app


def _number(cloud: Cloud, identity: str, email: str) -> str:
    """The unique id: a service account's own, or one derived from a person's address."""
    if identity.startswith("serviceAccount:"):
        for resource in cloud.store.list("iam/projects/").values():
            if resource.get("email") == email:
                return str(resource.get("uniqueId", ""))
    return str(project_number(email))
