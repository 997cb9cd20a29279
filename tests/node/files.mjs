// Files: uploaded, retrieved, listed, read back, deleted.
import { client, errorOf, result, sdk } from "./client.mjs";

const lines = Array.from({ length: 1000 }, (_, number) => JSON.stringify({ messages: [], number, text: "é€😀" }));
const content = `${lines.join("\n")}\n`;
const upload = await sdk.toFile(Buffer.from(content, "utf8"), "träining set.jsonl");

const created = await client.files.create({ file: upload, purpose: "fine-tune" });
const retrieved = await client.files.retrieve(created.id);
const listed = [];
for await (const file of client.files.list()) listed.push(file.id);
const answer = await client.files.content(created.id);
const read = await answer.text();
const deleted = await client.files.delete(created.id);

result({
  created: { id: created.id, bytes: created.bytes, filename: created.filename, purpose: created.purpose },
  retrieved: { id: retrieved.id, filename: retrieved.filename },
  listed: listed.includes(created.id),
  same: read === content,
  size: Buffer.byteLength(content),
  deleted: { id: deleted.id, deleted: deleted.deleted },
  gone: await errorOf(client.files.retrieve(created.id)),
  unknown: await errorOf(client.files.retrieve("file-of-nobody")),
});
