// Makes a token with `jose` that is bound to a key, and proves that key with `dpop`, for every request anew.
//
//   node dpop-client.mjs --url http://127.0.0.1:8080/orders/1 \
//     --key-id mobile-2026 --secret-file mobile.key
//
// A proof covers the method and the URL without its query, and no body.

import { generateKeyPair, generateProof } from "dpop";
import { SignJWT, calculateJwkThumbprint, exportJWK } from "jose";
import { readArguments, showRequest, showResponse } from "./command-line.mjs";

const options = readArguments();
const { method, body } = options;

// Made once, and kept where nothing can take it out.
const pair = await generateKeyPair("ES256");
const jkt = await calculateJwkThumbprint(await exportJWK(pair.publicKey));

const token = await new SignJWT({ cnf: { jkt } })
  .setProtectedHeader({ alg: "HS256", kid: options.keyId })
  .setIssuedAt(options.created)
  .setExpirationTime(options.created + 300)
  .sign(options.secret);

async function prove(nonce) {
  const headers = { "Portcullis-Token": token };
  headers.DPoP = await generateProof(pair, options.url.split("?")[0], method, nonce, token);
  if (options.authorization) headers.Authorization = options.authorization;
  if (body !== undefined) headers["Content-Type"] = "text/plain";
  return headers;
}

if (options.print) {
  showRequest({ method, url: options.url, headers: await prove(), body });
} else {
  let response = await fetch(options.url, { method, headers: await prove(), body, redirect: "manual" });
  const nonce = response.headers.get("dpop-nonce");
  if (response.status === 401 && nonce) {
    response = await fetch(options.url, { method, headers: await prove(nonce), body, redirect: "manual" });
  }
  await showResponse(response);
}
