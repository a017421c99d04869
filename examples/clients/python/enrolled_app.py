"""An app without a key of the gateway's: it enrols once, gets tokens by a key of its own, and calls for its user.

    echo /orders/1 | python3 enrolled_app.py --gateway http://127.0.0.1:8080 --app phone --build 1.4.2 \
        --authorization-file user.txt --state instance.jwk --code-file code

With `cryptography`, `PyJWT` and `requests`. It calls each path that it reads, and prints a line of JSON for it. The code is
needed for the first run alone: from then on the instance is known by the key in `--state`.
"""

import argparse
import base64
import hashlib
import json
import os
import secrets
import sys
import time

import jwt
import requests
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.hashes import SHA256
from jwt.algorithms import ECAlgorithm

TIMEOUT = 30


def base64url(data):
    return base64.urlsafe_b64encode(data).rstrip(b"=").decode()


class NoToken(Exception):
    """The key service says no."""


class Gateway:
    """The key service, and the routes behind it."""

    def __init__(self, url):
        self.url = url.rstrip("/")
        self.session = requests.Session()

    def ask(self, door, question):
        answer = self.session.post(f"{self.url}/.portcullis/{door}", json=question, timeout=TIMEOUT)
        if answer.status_code != 200:
            raise NoToken(f"{door}: {answer.status_code} {answer.text}")
        return answer.json()


def keep(path, jwk):
    # On a device: the key in its keystore, which signs without giving it out.
    with os.fdopen(os.open(path + ".new", os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600), "w") as file:
        json.dump(jwk, file)
    os.replace(path + ".new", path)


class Instance:
    """One installation of the app: an id, and a key that never leaves it."""

    def __init__(self, jwk):
        self.id, self.key = jwk["kid"], ECAlgorithm.from_jwk(jwk)
        self.public = {name: jwk[name] for name in ("crv", "kty", "x", "y")}
        # RFC 7638: the members that are needed, in the order of their names.
        # What the gateway wants in proofs, where `[tokens] dpop_nonce` says so: it comes with its answers.
        self.nonce = None
        self.thumbprint = base64url(hashlib.sha256(json.dumps(self.public, separators=(",", ":")).encode()).digest())

    @classmethod
    def load_or_enrol(cls, gateway, options):
        jwk = None
        if os.path.exists(options.state):
            with open(options.state) as file:
                jwk = json.load(file)
        if jwk and "kid" in jwk:
            return cls(jwk)
        if not options.code_file:
            sys.exit(f"{options.state} has no instance: the first run needs --code-file, with a code of whoever runs the gateway")
        with open(options.code_file) as file:
            code = file.read().strip()
        if not jwk:
            jwk = json.loads(ECAlgorithm.to_jwk(ec.generate_private_key(ec.SECP256R1())))
            # Before anybody is asked: by the same code it is the same instance, should the answer be lost.
            keep(options.state, jwk)
        public = {name: jwk[name] for name in ("crv", "kty", "x", "y")}
        enrolled = gateway.ask("enrol", {"app": options.app, "code": code, "key": public, "build": options.build})
        jwk["kid"] = enrolled["instance"]
        keep(options.state, jwk)
        return cls(jwk)

    def sign(self, text):
        return base64url(self.key.sign(text.encode(), ec.ECDSA(SHA256())))

    def prove(self, method, url, token):
        """A DPoP proof (RFC 9449), for one request."""
        claims = {"jti": secrets.token_urlsafe(16), "htm": method, "htu": url, "iat": int(time.time())}
        claims["ath"] = base64url(hashlib.sha256(token.encode()).digest())
        if self.nonce:
            claims["nonce"] = self.nonce
        return jwt.encode(claims, self.key, algorithm="ES256", headers={"typ": "dpop+jwt", "jwk": self.public})


class Tokens:
    """A token, for one user where there is an `Authorization`, and another before it ends. Threads need a lock around `get`."""

    def __init__(self, gateway, instance, app, build, authorization=None):
        self.gateway, self.instance, self.app, self.build = gateway, instance, app, build
        digest = hashlib.sha256(authorization.encode()).digest() if authorization else b""
        self.pay = base64.b64encode(digest).decode()
        self.renew_at, self.count = 0.0, 0

    def get(self):
        if time.monotonic() >= self.renew_at:
            asked_at = time.monotonic()
            answer = self.gateway.ask("token", self.question())
            self.token, self.count = answer["token"], self.count + 1
            self.renew_at = asked_at + answer["expires_in"] * 0.8
        return self.token

    def forget(self):
        self.renew_at = 0.0

    def question(self):
        challenge = self.gateway.ask("challenge", {"app": self.app})["challenge"]
        members = {
            "app": self.app,
            "challenge": challenge,
            "instance": self.instance.id,
            "build": self.build,
            "pay": self.pay,
            "cnf": self.instance.thumbprint,
            "scope": "",
        }
        text = "portcullis-instance-key-v1\n" + "".join(f"{name}: {value}\n" for name, value in members.items())
        evidence = {
            "format": "instance-key",
            "instance": self.instance.id,
            "build": self.build,
            "signature": self.instance.sign(text),
        }
        bound = {"cnf": {"jkt": self.instance.thumbprint}} | ({"pay": self.pay} if self.pay else {})
        return {"app": self.app, "challenge": challenge, "evidence": evidence, **bound}


def call(gateway, instance, tokens, authorization, path):
    url = gateway.url + path
    for tries_left in (2, 1, 0):
        token = tokens.get()
        headers = {
            "Authorization": authorization,
            "Portcullis-Token": token,
            "DPoP": instance.prove("GET", url.split("?")[0], token),
        }
        answer = gateway.session.get(url, headers=headers, allow_redirects=False, timeout=TIMEOUT)
        code = answer.json().get("code") if answer.headers.get("Content-Type") == "application/problem+json" else None
        instance.nonce, known = answer.headers.get("DPoP-Nonce", instance.nonce), instance.nonce
        # Over, or never good: once more with another. If that fails too, something is wrong with the app or the instance.
        is_refused = code in ("credential-rejected", "credential-expired")
        if tries_left and (is_refused or (answer.status_code == 401 and instance.nonce != known)):
            if is_refused:
                tokens.forget()
            continue
        return {"status": answer.status_code, "code": code, "tokens": tokens.count}


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--gateway", required=True, help="its URL")
    parser.add_argument("--app", required=True)
    parser.add_argument("--build", required=True)
    parser.add_argument("--authorization-file", required=True, help="holds the user's `Authorization`, such as `Bearer …`")
    parser.add_argument("--state", required=True, help="where the instance's key is kept")
    parser.add_argument("--code-file", help="holds the one-time code, for the first run")
    options = parser.parse_args()
    with open(options.authorization_file) as file:
        authorization = file.read().strip()
    gateway = Gateway(options.gateway)
    try:
        instance = Instance.load_or_enrol(gateway, options)
        tokens = Tokens(gateway, instance, options.app, options.build, authorization)
        for line in sys.stdin:
            print(json.dumps(call(gateway, instance, tokens, authorization, line.strip())), flush=True)
    except NoToken as why:
        sys.exit(str(why))


if __name__ == "__main__":
    main()
