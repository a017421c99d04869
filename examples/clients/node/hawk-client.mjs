// Signs a request with `hawk`, whose scheme the gateway does not have: it shows what such a caller is told.
//
//   node hawk-client.mjs --url http://127.0.0.1:8080/orders/1 \
//     --key-id mobile-2026 --secret-file mobile.key

import Hawk from "hawk";
import { readArguments, showRequest, showResponse } from "./command-line.mjs";

const { url, method, body, keyId, secret, print } = readArguments();
const credentials = { id: keyId, key: secret.toString("base64"), algorithm: "sha256" };
const { header } = Hawk.client.header(url, method, { credentials, payload: body ?? "" });
const headers = { Authorization: header };

if (print) {
  showRequest({ method, url, headers, body });
} else {
  await showResponse(await fetch(url, { method, headers, body, redirect: "manual" }));
}
