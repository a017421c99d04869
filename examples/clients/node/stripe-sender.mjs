// Signs a webhook with npm `stripe`, which can make the header of a test event, and sends it.
//
//   node stripe-sender.mjs --url http://127.0.0.1:8080/stripe \
//     --key-id stripe-2026 --secret-file stripe.secret --body '{"id": "evt_1"}'
//
// The gateway's route needs `accept = ["webhook"]` and `webhook = { sender = "stripe", app = "…" }`.

import Stripe from "stripe";
import { readArguments, showRequest, showResponse } from "./command-line.mjs";

const options = readArguments();
const body = options.body ?? "{}";
// The whole of `whsec_…` is the secret.
const secret = options.secret.toString("latin1");
const stripe = new Stripe("sk_test_of_nobody");
const headers = {
  "Content-Type": "application/json",
  "Stripe-Signature": stripe.webhooks.generateTestHeaderString({
    payload: body,
    secret,
    timestamp: options.created,
  }),
};
if (options.print) {
  showRequest({ method: "POST", url: options.url, headers, body });
} else {
  await showResponse(await fetch(options.url, { method: "POST", headers, body, redirect: "manual" }));
}
