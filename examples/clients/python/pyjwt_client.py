"""Makes a short-lived token with `PyJWT` and shows it instead of signing the request.

    python3 pyjwt_client.py --url http://127.0.0.1:8080/orders/1 \
        --key-id mobile-2026 --secret-file mobile.key

A token says who calls, but not what: it covers neither method, URL nor body.
"""

import base64
import hashlib
import secrets
import time

import jwt
import requests

import command_line

# What tokens call the algorithms of gateway.toml.
NAMES = {
    "hmac-sha256": "HS256",
    "ed25519": "EdDSA",
    "ecdsa-p256-sha256": "ES256",
    "ecdsa-p384-sha384": "ES384",
    "rsa-pss-sha256": "PS256",
    "rsa-v1_5-sha256": "RS256",
}

parser = command_line.arguments(__doc__.splitlines()[0])
parser.add_argument("--audience", help="the gateway's `[tokens] audience`, if it has one")
parser.add_argument("--scope", help="scopes to narrow the app's own to, separated by spaces")
parser.add_argument("--lifetime", type=int, default=300, help="seconds until it expires; at most the gateway's `max_lifetime`")
options = parser.parse_args()

now = options.created or int(time.time())
claims = {"iat": now, "exp": now + options.lifetime}
if options.audience:
    claims["aud"] = options.audience
if options.scope:
    claims["scope"] = options.scope
if options.nonce:
    claims["jti"] = secrets.token_urlsafe(16)

headers = {}
if options.authorization:
    headers["Authorization"] = options.authorization
    # Binds the token to this one value: on a route with `bind = "authorization"` nobody can use it with another.
    claims["pay"] = base64.b64encode(hashlib.sha256(options.authorization.encode()).digest()).decode()
headers["Portcullis-Token"] = jwt.encode(
    claims,
    command_line.read_secret(options.secret_file),
    algorithm=NAMES[options.algorithm],
    headers={"kid": options.key_id},
)

body = options.body.encode() if options.body is not None else None
request = requests.Request(options.method, options.url, headers=headers, data=body).prepare()

if options.only_print:
    command_line.show_request(request)
else:
    command_line.show_response(requests.Session().send(request, allow_redirects=False, timeout=30))
