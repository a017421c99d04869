// Signs a request with `http-message-sig` and sends it with `fetch`.
//
//   node http-message-sig-client.mjs --url http://127.0.0.1:8080/orders/1 \
//     --key-id mobile-2026 --secret-file mobile.key

import { createHash, createHmac, randomUUID } from "node:crypto";
import { appendSignature, createSignature } from "http-message-sig";
import { readArguments, showRequest, showResponse } from "./command-line.mjs";

const options = readArguments();
const { method, body } = options;

// The library wants both lists from its caller: what to cover, and the parameters.
const components = ["@method", "@authority", "@path", "@query"];
const unsigned = new Headers();
if (options.authorization) {
  unsigned.set("authorization", options.authorization);
  components.push("authorization");
}
if (body !== undefined) {
  const digest = createHash("sha256").update(body).digest("base64");
  unsigned.set("content-type", "text/plain");
  unsigned.set("content-digest", `sha-256=:${digest}:`);
  components.push("content-digest");
}
const request = new Request(options.url, { method, headers: unsigned, body, redirect: "manual" });

// It leaves the cryptography to its caller too.
const signer = {
  algorithm: "hmac-sha256",
  sign: (base) => createHmac("sha256", options.secret).update(base).digest(),
};
const parameters = { created: options.created, keyid: options.keyId, alg: signer.algorithm };
if (options.nonce) parameters.nonce = randomUUID();

const signature = await createSignature(request, { components, parameters, signer });
const headers = appendSignature(request.headers, signature);

if (options.print) {
  showRequest({ method, url: request.url, headers: Object.fromEntries(headers), body });
} else {
  await showResponse(await fetch(new Request(request, { headers })));
}
