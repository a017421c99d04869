"""Makes a token that is bound to a key, and a proof of that key (DPoP), with `Authlib`.

    python3 authlib_dpop_client.py --url http://127.0.0.1:8080/orders/1 \
        --key-id mobile-2026 --secret-file mobile.key

A proof covers the method and the URL without its query, and no body.
"""

import base64
import hashlib
import secrets
import time
import warnings

warnings.simplefilter("ignore")  # Of the library about its own modules.

import requests
from authlib.jose import JsonWebKey, JsonWebToken

import command_line

parser = command_line.arguments(__doc__.splitlines()[0])
options = parser.parse_args()
now = options.created or int(time.time())


def digest(text):
    return base64.urlsafe_b64encode(hashlib.sha256(text).digest()).rstrip(b"=").decode()


def public_part(key):
    return {name: value for name, value in key.as_dict(is_private=False).items() if name in ("kty", "crv", "x", "y")}


def is_whole(jwk):
    """Authlib leaves out leading zeros of a coordinate, which must be there (RFC 7518, section 6.2.1.2)."""
    return all(len(jwk[name]) == 43 for name in ("x", "y"))


# Made once, and kept where nothing can take it out. Of 140 keys one has a coordinate that Authlib shortens: make another.
key = JsonWebKey.generate_key("EC", "P-256", is_private=True)
while not is_whole(public_part(key)):
    key = JsonWebKey.generate_key("EC", "P-256", is_private=True)
public = public_part(key)

token = JsonWebToken(["HS256"]).encode(
    {"alg": "HS256", "kid": options.key_id},
    {"iat": now, "exp": now + 300, "cnf": {"jkt": key.thumbprint()}},
    command_line.read_secret(options.secret_file),
)
proof = JsonWebToken(["ES256"]).encode(
    {"typ": "dpop+jwt", "alg": "ES256", "jwk": public},
    {
        "jti": secrets.token_urlsafe(16),
        "htm": options.method,
        "htu": options.url.split("?")[0],
        "iat": now,
        "ath": digest(token),
    },
    key,
)

headers = {"Portcullis-Token": token.decode(), "DPoP": proof.decode()}
if options.authorization:
    headers["Authorization"] = options.authorization
body = options.body.encode() if options.body is not None else None
request = requests.Request(options.method, options.url, headers=headers, data=body).prepare()

if options.only_print:
    command_line.show_request(request)
else:
    command_line.show_response(requests.Session().send(request, allow_redirects=False, timeout=30))
