// Verifies a webhook of Stripe with npm `stripe`, as a backend does that has no gateway.
//
//   node stripe-receiver.mjs --secret-file stripe.secret < request.json
//
// The request is `{"headers": {"Stripe-Signature": …}, "body": "…"}`; prints whether it holds.

import Stripe from "stripe";
import { received } from "./command-line.mjs";

const { secret, headers, body } = received();
const stripe = new Stripe("sk_test_of_nobody");
let holds = true;
try {
  stripe.webhooks.constructEvent(body, headers["stripe-signature"], secret);
} catch (why) {
  console.error("refused", why.message);
  holds = false;
}
console.log(holds);
