"""What the examples share: arguments, the secret, and printing. Nothing here signs."""

import argparse
import base64
import json
import pathlib
import sys


def arguments(description):
    parser = argparse.ArgumentParser(description=description)
    parser.add_argument("--url", required=True, help="where to send the request")
    parser.add_argument("--key-id", required=True, help="the key's `id` in gateway.toml")
    parser.add_argument("--secret-file", required=True, help="the file that the key's `secret` names, or the private key in PEM")
    parser.add_argument("--algorithm", default="hmac-sha256", help="the key's `algorithm` in gateway.toml")
    parser.add_argument("--method", default="GET")
    parser.add_argument("--body", help="text to send")
    parser.add_argument("--authorization", help="a value for the Authorization field")
    parser.add_argument("--nonce", action="store_true", help="make the request pass once only, whatever its method")
    parser.add_argument("--created", type=int, help="time to sign at, in Unix seconds, instead of now")
    parser.add_argument("--region", default="us-east-1", help="the region to sign for, as AWS's clients do")
    parser.add_argument("--service", default="api", help="the service to sign for, as AWS's clients do")
    parser.add_argument("--presign", type=int, metavar="SECONDS", help="put the signature into the URL")
    parser.add_argument("--trailer", action="store_true", help="send the body in pieces with its checksum behind it, as AWS's clients do")
    parser.add_argument("--print", action="store_true", dest="only_print", help="print the signed request as JSON instead of sending it")
    return parser


def read_secret(path):
    """Reads a secret as the gateway does: decodes `base64:...` and `hex:...`, and takes other bytes as they are, be their last one a line's end.

    What ends the line of a secret that the gateway has made, `pcs_...`, is none of it.
    """
    written = pathlib.Path(path).read_bytes()
    text = written.strip()
    if text.startswith(b"base64:"):
        return base64.b64decode(text[len(b"base64:") :], validate=True)
    if text.startswith(b"hex:"):
        return bytes.fromhex(text[len(b"hex:") :].decode())
    if written.startswith(b"pcs_") and written.endswith(b"\n"):
        return written[:-1].removesuffix(b"\r")
    return written


def received(description):
    """What arrived, for a receiver: the secret's file, the headers by their names in lower case, and the body."""
    parser = argparse.ArgumentParser(description=description)
    parser.add_argument("--secret-file", required=True, help="the file of the sender's secret, as it is shown")
    options = parser.parse_args()
    request = json.load(sys.stdin)
    headers = {name.lower(): value for name, value in request["headers"].items()}
    return options.secret_file, headers, request["body"]


def algorithm_of(algorithms, name):
    """The library's class for an algorithm: `ECDSA_P256_SHA256` for `ecdsa-p256-sha256`."""
    return getattr(algorithms, name.upper().replace("-", "_"))


def show_request(request):
    """Prints a `requests.PreparedRequest`."""
    body = request.body.decode() if isinstance(request.body, bytes) else request.body
    print(json.dumps({"method": request.method, "url": request.url, "headers": dict(request.headers), "body": body or ""}))


def show_response(response):
    """Prints a `requests.Response`."""
    print(json.dumps({"status": response.status_code, "headers": dict(response.headers), "body": response.text}))
