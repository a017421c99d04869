// Verifies a webhook of GitHub with npm `@octokit/webhooks-methods`, as a backend does that has no gateway.
//
//   node octokit-receiver.mjs --secret-file hooks.secret < request.json
//
// The request is `{"headers": {"X-Hub-Signature-256": …}, "body": "…"}`; prints whether it holds.

import { verify } from "@octokit/webhooks-methods";
import { received } from "./command-line.mjs";

const { secret, headers, body } = received();
console.log(await verify(secret, body, headers["x-hub-signature-256"]));
