"""An authorization server of Authlib's and Flask's, as their documentation has it: one client, one user, in memory.

It knows nothing of the gateway before it. Whatever it sees it writes to standard output, one line a request.

    python3 server.py --port 9000 --client-secret-file client.secret
"""

import argparse
import os
import secrets
import sys
import time
import warnings

warnings.simplefilter("ignore")  # Of the library about its own modules.

from authlib.integrations.flask_oauth2 import AuthorizationServer
from authlib.oauth2.rfc6749 import ClientMixin, TokenMixin, grants
from authlib.oauth2.rfc7636 import CodeChallenge
from flask import Flask, request
from werkzeug.serving import WSGIRequestHandler, make_server


class Client(ClientMixin):
    def __init__(self, client_id, secret, redirect_uri):
        self.client_id, self.secret, self.redirect_uri = client_id, secret, redirect_uri

    def get_client_id(self):
        return self.client_id

    def get_default_redirect_uri(self):
        return self.redirect_uri

    def get_allowed_scope(self, scope):
        return scope if scope in ("", "orders") else ""

    def check_redirect_uri(self, redirect_uri):
        return redirect_uri == self.redirect_uri

    def check_client_secret(self, client_secret):
        return secrets.compare_digest(self.secret, client_secret)

    def check_endpoint_auth_method(self, method, endpoint):
        # A confidential client: whoever shows no secret is not it.
        return method in ("client_secret_basic", "client_secret_post")

    def check_response_type(self, response_type):
        return response_type == "code"

    def check_grant_type(self, grant_type):
        return grant_type in ("authorization_code", "refresh_token")


class Code:
    def __init__(self, **members):
        self.__dict__.update(members)

    def get_redirect_uri(self):
        return self.redirect_uri

    def get_scope(self):
        return self.scope


class Token(TokenMixin):
    def __init__(self, client_id, user, members):
        self.client_id, self.user, self.members = client_id, user, members
        self.expires_at = time.time() + members["expires_in"]

    def check_client(self, client):
        return self.client_id == client.get_client_id()

    def get_scope(self):
        return self.members.get("scope", "")

    def get_expires_in(self):
        return self.members["expires_in"]

    def is_expired(self):
        return time.time() > self.expires_at

    def is_revoked(self):
        return False


CODES, TOKENS, CLIENTS = {}, {}, {}


class CodeGrant(grants.AuthorizationCodeGrant):
    TOKEN_ENDPOINT_AUTH_METHODS = ["client_secret_basic", "client_secret_post"]

    def save_authorization_code(self, code, request):
        payload = request.payload
        CODES[code] = Code(
            client_id=request.client.client_id,
            redirect_uri=payload.redirect_uri,
            scope=payload.scope,
            user=request.user,
            code_challenge=payload.data.get("code_challenge"),
            code_challenge_method=payload.data.get("code_challenge_method"),
        )

    def query_authorization_code(self, code, client):
        known = CODES.get(code)
        return known if known and known.client_id == client.client_id else None

    def delete_authorization_code(self, authorization_code):
        for code in [code for code, known in CODES.items() if known is authorization_code]:
            del CODES[code]

    def authenticate_user(self, authorization_code):
        return authorization_code.user


class RefreshGrant(grants.RefreshTokenGrant):
    TOKEN_ENDPOINT_AUTH_METHODS = ["client_secret_basic", "client_secret_post"]
    INCLUDE_NEW_REFRESH_TOKEN = True

    def authenticate_refresh_token(self, refresh_token):
        return TOKENS.get(refresh_token)

    def authenticate_user(self, credential):
        return credential.user

    def revoke_old_credential(self, credential):
        TOKENS.pop(credential.members["refresh_token"], None)


def save_token(token, request):
    if "refresh_token" in token:
        TOKENS[token["refresh_token"]] = Token(request.client.client_id, request.user, token)


def application(client):
    CLIENTS[client.client_id] = client
    app = Flask(__name__)
    app.config["OAUTH2_REFRESH_TOKEN_GENERATOR"] = True
    server = AuthorizationServer(app, query_client=CLIENTS.get, save_token=save_token)
    server.register_grant(CodeGrant, [CodeChallenge(required=True)])
    server.register_grant(RefreshGrant)

    @app.after_request
    def tell(response):
        # The tokens that the gateway takes off, and what it says of the caller.
        shown = [name for name in ("Portcullis-Token", "OAuth-Client-Attestation") if name in request.headers]
        who = request.headers.get("Portcullis-App", "-")
        print(f"{request.method} {request.path} {response.status_code} app={who} shown={','.join(shown) or '-'}", flush=True)
        return response

    @app.route("/oauth2/authorize", methods=["GET", "POST"])
    def authorize():
        if request.method == "GET":
            server.get_consent_grant(end_user="ada")
            return "<form method=post><button name=confirm value=yes>Let the shop see my orders</button></form>"
        user = "ada" if request.form.get("confirm") == "yes" else None
        return server.create_authorization_response(grant_user=user)

    @app.post("/oauth2/token")
    def token():
        return server.create_token_response()

    return app


class Quiet(WSGIRequestHandler):
    def log(self, *_):
        pass


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--port", type=int, default=9000, help="0 is any that is free")
    parser.add_argument("--client-id", default="shop-app")
    parser.add_argument("--client-secret-file", required=True)
    parser.add_argument("--redirect-uri", default="https://shop.example/callback")
    options = parser.parse_args()
    with open(options.client_secret_file) as file:
        client = Client(options.client_id, file.read().strip(), options.redirect_uri)
    os.environ["AUTHLIB_INSECURE_TRANSPORT"] = "1"  # The gateway is on this machine.
    listening = make_server("127.0.0.1", options.port, application(client), request_handler=Quiet)
    print(f"listening on {listening.port}", flush=True)
    try:
        listening.serve_forever()
    except KeyboardInterrupt:
        sys.exit(0)
