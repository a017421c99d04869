"""Signs a webhook of Slack with PyPI `slack_sdk` and sends it.

    python3 slack_sender.py --url http://127.0.0.1:8080/slack \
        --key-id slack-2026 --secret-file slack.secret --body 'payload=%7B%7D'

The gateway's route needs `accept = ["webhook"]` and `webhook = { sender = "slack", app = "…" }`.
"""

import time

import requests
from slack_sdk.signature import SignatureVerifier

import command_line

options = command_line.arguments(__doc__.splitlines()[0]).parse_args()

body = (options.body or "payload=%7B%7D").encode()
timestamp = str(options.created if options.created is not None else int(time.time()))
signer = SignatureVerifier(command_line.read_secret(options.secret_file).decode())

request = requests.Request(
    "POST",
    options.url,
    data=body,
    headers={
        "Content-Type": "application/x-www-form-urlencoded",
        "X-Slack-Request-Timestamp": timestamp,
        "X-Slack-Signature": signer.generate_signature(timestamp=timestamp, body=body),
    },
).prepare()

if options.only_print:
    command_line.show_request(request)
else:
    command_line.show_response(requests.Session().send(request, allow_redirects=False, timeout=30))
