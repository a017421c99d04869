"""Verifies a webhook of Slack with PyPI `slack_sdk`, as a backend does that has no gateway.

    python3 slack_receiver.py --secret-file slack.secret < request.json

The request is `{"headers": {"X-Slack-Signature": …}, "body": "…"}`; prints whether it holds.
"""

import pathlib

from slack_sdk.signature import SignatureVerifier

import command_line

secret, headers, body = command_line.received(__doc__.splitlines()[0])
verifier = SignatureVerifier(pathlib.Path(secret).read_text())
print("true" if verifier.is_valid_request(body, headers) else "false")
