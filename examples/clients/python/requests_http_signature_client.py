"""Signs a request with `requests-http-signature`, which plugs into `requests`.

    python3 requests_http_signature_client.py --url http://127.0.0.1:8080/orders/1 \
        --key-id mobile-2026 --secret-file mobile.key
"""

import datetime

import requests
from requests_http_signature import HTTPSignatureAuth, algorithms

import command_line

options = command_line.arguments(__doc__.splitlines()[0]).parse_args()


class Auth(HTTPSignatureAuth):
    """The plug-in as it comes, but for `--created`."""

    def get_created(self, request):
        if options.created is None:
            return super().get_created(request)
        self.add_date(request, timestamp=options.created)
        return datetime.datetime.fromtimestamp(options.created)


# The defaults cover all that the gateway wants covered: method, authority,
# URL, Authorization if there is one, and the body by its digest.
auth = Auth(
    signature_algorithm=command_line.algorithm_of(algorithms, options.algorithm),
    key=command_line.read_secret(options.secret_file),
    key_id=options.key_id,
    use_nonce=options.nonce,
)

headers = {}
if options.authorization:
    headers["Authorization"] = options.authorization
body = options.body.encode() if options.body is not None else None
request = requests.Request(options.method, options.url, headers=headers, data=body, auth=auth).prepare()

if options.only_print:
    command_line.show_request(request)
else:
    command_line.show_response(requests.Session().send(request, allow_redirects=False, timeout=30))
