// Signs a request with `aws4fetch`, as AWS's clients do, and sends it with `fetch`.
//
//   node aws4fetch-client.mjs --url http://127.0.0.1:8080/orders/1 \
//     --key-id mobile-2026 --secret-file mobile.key
//
// The gateway's route needs `accept = ["aws-sigv4"]`; any region and service will do unless the route names some.

import { AwsClient } from "aws4fetch";
import { readArguments, showRequest, showResponse } from "./command-line.mjs";

const options = readArguments();
const { method, body, region, service } = options;
const client = new AwsClient({
  accessKeyId: options.keyId,
  secretAccessKey: options.secret.toString(),
  region,
  service,
  retries: 0,
});

const url = new URL(options.url);
if (options.presign) url.searchParams.set("X-Amz-Expires", options.presign);
const request = await client.sign(url, { method, body, aws: { signQuery: options.presign !== undefined } });

if (options.print) {
  showRequest({ method, url: request.url, headers: Object.fromEntries(request.headers), body });
} else {
  await showResponse(await fetch(request, { redirect: "manual" }));
}
