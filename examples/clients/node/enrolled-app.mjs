// An app without a key of the gateway's: it enrols once, gets tokens by a key of its own, and calls for its user.
//
//   echo /orders/1 | node enrolled-app.mjs --gateway http://127.0.0.1:8080 --app phone --build 1.4.2 \
//     --authorization-file user.txt --state instance.jwk --code-file code
//
// With `jose` and Node's own `fetch`. It calls each path that it reads, and prints a line of JSON for it. The code is
// needed for the first run alone: from then on the instance is known by the key in `--state`.

import { createHash, randomUUID, subtle } from "node:crypto";
import { existsSync, readFileSync, renameSync, writeFileSync } from "node:fs";
import { createInterface } from "node:readline";
import { parseArgs } from "node:util";
import { SignJWT, calculateJwkThumbprint, exportJWK, generateKeyPair, importJWK } from "jose";

const text = { type: "string" };
const { values: options } = parseArgs({
  options: {
    gateway: text,
    app: text,
    build: text,
    "authorization-file": text, // Holds the user's `Authorization`, such as `Bearer …`.
    state: text,
    "code-file": text,
  },
});
const url = options.gateway.replace(/\/$/, "");
const sha256 = (data) => createHash("sha256").update(data);

async function ask(door, question) {
  const answer = await fetch(`${url}/.portcullis/${door}`, {
    method: "POST",
    headers: { "Content-Type": "application/json" },
    body: JSON.stringify(question),
    signal: AbortSignal.timeout(30_000),
  });
  if (answer.status !== 200) throw new Error(`${door}: ${answer.status} ${await answer.text()}`);
  return answer.json();
}

const publicPart = ({ kty, crv, x, y }) => ({ kty, crv, x, y });

function keep(jwk) {
  writeFileSync(`${options.state}.new`, JSON.stringify(jwk), { mode: 0o600 });
  renameSync(`${options.state}.new`, options.state);
  return jwk;
}

/**
 * One installation of the app: an id, and a key that never leaves it. In a browser: a key that cannot be taken out, in
 * IndexedDB; the gateway has to let pages ask, by `[tokens] cors`.
 */
async function loadOrEnrol() {
  const known = existsSync(options.state) && JSON.parse(readFileSync(options.state, "utf8"));
  if (known?.kid) return known;
  if (!options["code-file"]) {
    throw new Error(`${options.state} has no instance: the first run needs --code-file, with a code of whoever runs the gateway`);
  }
  const code = readFileSync(options["code-file"], "utf8").trim();
  const made = async () => exportJWK((await generateKeyPair("ES256", { extractable: true })).privateKey);
  // Before anybody is asked: by the same code it is the same instance, should the answer be lost.
  const jwk = known || keep(await made());
  const { instance } = await ask("enrol", { app: options.app, code, key: publicPart(jwk), build: options.build });
  return keep({ ...jwk, kid: instance });
}

/** A token for one user, and another before it ends; one question at a time, however many calls wait for it. */
class Tokens {
  count = 0;
  #renewAt = 0;
  #token;

  constructor(instance, authorization) {
    this.instance = instance;
    this.pay = sha256(authorization).digest("base64");
  }

  get() {
    if (performance.now() >= this.#renewAt) {
      this.#renewAt = Infinity;
      this.#token = this.#ask().catch((why) => {
        this.#renewAt = 0;
        throw why;
      });
    }
    return this.#token;
  }

  /** Of calls that had the same token, one is enough to say so. */
  async refused(token) {
    if ((await this.#token) === token) this.#renewAt = 0;
  }

  async #ask() {
    const askedAt = performance.now();
    const { app, build } = options;
    const { id, key, thumbprint } = this.instance;
    const { challenge } = await ask("challenge", { app });
    const members = { app, challenge, instance: id, build, pay: this.pay, cnf: thumbprint, scope: "" };
    const lines = Object.entries(members).map(([name, value]) => `${name}: ${value}\n`);
    const signed = Buffer.from(`portcullis-instance-key-v1\n${lines.join("")}`);
    const signature = await subtle.sign({ name: "ECDSA", hash: "SHA-256" }, key, signed);
    const { token, expires_in } = await ask("token", {
      app,
      challenge,
      evidence: { format: "instance-key", instance: id, build, signature: Buffer.from(signature).toString("base64url") },
      pay: this.pay,
      cnf: { jkt: thumbprint },
    });
    this.count += 1;
    this.#renewAt = askedAt + expires_in * 800;
    return token;
  }
}

/** A DPoP proof (RFC 9449), for one request; with the nonce that the gateway wants, where `[tokens] dpop_nonce` says so. */
function prove(instance, method, htu, token) {
  const ath = sha256(token).digest("base64url");
  return new SignJWT({ jti: randomUUID(), htm: method, htu, ath, nonce: instance.nonce })
    .setProtectedHeader({ typ: "dpop+jwt", alg: "ES256", jwk: instance.public })
    .setIssuedAt()
    .sign(instance.key);
}

async function call(instance, tokens, authorization, path) {
  for (const triesLeft of [2, 1, 0]) {
    const token = await tokens.get();
    const proof = await prove(instance, "GET", (url + path).split("?")[0], token);
    const answer = await fetch(url + path, {
      headers: { Authorization: authorization, "Portcullis-Token": token, DPoP: proof },
      redirect: "manual",
      signal: AbortSignal.timeout(30_000),
    });
    const isProblem = answer.headers.get("content-type") === "application/problem+json";
    const code = isProblem ? (await answer.json()).code : (await answer.arrayBuffer(), null);
    const known = instance.nonce;
    instance.nonce = answer.headers.get("dpop-nonce") ?? known;
    // Over, or never good: once more with another. If that fails too, something is wrong with the app or the instance.
    const isRefused = ["credential-rejected", "credential-expired"].includes(code);
    if (isRefused && triesLeft) await tokens.refused(token);
    if (!triesLeft || !(isRefused || (answer.status === 401 && instance.nonce !== known))) {
      return { status: answer.status, code, tokens: tokens.count };
    }
  }
}

try {
  const authorization = readFileSync(options["authorization-file"], "utf8").trim();
  const jwk = await loadOrEnrol();
  const instance = {
    id: jwk.kid,
    key: await importJWK(jwk, "ES256"),
    public: publicPart(jwk),
    thumbprint: await calculateJwkThumbprint(publicPart(jwk)),
  };
  const tokens = new Tokens(instance, authorization);
  for await (const path of createInterface({ input: process.stdin })) {
    console.log(JSON.stringify(await call(instance, tokens, authorization, path.trim())));
  }
} catch (why) {
  console.error(why.message);
  process.exitCode = 1;
}
