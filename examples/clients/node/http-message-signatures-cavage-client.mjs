// Signs a request with `http-message-signatures` in its draft-cavage mode and sends it with `fetch`.
//
//   node http-message-signatures-cavage-client.mjs --url http://127.0.0.1:8080/orders/1 \
//     --key-id mobile-2026 --secret-file mobile.key
//
// The gateway's route needs `accept = ["hmac-auth"]` and `dialect = "cavage-12"`.

import { createHash } from "node:crypto";
import { cavage, createSigner } from "http-message-signatures";
import { readArguments, showRequest, showResponse } from "./command-line.mjs";

const options = readArguments();
const { method, body } = options;
const url = new URL(options.url);

// By itself the library covers nothing of the request: list what the gateway wants covered.
const fields = ["@request-target", "@created", "host"];
const headers = { host: url.host };
if (options.authorization) {
  headers.authorization = options.authorization;
  fields.push("authorization");
}
if (body !== undefined) {
  headers["content-type"] = "text/plain";
  headers["digest"] = `SHA-256=${createHash("sha256").update(body).digest("base64")}`;
  fields.push("digest");
}

const signed = await cavage.signMessage(
  {
    key: createSigner(options.secret, options.algorithm, options.keyId),
    fields,
    paramValues: {
      created: new Date(options.created * 1000),
      // A time of its own goes with this name only: the key says which algorithm it is.
      alg: "hs2019",
    },
  },
  { method, url, headers },
);

if (options.print) {
  showRequest({ method, url, headers: signed.headers, body });
} else {
  const { host, ...rest } = signed.headers;
  await showResponse(await fetch(url, { method, headers: rest, body, redirect: "manual" }));
}
