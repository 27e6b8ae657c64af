"""Attacks on the local server; each must be refused, and must change nothing."""

import http.client
import json
import socket

import pytest

from nmjax.studio.server import listen
from tests.studio.helpers import Client, running_studio


@pytest.fixture(scope="module")
def client(tmp_path_factory):
    with running_studio(tmp_path_factory.mktemp("sessions")) as running:
        yield running


def raw(client, text):
    """The first line of the response to a request as it is written."""
    with socket.create_connection(("127.0.0.1", client.port), timeout=20) as connection:
        connection.sendall(text.replace("\n", "\r\n").encode("latin-1"))
        return connection.makefile("rb").readline().decode()


def test_the_own_page_is_served(client):
    status, _, data = client.request("GET", "/api/session")
    assert status == 200 and json.loads(data)["tracks"] == []


def test_it_listens_on_the_loopback_alone():
    listener = listen(0)
    try:
        assert listener.getsockname()[0] == "127.0.0.1"
    finally:
        listener.close()


@pytest.mark.parametrize(
    "path", ["/", "/api/session", "/api/events", "/main.js", "/api/tracks/x/audio", "/favicon.ico"]
)
@pytest.mark.parametrize("cookie", ["", "nmjax_studio_{port}=", "nmjax_studio_{port}=guess", "nmjax_studio=x"])
def test_nothing_without_the_cookie(client, path, cookie):
    status, headers, data = client.request("GET", path, headers={"Cookie": cookie.format(port=client.port)})
    assert status == 403
    assert "set-cookie" not in headers and b"tracks" not in data


@pytest.mark.parametrize("token", ["", "x", "%00", "é", "None"])
def test_a_wrong_token_gives_no_cookie(client, token):
    path = f"/?token={token.encode().hex() if not token.isascii() else token}"
    status, headers, _ = client.request("GET", path, headers={"Cookie": ""})
    assert status == 403 and "set-cookie" not in headers


def test_a_token_works_once(client):
    path = client.gate.address.partition(str(client.port))[2]
    status, headers, _ = client.request("GET", path, headers={"Cookie": "", "Origin": None})
    assert status == 303 and headers["location"] == "/"
    flags = headers["set-cookie"].lower()
    assert "httponly" in flags and "samesite=strict" in flags and "path=/" in flags
    status, headers, _ = client.request("GET", path, headers={"Cookie": "", "Origin": None})
    assert status == 403 and "set-cookie" not in headers
    assert client.gate.address.partition(str(client.port))[2] != path  # a further browser gets another one


def test_two_tokens_at_once_are_refused(client):
    token = client.gate.address.partition("token=")[2]
    status, headers, _ = client.request("GET", f"/?token=x&token={token}", headers={"Cookie": ""})
    assert status == 403 and "set-cookie" not in headers


@pytest.mark.parametrize(
    "host",
    [
        "evil.example",
        "evil.example:{port}",
        "127.0.0.1",
        "127.0.0.1:1",
        "127.0.0.1:{port}.evil.example",
        "[::1]:{port}",
        "",
    ],
)
def test_dns_rebinding(client, host):
    """A page whose name was made to point to 127.0.0.1 sends its own name as Host."""
    host = host.format(port=client.port)
    status, _, _ = client.request("GET", "/api/session", headers={"Host": host, "Origin": None})
    assert status in (400, 403)


def test_a_second_host_header_is_refused(client):
    text = f"GET /api/session HTTP/1.1\nHost: 127.0.0.1:{client.port}\nHost: evil.example\nCookie: {client.cookie}\n\n"
    assert raw(client, text).split()[1] in ("400", "403")


def test_localhost_is_allowed(client):
    host = f"localhost:{client.port}"
    status, _, _ = client.request("GET", "/api/session", headers={"Host": host, "Origin": f"http://{host}"})
    assert status == 200


@pytest.mark.parametrize(
    "origin",
    [
        "null",
        "http://evil.example",
        "https://127.0.0.1:{port}",
        "http://127.0.0.1",
        "http://127.0.0.1:1",
        "http://localhost:{port}",
        "",
    ],
)
@pytest.mark.parametrize(
    ("method", "path"), [("GET", "/api/session"), ("POST", "/api/deliveries"), ("POST", "/api/tracks?name=a.wav")]
)
def test_foreign_origins(client, method, path, origin):
    """With the cookie, as a browser that was tricked into sending it."""
    status, _, _ = client.request(
        method, path, "{}" if method == "POST" else None, {"Origin": origin.format(port=client.port)}
    )
    assert status == 403
    assert client.json("GET", "/api/session")["tracks"] == []


