"""Signs a request with botocore, as AWS's clients do, and sends it with urllib3.

    python3 botocore_client.py --url http://127.0.0.1:8080/orders/1 \
        --key-id mobile-2026 --secret-file mobile.key

The gateway's route needs `accept = ["aws-sigv4"]`; any region and service will do unless the
route names some. `--service s3` signs as for S3: with the body's hash in a field of its own.
"""

import io
import json

import urllib3
from botocore.auth import S3SigV4Auth, S3SigV4QueryAuth, SigV4Auth, SigV4QueryAuth
from botocore.awsrequest import AWSRequest
from botocore.credentials import Credentials
from botocore.httpchecksum import AwsChunkedWrapper, Crc32Checksum

import command_line

options = command_line.arguments(__doc__.splitlines()[0]).parse_args()

# AWS's secrets are text.
secret = command_line.read_secret(options.secret_file).decode()
credentials = Credentials(options.key_id, secret)
request = AWSRequest(
    method=options.method,
    url=options.url,
    data=options.body.encode() if options.body is not None else None,
    headers={"Content-Type": "application/json"} if options.body is not None else {},
)
is_s3 = options.service == "s3"
if options.trailer:
    # As the SDK uploads to S3 over TLS: the body in pieces, unsigned, its checksum behind it.
    is_s3 = True
    body = options.body.encode()
    request.data = AwsChunkedWrapper(io.BytesIO(body), Crc32Checksum, "x-amz-checksum-crc32")
    request.context["checksum"] = {"request_algorithm": {"in": "trailer"}}
    request.headers["Content-Encoding"] = "aws-chunked"
    request.headers["Transfer-Encoding"] = "chunked"
    request.headers["X-Amz-Decoded-Content-Length"] = str(len(body))
    request.headers["X-Amz-Trailer"] = "x-amz-checksum-crc32"
if options.presign:
    signer = S3SigV4QueryAuth if is_s3 else SigV4QueryAuth
    signer(credentials, options.service, options.region, expires=options.presign).add_auth(request)
else:
    signer = S3SigV4Auth if is_s3 else SigV4Auth
    signer(credentials, options.service, options.region).add_auth(request)
prepared = request.prepare()

if options.only_print:
    headers = {name: value.decode() if isinstance(value, bytes) else value for name, value in prepared.headers.items()}
    body = prepared.body.read() if options.trailer else prepared.body
    body = body.decode() if isinstance(body, bytes) else body
    print(json.dumps({"method": prepared.method, "url": prepared.url, "headers": headers, "body": body or ""}))
else:
    answer = urllib3.request(
        prepared.method,
        prepared.url,
        headers=dict(prepared.headers),
        body=prepared.body,
        redirect=False,
        retries=False,
        timeout=30,
    )
    print(json.dumps({"status": answer.status, "headers": dict(answer.headers), "body": answer.data.decode()}))
