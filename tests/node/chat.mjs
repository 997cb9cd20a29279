// A chat completion by every client, tools, and the errors that a caller sees.
import { ask, azure, client, errorOf, result, sdk } from "./client.mjs";

const whole = await client.chat.completions.create(ask("count to 5"));
const { data, response, request_id } = await client.chat.completions.create(ask("count to 5")).withResponse();
const dated = await azure("2024-10-21").chat.completions.create(ask("count to 5"));

const weather = {
  type: "function",
  function: {
    name: "get_weather",
    parameters: { type: "object", properties: { location: { type: "string" } }, required: ["location"] },
  },
};
const called = await client.chat.completions.create(ask("What is the weather in Paris?", { tools: [weather] }));

const stranger = new sdk.OpenAI({ apiKey: `sk-${"x".repeat(43)}`, baseURL: client.baseURL, maxRetries: 0 });
const models = [];
for await (const model of client.models.list()) models.push(model.id);

result({
  whole: whole.choices[0].message.content,
  model: whole.model,
  usage: whole.usage,
  status: response.status,
  requestId: request_id,
  same: data.choices[0].message.content,
  dated: dated.choices[0].message.content,
  tool: called.choices[0].message.tool_calls?.map((call) => [call.function.name, JSON.parse(call.function.arguments)]),
  finish: called.choices[0].finish_reason,
  unknownKey: await errorOf(stranger.chat.completions.create(ask("hi"))),
  unknownModel: await errorOf(client.chat.completions.create(ask("hi", { model: "no-such-model" }))),
  models,
});
