// Signs a webhook with npm `@octokit/webhooks-methods`, as GitHub does, and sends it.
//
//   node octokit-sender.mjs --url http://127.0.0.1:8080/github \
//     --key-id github-2026 --secret-file github.secret --body '{"action": "opened"}'
//
// The gateway's route needs `accept = ["webhook"]` and `webhook = { sender = "github", app = "…" }`.

import { randomUUID } from "node:crypto";
import { sign } from "@octokit/webhooks-methods";
import { readArguments, showRequest, showResponse } from "./command-line.mjs";

const options = readArguments();
const body = options.body ?? "{}";
const headers = {
  "Content-Type": "application/json",
  "X-GitHub-Event": "ping",
  "X-GitHub-Delivery": randomUUID(),
  "X-Hub-Signature-256": await sign(options.secret.toString("latin1"), body),
};
if (options.print) {
  showRequest({ method: "POST", url: options.url, headers, body });
} else {
  await showResponse(await fetch(options.url, { method: "POST", headers, body, redirect: "manual" }));
}
