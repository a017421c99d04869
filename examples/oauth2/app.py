"""The app: logs its user in by code flow with PKCE, and refreshes, through the gateway. It has no client secret.

    python3 app.py --gateway http://127.0.0.1:8080 --token TOKEN

`--token` is an attested token; `portcullis token get` prints one.
"""

import argparse
import json
import os
import secrets
import warnings

warnings.simplefilter("ignore")  # Of the library about its own modules.
os.environ["AUTHLIB_INSECURE_TRANSPORT"] = "1"  # The gateway is on this machine.

import requests
from authlib.integrations.requests_client import OAuth2Session

parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
parser.add_argument("--gateway", required=True)
parser.add_argument("--token", required=True)
parser.add_argument("--client-id", default="shop-app")
parser.add_argument("--redirect-uri", default="https://shop.example/callback")
options = parser.parse_args()

attested = {"Portcullis-Token": options.token}
session = OAuth2Session(
    options.client_id,
    redirect_uri=options.redirect_uri,
    scope="orders",
    code_challenge_method="S256",
    token_endpoint_auth_method="none",
)
verifier = secrets.token_urlsafe(48)
url, state = session.create_authorization_url(f"{options.gateway}/oauth2/authorize", code_verifier=verifier)

# The user's browser: it shows no token, and the page lets anyone in.
browser = requests.Session()
browser.get(url, timeout=30).raise_for_status()
answer = browser.post(url, data={"confirm": "yes"}, allow_redirects=False, timeout=30)

first = session.fetch_token(
    f"{options.gateway}/oauth2/token",
    authorization_response=answer.headers["Location"],
    state=state,
    code_verifier=verifier,
    headers=attested,
)
second = session.refresh_token(f"{options.gateway}/oauth2/token", refresh_token=first["refresh_token"], headers=attested)
print(
    json.dumps(
        {
            "code": {"token_type": first["token_type"], "scope": first["scope"]},
            "refreshed": second["access_token"] != first["access_token"],
            "refresh_token": second["refresh_token"],
        }
    )
)
