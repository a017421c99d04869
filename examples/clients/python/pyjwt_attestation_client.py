"""Gets a client attestation of the key service, and shows it to an authorization server, with `PyJWT`.

    python3 pyjwt_attestation_client.py --service http://127.0.0.1:8080/.portcullis --app shop \
        --url http://127.0.0.1:8080/oauth2/token --audience https://login.example.com

The evidence here is `dev`, none at all: a real app shows its own. The attestation is good for as long as it says; a proof
of its key goes with each request, for one authorization server (draft-ietf-oauth-attestation-based-client-auth).
"""

import argparse
import json
import secrets
import time

import jwt
import requests
from cryptography.hazmat.primitives.asymmetric import ec

parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
parser.add_argument("--service", required=True, help="where the key service answers: the gateway, and `[tokens] prefix`")
parser.add_argument("--app", required=True, help="the app's name in gateway.toml")
parser.add_argument("--url", required=True, help="the token endpoint of the authorization server")
parser.add_argument("--audience", required=True, help="the authorization server's issuer identifier")
parser.add_argument("--print", action="store_true", dest="only_print", help="print the attestation and a proof instead of showing them")
options = parser.parse_args()


def ask(door, question):
    answer = requests.post(f"{options.service}/{door}", json=question, timeout=30)
    answer.raise_for_status()
    return answer.json()


# Made once, and kept where nothing can take it out.
key = ec.generate_private_key(ec.SECP256R1())
public = json.loads(jwt.algorithms.ECAlgorithm.to_jwk(key.public_key()))
jwk = {name: public[name] for name in ("kty", "crv", "x", "y")}

challenge = ask("challenge", {"app": options.app})["challenge"]
attestation = ask(
    "token",
    {
        "app": options.app,
        "challenge": challenge,
        "evidence": {"format": "dev"},
        "typ": "oauth-client-attestation+jwt",
        "cnf": {"jwk": jwk},
    },
)["token"]

# What an authorization server does that takes attestations itself: it knows the key service by its public keys.
header = jwt.get_unverified_header(attestation)
keys = jwt.PyJWKSet.from_dict(requests.get(f"{options.service}/jwks.json", timeout=30).json())
claims = jwt.decode(attestation, keys[header["kid"]], algorithms=[header["alg"]], options={"require": ["sub", "iat", "exp", "cnf"]})
assert header["typ"] == "oauth-client-attestation+jwt", header
assert claims["cnf"]["jwk"] == jwk, claims

proof = jwt.encode(
    {"aud": options.audience, "jti": secrets.token_urlsafe(16), "iat": int(time.time())},
    key,
    algorithm="ES256",
    headers={"typ": "oauth-client-attestation-pop+jwt"},
)
if options.only_print:
    print(json.dumps({"attestation": attestation, "proof": proof, "claims": claims}))
else:
    answer = requests.post(
        options.url,
        data={"grant_type": "client_credentials"},
        headers={"OAuth-Client-Attestation": attestation, "OAuth-Client-Attestation-PoP": proof},
        timeout=30,
    )
    print(json.dumps({"status": answer.status_code, "headers": dict(answer.headers), "body": answer.text, "claims": claims}))
