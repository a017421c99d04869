"""Checks a token of the key service, as a backend may that wants to look for itself.

    python3 token_reader.py --library pyjwt --jwks http://127.0.0.1:8080/.portcullis/jwks.json --audience https://api.example.com < token
    python3 token_reader.py --library joserfc --secret-file state/mobile-tokens.key < token

The app's key is a pair of the gateway's: its public half is in `jwks.json`. Or it is a secret that both share. For each line that
is a token one sees a line of JSON: its claims, or why it is refused.
"""

import argparse
import json
import sys
import time
import warnings

warnings.simplefilter("ignore")  # Of Authlib about its own modules.

import command_line

# Never take `alg` from the token alone: say what is good here.
PUBLIC = ["ES256", "ES384", "EdDSA", "RS256", "PS256"]


def by_pyjwt(token, jwks, secret, audience):
    import jwt

    key = secret if secret else jwt.PyJWKClient(jwks).get_signing_key_from_jwt(token)
    checks = {"require": ["exp", "iat", "jti"], "verify_aud": audience is not None}
    return jwt.decode(token, key, algorithms=["HS256"] if secret else PUBLIC, audience=audience, options=checks)


def by_joserfc(token, jwks, secret, audience):
    import requests
    from joserfc import jwt
    from joserfc.jwk import KeySet, OctKey

    if secret:
        key, algorithms = OctKey.import_key(secret), ["HS256"]
    else:
        key, algorithms = KeySet.import_key_set(requests.get(jwks, timeout=30).json()), PUBLIC
    claims = jwt.decode(token, key, algorithms=algorithms).claims
    wanted = {"exp": {"essential": True}, "jti": {"essential": True}}
    if audience:
        wanted["aud"] = {"essential": True, "value": audience}
    jwt.JWTClaimsRegistry(now=int(time.time()), **wanted).validate(claims)
    return claims


def by_authlib(token, jwks, secret, audience):
    import requests
    from authlib.jose import JsonWebKey, JsonWebToken

    if secret:
        key, algorithms = secret, ["HS256"]
    else:
        key, algorithms = JsonWebKey.import_key_set(requests.get(jwks, timeout=30).json()), PUBLIC
    wanted = {"exp": {"essential": True}, "jti": {"essential": True}}
    if audience:
        wanted["aud"] = {"essential": True, "value": audience}
    claims = JsonWebToken(algorithms).decode(token, key, claims_options=wanted)
    claims.validate()
    return dict(claims)


LIBRARIES = {"pyjwt": by_pyjwt, "joserfc": by_joserfc, "authlib": by_authlib}

parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
parser.add_argument("--library", choices=LIBRARIES, required=True)
known = parser.add_mutually_exclusive_group(required=True)
known.add_argument("--jwks", help="URL of the gateway's `jwks.json`")
known.add_argument("--secret-file", help="the secret of the app's key")
parser.add_argument("--audience", help="the gateway's `[tokens] audience`")
options = parser.parse_args()

secret = command_line.read_secret(options.secret_file) if options.secret_file else None
for line in sys.stdin:
    try:
        told = {"claims": LIBRARIES[options.library](line.strip(), options.jwks, secret, options.audience)}
    except Exception as why:  # Each library has its own; whatever it is, the token does not hold.
        told = {"refused": f"{type(why).__name__}: {why}"}
    print(json.dumps(told))
