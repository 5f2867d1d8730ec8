"""A tiny OpenID provider, such as Hugging Face is one, on a port of this machine."""

import json
import time
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from threading import Thread
from typing import Any
from urllib.parse import parse_qs, urlencode, urlsplit

from joserfc import jwt
from joserfc.jwk import RSAKey

CLIENT, SECRET = "a-client", "a-secret-of-the-space"


@contextmanager
def openid_provider(user: dict[str, str]) -> Iterator[str]:
    """Serve a provider that logs everybody in as this user; gives its address.

    Args:
        user: its `name`, which is what `preferred_username` will say; may be changed meanwhile.
    """
    key = RSAKey.generate_key(2048, {"kid": "one"})
    nonces: dict[str, str] = {}

    class Provider(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            address = urlsplit(self.path)
            asked = {name: values[0] for name, values in parse_qs(address.query).items()}
            match address.path:
                case "/.well-known/openid-configuration":
                    places = {"authorization_endpoint": "authorize", "token_endpoint": "token", "jwks_uri": "keys"}
                    self._answer({"issuer": base, "id_token_signing_alg_values_supported": ["RS256"],
                                  **{name: f"{base}/{path}" for name, path in places.items()}})  # fmt: skip
                case "/keys":
                    self._answer({"keys": [key.as_dict(private=False)]})
                case "/authorize":
                    assert asked["client_id"] == CLIENT and asked["response_type"] == "code"
                    nonces["a-code"] = asked.get("nonce", "")
                    self.send_response(302)
                    back = {"code": "a-code", "state": asked["state"]}
                    self.send_header("Location", f"{asked['redirect_uri']}&{urlencode(back)}")
                    self.end_headers()

        def do_POST(self) -> None:
            sent = parse_qs(self.rfile.read(int(self.headers["Content-Length"])).decode())
            if sent.get("code") != ["a-code"]:
                return self._answer({"error": "invalid_grant"}, 400)
            now, name = int(time.time()), user["name"]
            claims = {"iss": base, "aud": CLIENT, "sub": f"id-of-{name}", "iat": now, "exp": now + 600,
                      "nonce": nonces["a-code"], "name": name, "preferred_username": name,
                      "profile": f"{base}/{name}", "picture": ""}  # fmt: skip
            token = jwt.encode({"alg": "RS256", "kid": "one"}, claims, key)
            self._answer({"access_token": "hf_oauth_abc", "token_type": "bearer", "expires_in": 600,
                          "id_token": token, "scope": "openid profile"})  # fmt: skip

        def _answer(self, values: dict[str, Any], status: int = 200) -> None:
            body = json.dumps(values).encode()
            self.send_response(status)
            self.send_header("Content-Type", "application/json")
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, *parts: Any) -> None:
            """Quiet."""

    server = ThreadingHTTPServer(("127.0.0.1", 0), Provider)
    base = f"http://127.0.0.1:{server.server_port}"
    Thread(target=server.serve_forever, daemon=True).start()
    try:
        yield base
    finally:
        server.shutdown()
        server.server_close()
