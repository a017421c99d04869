"""Signs a request as for the `hmac-auth` plug-in of Apache APISIX 3 and sends it with `requests`.

    python3 apisix_hmac_client.py --url http://127.0.0.1:8080/orders/1 \
        --key-id mobile-2026 --secret-file mobile.key

The gateway's route needs `accept = ["hmac-auth"]` and `dialect = "apisix"`.
"""

import base64
import email.utils
import hashlib
import hmac

import requests

import command_line

options = command_line.arguments(__doc__.splitlines()[0]).parse_args()

body = options.body.encode() if options.body is not None else None
request = requests.Request(options.method, options.url, data=body).prepare()

covered = ["@request-target", "date"]
request.headers["Date"] = email.utils.formatdate(options.created, usegmt=True)
if body:
    # The documentation of APISIX leaves `digest` out of the list; then the body is not signed.
    request.headers["Digest"] = "SHA-256=" + base64.b64encode(hashlib.sha256(body).digest()).decode()
    covered.append("digest")

# Every line ends in a newline, the last one too.
text = f"{options.key_id}\n"
for name in covered:
    if name == "@request-target":
        text += f"{request.method} {request.path_url}\n"
    else:
        text += f"{name}: {request.headers[name]}\n"
secret = command_line.read_secret(options.secret_file)
signature = hmac.new(secret, text.encode(), hashlib.sha256).digest()

request.headers["Authorization"] = (
    f'Signature keyId="{options.key_id}",algorithm="hmac-sha256",'
    f'headers="{" ".join(covered)}",signature="{base64.b64encode(signature).decode()}"'
)

if options.only_print:
    command_line.show_request(request)
else:
    command_line.show_response(requests.Session().send(request, allow_redirects=False, timeout=30))
