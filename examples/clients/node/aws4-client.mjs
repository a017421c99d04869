// Signs a request with `aws4`, as AWS's clients do, and sends it with node's `http`.
//
//   node aws4-client.mjs --url http://127.0.0.1:8080/orders/1 \
//     --key-id mobile-2026 --secret-file mobile.key
//
// The gateway's route needs `accept = ["aws-sigv4"]`; any region and service will do unless the route names some.

import http from "node:http";
import https from "node:https";
import aws4 from "aws4";
import { readArguments, showRequest } from "./command-line.mjs";

const options = readArguments();
const { method, body, region, service } = options;
const url = new URL(options.url);

let path = url.pathname + url.search;
if (options.presign) path += `${url.search ? "&" : "?"}X-Amz-Expires=${options.presign}`;
const signed = aws4.sign(
  { host: url.host, path, method, body, region, service, signQuery: options.presign !== undefined },
  { accessKeyId: options.keyId, secretAccessKey: options.secret.toString() },
);

if (options.print) {
  showRequest({ method, url: new URL(signed.path, url), headers: signed.headers ?? {}, body });
} else {
  const client = url.protocol === "https:" ? https : http;
  const request = client.request({
    method,
    hostname: url.hostname,
    port: url.port,
    path: signed.path,
    headers: signed.headers,
  });
  request.on("response", async (response) => {
    let text = "";
    for await (const chunk of response.setEncoding("utf8")) text += chunk;
    console.log(JSON.stringify({ status: response.statusCode, headers: response.headers, body: text }));
  });
  request.end(body);
}
