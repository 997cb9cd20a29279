// Streams: chunk by chunk, through the SDK's own accumulating helper, and left before their end.
import { ask, azure, client, result } from "./client.mjs";

async function read(stream) {
  const seen = { text: "", chunks: 0, models: new Set(), finish: [], usage: [] };
  for await (const chunk of stream) {
    seen.chunks += 1;
    seen.models.add(chunk.model);
    if (chunk.usage) seen.usage.push(chunk.usage);
    for (const choice of chunk.choices) {
      seen.text += choice.delta.content ?? "";
      if (choice.finish_reason) seen.finish.push(choice.finish_reason);
    }
  }
  return { ...seen, models: [...seen.models] };
}

const streaming = (fields = {}) => ask("count to 5", { stream: true, ...fields });
const plain = await read(await client.chat.completions.create(streaming()));
const counted = await read(await client.chat.completions.create(streaming({ stream_options: { include_usage: true } })));
const dated = await read(await azure("2024-10-21").chat.completions.create(streaming()));

const helper = client.chat.completions.stream(ask("count to 5"));
const final = await helper.finalChatCompletion();

const left = await client.chat.completions.create(streaming());
let first;
for await (const chunk of left) {
  first = chunk.id;
  break;
}

result({ plain, counted, dated, helper: final.choices[0].message.content, left: typeof first });
