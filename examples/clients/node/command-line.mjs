// What the examples share: arguments, the secret, and printing. Nothing here signs.

import { readFileSync } from "node:fs";
import { parseArgs } from "node:util";

/// `--url --key-id --secret-file` are needed; `--created` signs at another
/// time than now, `--library-default` covers what the library does by itself, where
/// an example says so, and `--print` prints the signed request instead of sending it.
export function readArguments() {
  const { values } = parseArgs({
    options: {
      url: { type: "string" },
      "key-id": { type: "string" },
      "secret-file": { type: "string" },
      algorithm: { type: "string", default: "hmac-sha256" },
      method: { type: "string", default: "GET" },
      body: { type: "string" },
      authorization: { type: "string" },
      nonce: { type: "boolean", default: false },
      created: { type: "string" },
      region: { type: "string", default: "us-east-1" },
      service: { type: "string", default: "api" },
      presign: { type: "string" },
      "add-content-sha": { type: "boolean", default: false },
      "library-default": { type: "boolean", default: false },
      print: { type: "boolean", default: false },
    },
  });
  for (const needed of ["url", "key-id", "secret-file"]) {
    if (!values[needed]) {
      console.error(`--${needed} is needed`);
      process.exit(2);
    }
  }
  return {
    ...values,
    keyId: values["key-id"],
    secret: readSecret(values["secret-file"]),
    created: values.created ? Number(values.created) : Math.floor(Date.now() / 1000),
  };
}

/// What arrived, for a receiver: the secret as it is shown, the headers by their names in lower case, and the body.
export function received() {
  const { values } = parseArgs({ options: { "secret-file": { type: "string" } } });
  const request = JSON.parse(readFileSync(0, "utf8"));
  const lower = Object.entries(request.headers).map(([name, value]) => [name.toLowerCase(), value]);
  const secret = readFileSync(values["secret-file"], "utf8");
  return { secret, headers: Object.fromEntries(lower), body: request.body };
}

/// Reads a secret as the gateway does: decodes `base64:...` and `hex:...`, and takes other bytes as they are, be their last
/// one a line's end. What ends the line of a secret that the gateway has made, `pcs_...`, is none of it.
export function readSecret(path) {
  const bytes = readFileSync(path);
  const written = bytes.toString("latin1");
  const text = written.trim();
  if (text.startsWith("base64:")) return Buffer.from(text.slice("base64:".length), "base64");
  if (text.startsWith("hex:")) return Buffer.from(text.slice("hex:".length), "hex");
  return written.startsWith("pcs_") ? Buffer.from(written.replace(/\r?\n$/, ""), "latin1") : bytes;
}

export function showRequest({ method, url, headers, body }) {
  console.log(JSON.stringify({ method, url: String(url), headers, body: body ?? "" }));
}

/// Shows what `fetch` answered.
export async function showResponse(response) {
  const headers = Object.fromEntries(response.headers);
  console.log(JSON.stringify({ status: response.status, headers, body: await response.text() }));
}
