"""Opens a WebSocket with `websockets`, its handshake signed by `http-message-signatures`, and says one thing.

    python3 websockets_client.py --url ws://127.0.0.1:8080/chat \
        --key-id mobile-2026 --secret-file mobile.key --body hello
"""

import datetime
import json
import secrets

import requests
from http_message_signatures import HTTPMessageSigner, MappingKeyResolver, algorithms
from websockets.exceptions import InvalidStatus
from websockets.sync.client import connect

import command_line

options = command_line.arguments(__doc__.splitlines()[0]).parse_args()
url = options.url.replace("http", "ws", 1)

# The handshake is a GET. What makes it one of WebSocket need not be covered:
# the library adds it when it connects, and the gateway checks it by itself.
handshake = requests.Request("GET", url.replace("ws", "http", 1)).prepare()
keys = {options.key_id: command_line.read_secret(options.secret_file)}
signer = HTTPMessageSigner(
    signature_algorithm=algorithms.HMAC_SHA256,
    key_resolver=MappingKeyResolver(public_keys={}, private_keys=keys),
)
signer.sign(
    handshake,
    key_id=options.key_id,
    # Its URL begins with `ws`, so the authority and the path are covered rather than the whole.
    covered_component_ids=["@method", "@authority", "@path"] + (["@query"] if "?" in url else []),
    created=datetime.datetime.fromtimestamp(options.created) if options.created else None,
    nonce=secrets.token_urlsafe(16) if options.nonce else None,
)

try:
    with connect(url, additional_headers=dict(handshake.headers), proxy=None) as socket:
        socket.send(options.body or "hello")
        print(json.dumps({"status": 101, "headers": dict(socket.response.headers), "body": socket.recv()}))
except InvalidStatus as refused:
    body = refused.response.body.decode()
    print(json.dumps({"status": refused.response.status_code, "headers": dict(refused.response.headers), "body": body}))
