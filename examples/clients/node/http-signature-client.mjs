// Signs a request with `http-signature` (draft-cavage) and sends it with node's `http`.
//
//   node http-signature-client.mjs --url http://127.0.0.1:8080/orders/1 \
//     --key-id mobile-2026 --secret-file mobile.key
//
// The gateway's route needs `accept = ["hmac-auth"]` and `dialect = "cavage-12"`.

import { createHash } from "node:crypto";
import http from "node:http";
import https from "node:https";
import httpSignature from "http-signature";
import { readArguments, showRequest } from "./command-line.mjs";

const options = readArguments();
const { method, body } = options;
const url = new URL(options.url);

// By itself, as with `--library-default`, the library covers the date only: list what the gateway wants covered.
const covered = ["(request-target)", "host", "date"];
const headers = { Host: url.host, Date: new Date(options.created * 1000).toUTCString() };
if (body !== undefined) {
  headers["Content-Length"] = Buffer.byteLength(body);
  headers["Digest"] = `SHA-256=${createHash("sha256").update(body).digest("base64")}`;
  covered.push("digest");
}

const client = url.protocol === "https:" ? https : http;
const request = client.request(url, { method, headers });
httpSignature.sign(request, {
  key: options.secret,
  keyId: options.keyId,
  // Its own names of the algorithms.
  algorithm: { "rsa-v1_5-sha256": "rsa-sha256", ed25519: "ed25519-sha512" }[options.algorithm] ?? "hmac-sha256",
  ...(options["library-default"] || { headers: covered }),
});

if (options.print) {
  showRequest({ method, url, headers: { ...request.getHeaders() }, body });
  request.on("error", () => {});
  request.destroy();
} else {
  request.on("response", async (response) => {
    let text = "";
    for await (const chunk of response.setEncoding("utf8")) text += chunk;
    console.log(JSON.stringify({ status: response.statusCode, headers: response.headers, body: text }));
  });
  request.end(body);
}
