"""A bot that has all that can be read out of the app, and a refresh token that it stole: it gets nothing.

    python3 bot.py --gateway http://127.0.0.1:8080 --refresh-token STOLEN
"""

import argparse
import json
import time
import warnings

warnings.simplefilter("ignore")

import jwt
import requests

parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
parser.add_argument("--gateway", required=True)
parser.add_argument("--refresh-token", default="stolen")
parser.add_argument("--client-id", default="shop-app")
parser.add_argument("--key-id", default="shop-attested", help="of the key that attests, as tokens name it")
options = parser.parse_args()

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
}
answers = []
for what, form in forms.items():
    for how, token in tokens.items():
        shown = {"Portcullis-Token": token} if token else {}
        answer = requests.post(f"{options.gateway}/oauth2/token", data=form, headers=shown, timeout=30)
        answers.append({"form": what, "token": how, "status": answer.status_code, "code": answer.json().get("code")})
print(json.dumps(answers))
