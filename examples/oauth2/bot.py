"""A bot that has all that can be read out of the app, a refresh token and an attested token that it stole: it gets nothing.

    python3 bot.py --gateway http://127.0.0.1:8080 --refresh-token STOLEN --attested-token STOLEN
"""

import argparse
import json
import pathlib
import sys
import time
import warnings

warnings.simplefilter("ignore")

import jwt
import requests
from cryptography.hazmat.primitives.asymmetric import ec
from jwt.algorithms import ECAlgorithm

sys.path.append(str(pathlib.Path(__file__).parents[1] / "clients/python"))
import enrolled_app

parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
parser.add_argument("--gateway", required=True)
parser.add_argument("--refresh-token", default="stolen")
parser.add_argument("--attested-token", default="stolen")
parser.add_argument("--app", default="shop")
parser.add_argument("--build", default="1.0")
parser.add_argument("--client-id", default="shop-app")
parser.add_argument("--key-id", default="shop-attested", help="of the key that attests, as tokens name it")
options = parser.parse_args()

# An instance of its own making: whatever it says of itself, the key service does not know its key.
gateway = enrolled_app.Gateway(options.gateway)
jwk = json.loads(ECAlgorithm.to_jwk(ec.generate_private_key(ec.SECP256R1())))
forged = enrolled_app.Instance({**jwk, "kid": "AAAAAAAAAAAAAAAAAAAAAA"})
decoy = enrolled_app.Tokens(gateway, forged, options.app, options.build).get()

now = int(time.time())
claims = {"iat": now, "exp": now + 300}
header = {"kid": options.key_id}
forms = {
    "refresh": {"grant_type": "refresh_token", "refresh_token": options.refresh_token, "client_id": options.client_id},
    "code": {"grant_type": "authorization_code", "code": "guess", "code_verifier": "v" * 43, "client_id": options.client_id},
    "secret": {"grant_type": "refresh_token", "refresh_token": options.refresh_token, "client_secret": "guess"},
}
tokens = {
    "none": None,
    "forged": jwt.encode(claims, "a-secret-that-the-bot-made-up-itself", algorithm="HS256", headers=header),
    "unsigned": jwt.encode(claims, None, algorithm="none", headers=header),
    "decoy": decoy,
    "stolen": options.attested_token,
}
endpoint = f"{options.gateway}/oauth2/token"
answers = []
for what, form in forms.items():
    for how, token in tokens.items():
        shown = {"Portcullis-Token": token, "DPoP": forged.prove("POST", endpoint, token)} if token else {}
        answer = requests.post(endpoint, data=form, headers=shown, timeout=30)
        answers.append({"form": what, "token": how, "status": answer.status_code, "code": answer.json().get("code")})
print(json.dumps(answers))