@pytest.mark.parametrize("site", ["cross-site", "same-site", "none", None])
def test_changes_need_an_origin_or_the_browsers_word(client, site):
    headers = {"Origin": None} | ({"Sec-Fetch-Site": site} if site else {})
    assert client.request("POST", "/api/tracks?name=a.wav", b"x", headers)[0] == 403
    assert client.request("DELETE", "/api/tracks/x", None, headers)[0] == 403


def test_changes_of_the_same_origin_pass(client):
    headers = {"Origin": None, "Sec-Fetch-Site": "same-origin"}
    assert client.request("DELETE", "/api/tracks/x", None, headers)[0] == 404


@pytest.mark.parametrize("site", ["cross-site", "same-site"])
def test_other_pages_cannot_embed_anything(client, site):
    """A page on another port of this machine is the same site, so the browser sends it the cookie."""
    headers = {"Origin": None, "Sec-Fetch-Site": site}
    assert client.request("GET", "/api/session", None, headers)[0] == 403


def test_no_cross_origin_sharing(client):
    headers = {"Origin": "http://evil.example", "Access-Control-Request-Method": "DELETE"}
    status, received, _ = client.request("OPTIONS", "/api/tracks/x", None, headers)
    assert status == 403
    assert not [name for name in received if name.startswith("access-control")]


@pytest.mark.parametrize("path", ["/api/session", "/nothing", "/api/tracks/x"])
def test_headers_that_confine_the_page(client, path):
    _, headers, _ = client.request("GET", path)
    policy = headers["content-security-policy"]
    assert "default-src 'self'" in policy and "frame-ancestors 'none'" in policy and "base-uri 'none'" in policy
    assert "unsafe" not in policy and "http" not in policy and "*" not in policy
    assert headers["x-content-type-options"] == "nosniff"
    assert headers["referrer-policy"] == "no-referrer"
    assert headers["cross-origin-opener-policy"] == headers["cross-origin-resource-policy"] == "same-origin"


def test_websockets_are_refused(client):
    text = (
        f"GET /api/events HTTP/1.1\nHost: 127.0.0.1:{client.port}\nCookie: {client.cookie}\nUpgrade: websocket\n"
        "Connection: Upgrade\nSec-WebSocket-Version: 13\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\n"
        "Origin: http://evil.example\n\n"
    )
    assert raw(client, text).split()[1] == "403"


@pytest.mark.parametrize(
    "path",
    [
        "/../../../../etc/passwd",
        "/%2e%2e/%2e%2e/%2e%2e/etc/passwd",
        "/..%2f..%2f..%2fetc%2fpasswd",
        "//etc/passwd",
        "/api/deliveries/../../../../etc/passwd",
        "/api/deliveries/x/%2e%2e%2f%2e%2e%2fetc%2fpasswd",
        "/api/tracks/%2e%2e/settings.json",
        "/vendor/../../server.py",
        "/..%2fserver.py",
        "/%00",
    ],
)
def test_no_path_leaves_the_page_folder(client, path):
    """`http.client` sends the path as it is."""
    connection = http.client.HTTPConnection("127.0.0.1", client.port, timeout=20)
    connection.putrequest("GET", path, skip_host=True)
    connection.putheader("Host", f"127.0.0.1:{client.port}")
    connection.putheader("Cookie", client.cookie)
    connection.endheaders()
    response = connection.getresponse()
    body = response.read()
    connection.close()
    assert response.status in (307, 400, 404, 405), body[:200]
    assert b"root:" not in body and b"SecurityMiddleware" not in body


def test_names_are_escaped_in_json_and_headers(client):
    """A script in a name stays a text, and a line break makes no header."""
    status, headers, data = client.request("POST", "/api/tracks?name=%0d%0aX-Evil:1<script>.txt", b"x")
    assert status == 415 and "x-evil" not in headers
    assert headers["content-type"] == "application/json"
    assert "error" in json.loads(data)


def test_another_studio_has_another_cookie(client, tmp_path):
    with running_studio(tmp_path) as other:
        stranger = Client(other.gate)
        stranger.cookie = client.cookie
        assert stranger.request("GET", "/api/session")[0] == 403
        value = client.cookie.partition("=")[2]
        stranger.cookie = f"{other.gate.cookie_name}={value}"
        assert stranger.request("GET", "/api/session")[0] == 403
