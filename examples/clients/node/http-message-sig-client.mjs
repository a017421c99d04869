// Signs a request with `http-message-sig` and sends it with `fetch`.
//
//   node http-message-sig-client.mjs --url http://127.0.0.1:8080/orders/1 \
//     --key-id mobile-2026 --secret-file mobile.key

import { constants, createHash, createHmac, randomUUID, sign } from "node:crypto";
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
const key = options.secret;
const pss = { padding: constants.RSA_PKCS1_PSS_PADDING, saltLength: constants.RSA_PSS_SALTLEN_DIGEST };
const ways = {
  "hmac-sha256": (base) => createHmac("sha256", key).update(base).digest(),
  ed25519: (base) => sign(null, base, key),
  "ecdsa-p256-sha256": (base) => sign("sha256", base, { key, dsaEncoding: "ieee-p1363" }),
  "ecdsa-p384-sha384": (base) => sign("sha384", base, { key, dsaEncoding: "ieee-p1363" }),
  "rsa-pss-sha512": (base) => sign("sha512", base, { key, ...pss }),
  "rsa-v1_5-sha256": (base) => sign("sha256", base, key),
};
const signer = {
  algorithm: options.algorithm,
  sign: (base) => ways[options.algorithm](Buffer.from(base)),
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
