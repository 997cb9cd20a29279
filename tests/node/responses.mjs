// Responses: created, streamed, carried on, retrieved, listed, deleted.
import { client, errorOf, result } from "./client.mjs";

const model = "gpt-4o";
const created = await client.responses.create({ model, input: "count to 5", store: true });

const events = [];
let text = "";
let final;
for await (const event of await client.responses.create({ model, input: "count to 5", stream: true })) {
  events.push(event.type);
  if (event.type === "response.output_text.delta") text += event.delta;
  if (event.type === "response.completed") final = event.response;
}

const next = await client.responses.create({ model, input: "and again", previous_response_id: created.id });
const retrieved = await client.responses.retrieve(created.id);
const items = [];
for await (const item of client.responses.inputItems.list(created.id)) items.push(item.type);
await client.responses.delete(created.id);

result({
  created: { id: created.id, text: created.output_text, model: created.model, status: created.status },
  usage: created.usage,
  stream: { events, text, final: final?.output_text ?? final?.output?.[0]?.content?.[0]?.text, id: final?.id },
  next: { previous: next.previous_response_id, text: next.output_text },
  retrieved: { id: retrieved.id, text: retrieved.output_text },
  items,
  deleted: await errorOf(client.responses.retrieve(created.id)),
  unknown: await errorOf(client.responses.retrieve("resp_of_nobody")),
});
