// Checks a token of the key service with `jose`, as a backend may that wants to look for itself.
//
//   node token-reader.mjs --jwks http://127.0.0.1:8080/.portcullis/jwks.json --audience https://api.example.com < token
//   node token-reader.mjs --secret-file state/mobile-tokens.key < token
//
// The app's key is a pair of the gateway's: its public half is in `jwks.json`, which `jose` keeps for minutes. Or it is a
// secret that both share. For each line that is a token one sees a line of JSON: its claims, or why it is refused.

import { createInterface } from "node:readline";
import { parseArgs } from "node:util";
import { createRemoteJWKSet, jwtVerify } from "jose";
import { readSecret } from "./command-line.mjs";

const text = { type: "string" };
const { values: options } = parseArgs({ options: { jwks: text, "secret-file": text, audience: text } });

const secret = options["secret-file"] && readSecret(options["secret-file"]);
const key = secret || createRemoteJWKSet(new URL(options.jwks));
// Never take `alg` from the token alone: say what is good here.
const algorithms = secret ? ["HS256"] : ["ES256", "ES384", "EdDSA", "RS256", "PS256"];
const wanted = { algorithms, audience: options.audience, requiredClaims: ["exp", "iat", "jti"] };
for await (const line of createInterface({ input: process.stdin })) {
  try {
    const { payload } = await jwtVerify(line.trim(), key, wanted);
    console.log(JSON.stringify({ claims: payload }));
  } catch (why) {
    console.log(JSON.stringify({ refused: `${why.code}: ${why.message}` }));
  }
}
