"""Signs a request with `http-message-signatures` and sends it with `requests`.

    python3 http_message_signatures_client.py --url http://127.0.0.1:8080/orders/1 \
        --key-id mobile-2026 --secret-file mobile.key
"""

import datetime
import secrets

import requests
from http_message_signatures import HTTPMessageSigner, MappingKeyResolver, algorithms

import command_line

options = command_line.arguments(__doc__.splitlines()[0]).parse_args()

headers = {}
if options.authorization:
    headers["Authorization"] = options.authorization
body = options.body.encode() if options.body is not None else None
request = requests.Request(options.method, options.url, headers=headers, data=body).prepare()

keys = {options.key_id: command_line.read_secret(options.secret_file)}
signer = HTTPMessageSigner(
    signature_algorithm=command_line.algorithm_of(algorithms, options.algorithm),
    key_resolver=MappingKeyResolver(public_keys={}, private_keys=keys),
)

# The library's defaults cover method, authority and the whole URL. What else
# the gateway wants covered: Authorization if there is one, and the body by
# its digest, which the library computes and covers when it is given `body`.
covered = ["@method", "@authority", "@target-uri"]
if options.authorization:
    covered.append("authorization")
signer.sign(
    request,
    key_id=options.key_id,
    covered_component_ids=covered,
    created=datetime.datetime.fromtimestamp(options.created) if options.created else None,
    nonce=secrets.token_urlsafe(16) if options.nonce else None,
    body=body,
)

if options.only_print:
    command_line.show_request(request)
else:
    command_line.show_response(requests.Session().send(request, allow_redirects=False, timeout=30))
