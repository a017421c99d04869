"""Puts or gets an object with botocore's whole S3 client, as programs do that use AWS's SDK.

    python3 botocore_s3_client.py --url http://127.0.0.1:8080/bucket/key \
        --key-id mobile-2026 --secret-file mobile.key --method PUT --body text

The gateway's route needs `accept = ["aws-sigv4"]`. With `--presign SECONDS` it prints a URL instead.
"""

import json
from urllib.parse import urlsplit

import botocore.session
from botocore.config import Config
from botocore.exceptions import ClientError

import command_line

options = command_line.arguments(__doc__.splitlines()[0]).parse_args()

url = urlsplit(options.url)
bucket, key = url.path.lstrip("/").split("/", 1)
client = botocore.session.get_session().create_client(
    "s3",
    region_name=options.region,
    endpoint_url=f"{url.scheme}://{url.netloc}",
    aws_access_key_id=options.key_id,
    # AWS's secrets are text.
    aws_secret_access_key=command_line.read_secret(options.secret_file).decode(),
    config=Config(
        signature_version="s3v4",
        # Else it signs no body over https, which the gateway refuses.
        request_checksum_calculation="when_required",
        s3={"addressing_style": "path"},
        retries={"total_max_attempts": 1},
    ),
)
where = {"Bucket": bucket, "Key": key}
operation = "put_object" if options.method == "PUT" else "get_object"
if options.presign:
    print(json.dumps({"url": client.generate_presigned_url(operation, where, ExpiresIn=options.presign)}))
else:
    try:
        if options.method == "PUT":
            answer = client.put_object(**where, Body=options.body.encode(), ContentType="text/plain")
        else:
            answer = client.get_object(**where)
            answer["Body"].read()
    except ClientError as refused:
        answer = refused.response
    print(json.dumps({"status": answer["ResponseMetadata"]["HTTPStatusCode"]}))
