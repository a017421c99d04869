"""Signs a webhook by hand, as Slack's documentation says, and sends it.

    python3 slack_sender.py --url http://127.0.0.1:8080/slack \
        --key-id slack-2026 --secret-file slack.secret --body 'payload=%7B%7D'

The gateway's route needs `accept = ["webhook"]` and `webhook = { sender = "slack", app = "…" }`.
"""

import hashlib
import hmac
import time

import requests

import command_line

options = command_line.arguments(__doc__.splitlines()[0]).parse_args()

body = (options.body or "payload=%7B%7D").encode()
timestamp = str(options.created if options.created is not None else int(time.time()))
text = b"v0:" + timestamp.encode() + b":" + body
mac = hmac.new(command_line.read_secret(options.secret_file), text, hashlib.sha256).hexdigest()

request = requests.Request(
    "POST",
    options.url,
    data=body,
    headers={
        "Content-Type": "application/x-www-form-urlencoded",
        "X-Slack-Request-Timestamp": timestamp,
        "X-Slack-Signature": "v0=" + mac,
    },
).prepare()

if options.only_print:
    command_line.show_request(request)
else:
    command_line.show_response(requests.Session().send(request, allow_redirects=False, timeout=30))
