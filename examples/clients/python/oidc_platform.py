"""Stands in for a platform that tells who its workloads are: to try `oidc` evidence without one.

    python3 oidc_platform.py --library pyjwt --algorithm RS256 --key platform.jwk --set platform.jwks.json
    python3 oidc_platform.py --library pyjwt --algorithm RS256 --key platform.jwk --claims '{"sub": "repo:acme/app", …}'

The first makes a key, and the key set which the gateway gets (`jwks = "file:platform.jwks.json"`); the second prints an assertion.
"""

import argparse
import json
import os
import secrets
import time
import warnings

warnings.simplefilter("ignore")  # Of Authlib about its own modules.


class PyJwt:
    def make(self, algorithm):
        from cryptography.hazmat.primitives.asymmetric import ec, rsa
        from jwt.algorithms import ECAlgorithm, RSAAlgorithm

        if algorithm == "ES256":
            return json.loads(ECAlgorithm.to_jwk(ec.generate_private_key(ec.SECP256R1())))
        return json.loads(RSAAlgorithm.to_jwk(rsa.generate_private_key(65537, 2048)))

    def sign(self, header, claims, jwk):
        import jwt

        return jwt.encode(claims, jwt.PyJWK(jwk, header["alg"]), algorithm=header["alg"], headers=header)


class Joserfc:
    def make(self, algorithm):
        from joserfc.jwk import ECKey, RSAKey

        key = ECKey.generate_key("P-256") if algorithm == "ES256" else RSAKey.generate_key(2048)
        return key.as_dict(private=True)

    def sign(self, header, claims, jwk):
        from joserfc import jwt
        from joserfc.jwk import import_key

        return jwt.encode(header, claims, import_key(jwk), algorithms=[header["alg"]])


class Authlib:
    def make(self, algorithm):
        from authlib.jose import JsonWebKey

        kind = ("EC", "P-256") if algorithm == "ES256" else ("RSA", 2048)
        made = JsonWebKey.generate_key(*kind, is_private=True).as_dict(is_private=True)
        # Authlib leaves out leading zeros of a coordinate, which must be there (RFC 7518, section 6.2.1.2): then another.
        is_whole = all(len(made.get(name, "-" * 43)) == 43 for name in ("x", "y"))
        return made if is_whole else self.make(algorithm)

    def sign(self, header, claims, jwk):
        from authlib.jose import JsonWebKey, JsonWebToken

        return JsonWebToken([header["alg"]]).encode(header, claims, JsonWebKey.import_key(jwk)).decode()


LIBRARIES = {"pyjwt": PyJwt, "joserfc": Joserfc, "authlib": Authlib}
PUBLIC = {"kty", "crv", "x", "y", "n", "e"}

parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
parser.add_argument("--library", choices=LIBRARIES, required=True)
parser.add_argument("--algorithm", choices=["RS256", "PS256", "ES256"], default="RS256")
parser.add_argument("--key", required=True, help="the file of the private key; made where it is not there")
parser.add_argument("--set", help="write the key set to this file")
parser.add_argument("--claims", help="JSON; `iat`, `exp` and `jti` are added")
options = parser.parse_args()

library = LIBRARIES[options.library]()
if not os.path.exists(options.key):
    made = library.make(options.algorithm)
    with os.fdopen(os.open(options.key, os.O_WRONLY | os.O_CREAT, 0o600), "w") as file:
        json.dump({**made, "kid": secrets.token_hex(8)}, file)
with open(options.key) as file:
    jwk = json.load(file)
if options.set:
    shown = {name: value for name, value in jwk.items() if name in PUBLIC}
    shown |= {"kid": jwk["kid"], "alg": options.algorithm, "use": "sig"}
    with open(options.set, "w") as file:
        json.dump({"keys": [shown]}, file)
if options.claims:
    now = int(time.time())
    claims = {"iat": now, "exp": now + 300, "jti": secrets.token_urlsafe(16), **json.loads(options.claims)}
    header = {"alg": options.algorithm, "typ": "JWT", "kid": jwk["kid"]}
    private = {name: value for name, value in jwk.items() if name not in ("use", "alg", "key_ops")}
    print(library.sign(header, claims, private))
