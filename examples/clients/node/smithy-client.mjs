// Signs a request with `@smithy/signature-v4`, the signer of AWS's own SDK, and sends it with node's `http`.
//
//   node smithy-client.mjs --url http://127.0.0.1:8080/orders/1 \
//     --key-id mobile-2026 --secret-file mobile.key
//
// The gateway's route needs `accept = ["aws-sigv4"]`; any region and service will do unless the route names some.

import http from "node:http";
import https from "node:https";
import { Sha256 } from "@aws-crypto/sha256-js";
import { SignatureV4 } from "@smithy/signature-v4";
import { readArguments, showRequest } from "./command-line.mjs";

const options = readArguments();
const { method, body, region, service } = options;
const url = new URL(options.url);

const signer = new SignatureV4({
  credentials: { accessKeyId: options.keyId, secretAccessKey: options.secret.toString() },
  region,
  service,
  sha256: Sha256,
});
const query = {};
for (const [name, value] of url.searchParams) {
  query[name] = name in query ? [].concat(query[name], value) : value;
}
const headers = { host: url.host };
if (body !== undefined) headers["content-type"] = "application/json";
const unsigned = { method, protocol: url.protocol, hostname: url.hostname, port: url.port, path: url.pathname, query, headers, body };
const signed = options.presign
  ? await signer.presign(unsigned, { expiresIn: Number(options.presign) })
  : await signer.sign(unsigned);

// As the SDK's own client writes it.
const escaped = (text) => encodeURIComponent(text).replace(/[!'()*]/g, (c) => `%${c.charCodeAt(0).toString(16).toUpperCase()}`);
const pairs = Object.keys(signed.query).sort().flatMap((name) => [].concat(signed.query[name]).map((value) => `${escaped(name)}=${escaped(value)}`));
const path = signed.path + (pairs.length ? `?${pairs.join("&")}` : "");

if (options.print) {
  showRequest({ method, url: new URL(path, url), headers: signed.headers, body });
} else {
  const client = url.protocol === "https:" ? https : http;
  const request = client.request({ method, hostname: url.hostname, port: url.port, path, headers: signed.headers });
  request.on("response", async (response) => {
    let text = "";
    for await (const chunk of response.setEncoding("utf8")) text += chunk;
    console.log(JSON.stringify({ status: response.statusCode, headers: response.headers, body: text }));
  });
  request.end(body);
}
