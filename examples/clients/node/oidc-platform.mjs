// Stands in for a platform that tells who its workloads are, with `jose`: to try `oidc` evidence without one.
//
//   node oidc-platform.mjs --algorithm RS256 --key platform.jwk --set platform.jwks.json
//   node oidc-platform.mjs --algorithm RS256 --key platform.jwk --claims '{"sub": "repo:acme/app", …}'
//
// The first makes a key, and the key set which the gateway gets (`jwks = "file:platform.jwks.json"`); the second prints an assertion.

import { randomUUID } from "node:crypto";
import { existsSync, readFileSync, writeFileSync } from "node:fs";
import { parseArgs } from "node:util";
import { SignJWT, exportJWK, generateKeyPair, importJWK } from "jose";

const text = { type: "string" };
const { values: options } = parseArgs({
  options: { algorithm: { ...text, default: "RS256" }, key: text, set: text, claims: text },
});
const alg = options.algorithm;

if (!existsSync(options.key)) {
  const { privateKey } = await generateKeyPair(alg, { extractable: true });
  const made = { ...(await exportJWK(privateKey)), kid: randomUUID() };
  writeFileSync(options.key, JSON.stringify(made), { mode: 0o600 });
}
const jwk = JSON.parse(readFileSync(options.key, "utf8"));
if (options.set) {
  const { kty, crv, x, y, n, e, kid } = jwk;
  writeFileSync(options.set, JSON.stringify({ keys: [{ kty, crv, x, y, n, e, kid, alg, use: "sig" }] }));
}
if (options.claims) {
  const assertion = new SignJWT(JSON.parse(options.claims))
    .setProtectedHeader({ alg, kid: jwk.kid, typ: "JWT" })
    .setIssuedAt()
    .setExpirationTime("5m")
    .setJti(randomUUID());
  console.log(await assertion.sign(await importJWK(jwk, alg)));
}
