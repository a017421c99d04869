"""The app: logs its user in by code flow with PKCE, and refreshes, through the gateway. It has no client secret.

    python3 app.py --gateway http://127.0.0.1:8080 --state shop.jwk --code-file code

At its first run it enrols by the one-time code; then the key service knows this instance by the key in `--state`.
"""

import argparse
import json
import os
import pathlib
import secrets
import sys
import warnings

warnings.simplefilter("ignore")  # Of the library about its own modules.
os.environ["AUTHLIB_INSECURE_TRANSPORT"] = "1"  # The gateway is on this machine.

import requests
from authlib.integrations.requests_client import OAuth2Session

# How an app enrols and gets its tokens is in an example of its own.
sys.path.append(str(pathlib.Path(__file__).parents[1] / "clients/python"))
import enrolled_app

parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
parser.add_argument("--gateway", required=True)
parser.add_argument("--app", default="shop")
parser.add_argument("--build", default="1.0")
parser.add_argument("--state", required=True, help="where the instance's key is kept")
parser.add_argument("--code-file", help="holds the one-time code, for the first run")
parser.add_argument("--client-id", default="shop-app")
parser.add_argument("--redirect-uri", default="https://shop.example/callback")
options = parser.parse_args()

gateway = enrolled_app.Gateway(options.gateway)
instance = enrolled_app.Instance.load_or_enrol(gateway, options)
tokens = enrolled_app.Tokens(gateway, instance, options.app, options.build)
endpoint = f"{options.gateway}/oauth2/token"


def attested():
    """What shows that a genuine instance asks: its token, and a proof of its key for this one request."""
    token = tokens.get()
    return {"Portcullis-Token": token, "DPoP": instance.prove("POST", endpoint, token)}


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
    endpoint,
    authorization_response=answer.headers["Location"],
    state=state,
    code_verifier=verifier,
    headers=attested(),
)
second = session.refresh_token(endpoint, refresh_token=first["refresh_token"], headers=attested())
print(
    json.dumps(
        {
            "code": {"token_type": first["token_type"], "scope": first["scope"]},
            "refreshed": second["access_token"] != first["access_token"],
            "refresh_token": second["refresh_token"],
            "attested_token": tokens.get(),
        }
    )
)
