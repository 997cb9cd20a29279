// Stands before the mock and answers streams as Azure does: because the request's body asks for one.
//
// The mock streams only when the Accept header says so, and only what its specification describes as a stream; the
// SDKs, like Azure, go by `stream: true`. Nothing else is changed on the way. Node.js alone, no packages.
// usage: node front.mjs PORT MOCK-PORT
import http from "node:http";

const [port, mock] = process.argv.slice(2).map(Number);
const agent = new http.Agent({ keepAlive: true });
const STREAMED = { accept: "text/event-stream", "accept-encoding": "identity", "x-steady-stream-interval-ms": "1" };

function asksForStream(request, body) {
  if (new URL(request.url, "http://mock").searchParams.get("stream") === "true") return true;
  const type = request.headers["content-type"] ?? "";
  if (type.startsWith("multipart/")) return /name="stream"\r\n(?:[^\r\n]+\r\n)*\r\ntrue\r\n/.test(body.toString("latin1"));
  if (!type.startsWith("application/json")) return false;
  try {
    return JSON.parse(body.toString("utf8"))?.stream === true;
  } catch {
    return false;
  }
}

// An operation that the specification only describes as JSON: its answer becomes the stream's one event.
function asOneEvent(answer, response) {
  const parts = [];
  answer.on("data", (part) => parts.push(part));
  answer.on("end", () => {
    const body = Buffer.concat(parts).toString("utf8");
    response.writeHead(200, { "content-type": "text/event-stream" });
    response.end(`data: ${JSON.stringify(JSON.parse(body))}\n\ndata: [DONE]\n\n`);
  });
}

function forward(request, response, body) {
  const streamed = asksForStream(request, body);
  const headers = { ...request.headers };
  delete headers["transfer-encoding"];
  delete headers.connection;
  if (body.length || headers["content-length"]) headers["content-length"] = body.length;
  if (streamed) Object.assign(headers, STREAMED);
  const options = { host: "127.0.0.1", port: mock, method: request.method, path: request.url, headers, agent };
  const asked = http.request(options, (answer) => {
    const json = (answer.headers["content-type"] ?? "").startsWith("application/json");
    if (streamed && json && answer.statusCode === 200) return asOneEvent(answer, response);
    response.writeHead(answer.statusCode, answer.headers);
    answer.pipe(response);
  });
  asked.on("error", () => response.destroy());
  response.on("close", () => asked.destroy());
  asked.end(body);
}

http
  .createServer((request, response) => {
    const parts = [];
    request.on("data", (part) => parts.push(part));
    request.on("end", () => forward(request, response, Buffer.concat(parts)));
  })
  .listen(port, "127.0.0.1");
