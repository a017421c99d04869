// Signs a request with `http-message-signatures` and sends it with `fetch`.
//
//   node http-message-signatures-client.mjs --url http://127.0.0.1:8080/orders/1 \
//     --key-id mobile-2026 --secret-file mobile.key

import { createHash, randomUUID } from "node:crypto";
import { createSigner, defaultParams, httpbis } from "http-message-signatures";
import { readArguments, showRequest, showResponse } from "./command-line.mjs";

const options = readArguments();
const { method, body } = options;
const url = new URL(options.url);

// By itself the library covers nothing: list what the gateway wants covered.
const fields = ["@method", "@authority", "@path", "@query"];
const headers = {};
if (options.authorization) {
  headers.authorization = options.authorization;
  fields.push("authorization");
}
if (body !== undefined) {
  const digest = createHash("sha256").update(body).digest("base64");
  headers["content-type"] = "text/plain";
  headers["content-digest"] = `sha-256=:${digest}:`;
  fields.push("content-digest");
}

const signed = await httpbis.signMessage(
  {
    key: createSigner(options.secret, options.algorithm, options.keyId),
    fields,
    params: options.nonce ? [...defaultParams, "nonce"] : defaultParams,
    paramValues: {
      created: new Date(options.created * 1000),
      ...(options.nonce && { nonce: randomUUID() }),
    },
  },
  { method, url, headers },
);

if (options.print) {
  showRequest({ method, url, headers: signed.headers, body });
} else {
  await showResponse(await fetch(url, { method, headers: signed.headers, body, redirect: "manual" }));
}
