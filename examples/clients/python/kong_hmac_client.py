"""Signs a request as for Kong's `hmac-auth` plug-in and sends it with `requests`.

    python3 kong_hmac_client.py --url http://127.0.0.1:8080/orders/1 \
        --key-id mobile-2026 --secret-file mobile.key

The gateway's route needs `accept = ["hmac-auth"]` and `dialect = "kong"`.
"""

import base64
import email.utils
import hashlib
import hmac

import requests

import command_line

options = command_line.arguments(__doc__.splitlines()[0]).parse_args()

headers = {}
if options.authorization:
    headers["Authorization"] = options.authorization
body = options.body.encode() if options.body is not None else None
request = requests.Request(options.method, options.url, headers=headers, data=body).prepare()

# Kong wants a time. The gateway also wants the target, and the body by its digest.
covered = ["date", "request-line"]
request.headers["Date"] = email.utils.formatdate(options.created, usegmt=True)
if body:
    request.headers["Digest"] = "SHA-256=" + base64.b64encode(hashlib.sha256(body).digest()).decode()
    covered.append("digest")
if options.authorization:
    covered.append("authorization")

lines = []
for name in covered:
    if name == "request-line":
        lines.append(f"{request.method} {request.path_url} HTTP/1.1")
    else:
        lines.append(f"{name}: {request.headers[name]}")
secret = command_line.read_secret(options.secret_file)
signature = hmac.new(secret, "\n".join(lines).encode(), hashlib.sha256).digest()

# Beside an Authorization of one's own the proof stands in Proxy-Authorization.
place = "Proxy-Authorization" if options.authorization else "Authorization"
request.headers[place] = (
    f'hmac username="{options.key_id}", algorithm="hmac-sha256", '
    f'headers="{" ".join(covered)}", signature="{base64.b64encode(signature).decode()}"'
)

if options.only_print:
    command_line.show_request(request)
else:
    command_line.show_response(requests.Session().send(request, allow_redirects=False, timeout=30))
