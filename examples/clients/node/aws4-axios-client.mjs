// Signs a request with `aws4-axios`, as AWS's clients do, and sends it with `axios`.
//
//   node aws4-axios-client.mjs --url http://127.0.0.1:8080/orders/1 \
//     --key-id mobile-2026 --secret-file mobile.key
//
// The gateway's route needs `accept = ["aws-sigv4"]`; any region and service will do unless the route names some.
// With `--add-content-sha` the library adds `X-Amz-Content-Sha256` after it has signed: the route needs
// `sigv4 = { unsigned_content_sha256 = true }` then.

import { aws4Interceptor } from "aws4-axios";
import axios from "axios";
import { readArguments, showRequest } from "./command-line.mjs";

const options = readArguments();
const { method, body: data, region, service } = options;

const client = axios.create({ maxRedirects: 0, validateStatus: () => true, transformResponse: (text) => text });
client.interceptors.request.use(
  aws4Interceptor({
    options: { region, service, signQuery: options.presign !== undefined, addContentSha: options["add-content-sha"] },
    credentials: { accessKeyId: options.keyId, secretAccessKey: options.secret.toString() },
  }),
);
if (options.print) {
  client.defaults.adapter = async (config) => {
    const headers = Object.fromEntries(Object.entries(config.headers.toJSON()).map(([k, v]) => [k, String(v)]));
    showRequest({ method, url: client.getUri(config), headers, body: data });
    return { status: 0, config };
  };
}
const headers = data === undefined ? {} : { "Content-Type": "application/json" };
const answer = await client.request({ url: options.url, method, data, headers });
if (!options.print) {
  console.log(JSON.stringify({ status: answer.status, headers: answer.headers, body: answer.data }));
}
