"""Who may talk to the studio: one person's browser on this machine, and no page of any other origin.

Other programs and web pages can reach a server on 127.0.0.1. So every request needs a cookie that only a one-time token
in the opened address gives, a Host that is this server's own (DNS rebinding uses another one), and, where the browser
says from where it comes, this origin.
"""

from __future__ import annotations

import hmac
import secrets
import threading
from collections.abc import Callable
from urllib.parse import parse_qs

from starlette.datastructures import Headers, MutableHeaders
from starlette.requests import cookie_parser
from starlette.responses import JSONResponse, PlainTextResponse, RedirectResponse, Response
from starlette.types import ASGIApp, Message, Receive, Scope, Send

CSP = (
    "default-src 'self'; style-src 'self'; script-src 'self'; img-src 'self' data: blob:; media-src 'self' blob:; "
    "connect-src 'self'; worker-src 'self' blob:; frame-ancestors 'none'; base-uri 'none'; form-action 'self'; "
    "object-src 'none'"
)
# A report is a self-contained page with its style, script and audio inside; it may do nothing but show itself.
REPORT_CSP = (
    "sandbox allow-scripts; default-src 'none'; style-src 'unsafe-inline'; script-src 'unsafe-inline'; "
    "img-src data:; media-src data: blob:; font-src data:; frame-ancestors 'none'; base-uri 'none'; form-action 'none'"
)
_HEADERS = {
    "X-Content-Type-Options": "nosniff",
    "Referrer-Policy": "no-referrer",
    "Cross-Origin-Opener-Policy": "same-origin",
    "Cross-Origin-Resource-Policy": "same-origin",
    "X-Frame-Options": "DENY",
}
_SAFE_METHODS = ("GET", "HEAD")
_NO_COOKIE = "Open the studio with the address that its terminal shows; each address works once."


class Gate:
    """The tokens and the cookie of one server.

    Args:
        port: of the server.
        on_used: called with a new address where one was used up, for a further browser.
    """

    def __init__(self, port: int, on_used: Callable[[str], None] = lambda _: None):
        self.port, self._on_used = port, on_used
        self.cookie_name, self._secret = f"nmjax_studio_{port}", secrets.token_urlsafe(32)
        self._token, self._lock = secrets.token_urlsafe(32), threading.Lock()

    @property
    def address(self) -> str:
        """The address that opens the studio once."""
        return f"http://127.0.0.1:{self.port}/?token={self._token}"

    @property
    def hosts(self) -> tuple[str, ...]:
        """What a request's Host may be."""
        return f"127.0.0.1:{self.port}", f"localhost:{self.port}"

    def use_token(self, token: str) -> bool:
        """Whether a token is right; it is then replaced by another one."""
        with self._lock:
            if not hmac.compare_digest(token.encode(), self._token.encode()):
                return False
            self._token = secrets.token_urlsafe(32)
        self._on_used(self.address)
        return True

    def has_cookie(self, headers: Headers) -> bool:
        """Whether a request has the cookie."""
        value = cookie_parser(headers.get("cookie", "")).get(self.cookie_name, "")
        return hmac.compare_digest(value.encode(), self._secret.encode())

    def set_cookie(self, response: Response) -> None:
        """Give the cookie to a browser."""
        response.set_cookie(self.cookie_name, self._secret, path="/", httponly=True, samesite="strict")


class SecurityMiddleware:
    """Refuses requests of others, and adds the headers that confine the page.

    Args:
        app: what is protected.
        gate: knows who may pass.
    """

    def __init__(self, app: ASGIApp, gate: Gate):
        self._app, self._gate = app, gate

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] == "websocket":
            await send({"type": "websocket.close", "code": 1008})
            return
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return

        async def send_with_headers(message: Message) -> None:
            if message["type"] == "http.response.start":
                headers = MutableHeaders(scope=message)
                headers.setdefault("Content-Security-Policy", CSP)
                for name, value in _HEADERS.items():
                    headers[name] = value
            await send(message)

        response = self._refusal(scope) or self._entrance(scope)
        await (response or self._app)(scope, receive, send_with_headers)

    def _refusal(self, scope: Scope) -> Response | None:
        """The response to a request that may not be served; None where it may, or where it asks to enter."""
        headers, method, path = Headers(scope=scope), scope["method"], scope["path"]
        hosts, origins = headers.getlist("host"), headers.getlist("origin")
        if len(hosts) != 1 or hosts[0].lower() not in self._gate.hosts:
            return _refuse("This address is not the studio's own.", 403)
        own_origin = f"http://{hosts[0].lower()}"
        if any(origin != own_origin for origin in origins):
            return _refuse("Requests of other pages are refused.", 403)
        site = headers.get("sec-fetch-site")
        is_entrance = method == "GET" and path == "/"
        if site in ("cross-site", "same-site") and not is_entrance:
            return _refuse("Requests of other pages are refused.", 403)
        if method not in _SAFE_METHODS and not origins and site != "same-origin":
            return _refuse("A change must come from the studio's own page.", 403)
        return None

    def _entrance(self, scope: Scope) -> Response | None:
        """The cookie for a right token; a refusal without either; None for a request with the cookie."""
        tokens = parse_qs(scope["query_string"].decode("latin-1")).get("token", [])
        is_page = scope["path"] == "/" and scope["method"] == "GET"
        if is_page and len(tokens) == 1 and self._gate.use_token(tokens[0]):
            response = RedirectResponse("/", 303, {"Cache-Control": "no-store"})
            self._gate.set_cookie(response)
            return response
        if not self._gate.has_cookie(Headers(scope=scope)):
            return PlainTextResponse(_NO_COOKIE, 403) if is_page else _refuse(_NO_COOKIE, 403)
        return RedirectResponse("/", 303) if is_page and tokens else None


def _refuse(sentence: str, status: int) -> Response:
    return JSONResponse({"error": sentence}, status)
