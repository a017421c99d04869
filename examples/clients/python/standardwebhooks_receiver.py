"""Verifies a webhook with PyPI `standardwebhooks`, as a backend does that has no gateway.

    python3 standardwebhooks_receiver.py --secret-file hooks.secret < request.json

The request is `{"headers": {"webhook-id": …}, "body": "…"}`; prints whether it holds.
"""

import pathlib
import sys

from standardwebhooks.webhooks import Webhook, WebhookVerificationError

import command_line

secret, headers, body = command_line.received(__doc__.splitlines()[0])
try:
    Webhook(pathlib.Path(secret).read_text().strip()).verify(body, headers)
except WebhookVerificationError as why:
    print("refused", why, file=sys.stderr)
    print("false")
else:
    print("true")
