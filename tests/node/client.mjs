// The client of these scripts: the `openai` package as a user imports it, from where the test has installed it.
// OPENAI_PACKAGE is its folder, GATEWAY_URL and GATEWAY_KEY are where it is sent. One line of JSON is the result.
import { pathToFileURL } from "node:url";
import path from "node:path";

const { OPENAI_PACKAGE, GATEWAY_URL, GATEWAY_KEY } = process.env;
export const sdk = await import(pathToFileURL(path.join(OPENAI_PACKAGE, "index.mjs")).href);
const options = { apiKey: GATEWAY_KEY, maxRetries: 0, timeout: 30_000 };

export const client = new sdk.OpenAI({ ...options, baseURL: `${GATEWAY_URL}/v1` });
export const azure = (apiVersion) => new sdk.AzureOpenAI({ ...options, endpoint: GATEWAY_URL, apiVersion });

export function ask(text, fields = {}) {
  return { model: "gpt-4o", messages: [{ role: "user", content: text }], ...fields };
}

// What an SDK error is to a caller; anything else is a bug of the script and ends it.
export async function errorOf(promise) {
  try {
    await promise;
  } catch (error) {
    if (!(error instanceof sdk.APIError)) throw error;
    const { status, code, type, param } = error;
    return { kind: error.constructor.name, status, code, type, param };
  }
  throw new Error("there was no error");
}

export function result(value) {
  process.stdout.write(`${JSON.stringify(value)}\n`);
}
