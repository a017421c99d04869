"""Signs a webhook with PyPI `standardwebhooks` and sends it.

    python3 standardwebhooks_sender.py --url http://127.0.0.1:8080/hooks \
        --key-id hooks-2026 --secret-file hooks.secret --body '{"type": "order.paid"}'

The gateway's route needs `accept = ["webhook"]` and `webhook = { sender = "standard-webhooks", app = "…" }`.
"""

import datetime
import pathlib

import requests
from standardwebhooks.webhooks import Webhook

import command_line

parser = command_line.arguments(__doc__.splitlines()[0])
parser.add_argument("--message-id", default="msg_2KWPBgLlAfxdpx2AI54pPJ85f4W")
options = parser.parse_args()

body = options.body or "{}"
# The secret as it is written, `whsec_…`: the library decodes it.
secret = pathlib.Path(options.secret_file).read_text().strip()
when = datetime.datetime.now(datetime.timezone.utc)
if options.created is not None:
    when = datetime.datetime.fromtimestamp(options.created, datetime.timezone.utc)
signature = Webhook(secret).sign(msg_id=options.message_id, timestamp=when, data=body)

request = requests.Request(
    "POST",
    options.url,
    data=body.encode(),
    headers={
        "Content-Type": "application/json",
        "webhook-id": options.message_id,
        "webhook-timestamp": str(int(when.timestamp())),
        "webhook-signature": signature,
    },
).prepare()

if options.only_print:
    command_line.show_request(request)
else:
    command_line.show_response(requests.Session().send(request, allow_redirects=False, timeout=30))
