// A client of the tasks face as a test double: it makes the requests that the original's client library and its dashboard
// make, with the same headers, and reads the same fields of what comes back. Written from the contract of the face; Node's
// standard library is all that it needs.
//
// `node sdk.mjs BASE OPERATION ARGUMENTS` with the arguments as a JSON list prints `{"value": ...}` or `{"error": "..."}`
// as one line; `follow` prints a line for each message before that.

import { request } from "node:http";

const [base, operation, given = "[]"] = process.argv.slice(2);
setTimeout(() => process.exit(3), 60_000).unref(); // None outlives its test.
const pause = (ms) => new Promise((resolve) => setTimeout(resolve, ms));
const tell = (line) => process.stdout.write(`${JSON.stringify(line)}\n`);

// ---------------------------------------------------------------- what the library does

// Every request has the JSON content type, those without a body too, and the key that the server need not know. Of an
// error only `message` is looked at.
async function library(path, init = {}) {
  const response = await fetch(base + path, {
    ...init,
    headers: { "Content-Type": "application/json", Authorization: "Bearer a-key-of-the-application" },
  });
  if (response.ok) return response.json();
  const body = await response.json().catch(() => ({}));
  throw new Error(body.message || `HTTP ${response.status}`);
}

async function wait(id, every = 1000, limit = 300000) {
  for (const begun = Date.now(); Date.now() - begun < limit; await pause(every)) {
    const { taskId, status, result, error, progress } = await library(`/api/tasks/${id}`);
    if (status === "completed" || status === "failed") return { taskId, status, result, error, progress };
  }
  throw new Error(`Task ${id} timed out after ${limit}ms`);
}

const LIBRARY = {
  submit: (task, payload, options) =>
    library("/api/tasks", { method: "POST", body: JSON.stringify({ task, payload, ...options }) }),
  status: (id) => library(`/api/tasks/${id}`),
  wait,
  cancel: (id) => library(`/api/tasks/${id}`, { method: "DELETE" }),
  types: () => library("/api/tasks/types"),
  health: () => library("/health"),
};

// ---------------------------------------------------------------- what the dashboard does

// Bare requests; of an error only the status counts.
async function bare(path, init) {
  const response = await fetch(base + path, init);
  if (!response.ok) throw new Error(`HTTP ${response.status}: ${response.statusText}`);
  return response.json();
}

// Times become dates, and one that cannot is an error here.
function date(text) {
  if (text === undefined) return undefined;
  const read = new Date(text);
  if (Number.isNaN(read.getTime())) throw new Error(`not a time: ${text}`);
  return read.toISOString();
}

function job({ id, type, status, progress, queue, createdAt, startedAt, completedAt }) {
  return {
    id, type, status, progress, queue,
    createdAt: date(createdAt), startedAt: date(startedAt), completedAt: date(completedAt),
  };
}

async function detail(id) {
  const task = await bare(`/api/tasks/${id}`);
  const { result, error, steps, stepStatus, totalDuration } = task;
  return { ...job(task), result, error, steps, stepStatus, totalDuration };
}

// As a browser's EventSource with nothing but `onmessage`: a message with a name is never seen.
function follow(id) {
  return new Promise((resolve, reject) => {
    const headers = { accept: "text/event-stream", "cache-control": "no-cache" };
    const asked = request(`${base}/api/tasks/stream?taskId=${id}`, { headers }, (response) => {
      const kind = response.headers["content-type"] ?? "";
      if (response.statusCode !== 200 || !kind.startsWith("text/event-stream")) {
        asked.destroy();
        reject(new Error(`HTTP ${response.statusCode}, ${kind}`));
        return;
      }
      let text = "";
      response.setEncoding("utf8");
      response.on("data", (piece) => {
        text += piece;
        for (let end = text.indexOf("\n\n"); end >= 0; end = text.indexOf("\n\n")) {
          const lines = text.slice(0, end).split("\n");
          text = text.slice(end + 2);
          const field = (name) =>
            lines.filter((line) => line.startsWith(`${name}:`)).map((line) => line.slice(name.length + 1).trimStart());
          if (field("event").length > 0 || field("data").length === 0) continue;
          const message = JSON.parse(field("data").join("\n"));
          tell({ message });
          if (message.type !== "pipeline:complete") continue;
          asked.destroy();
          resolve("followed");
          return;
        }
      });
      response.on("end", () => resolve("ended"));
    });
    asked.on("error", reject);
    asked.end();
  });
}

const DASHBOARD = {
  jobs: async (query) => {
    const found = await bare(`/api/tasks?${new URLSearchParams(query)}`);
    return (Array.isArray(found) ? found : found.tasks).map(job);
  },
  detail,
  follow,
  retry: async (id) => (await bare(`/api/tasks/${id}/retry`, { method: "POST" })).taskId,
  cancelTask: async (id) => (await bare(`/api/tasks/${id}`, { method: "DELETE" }), true),
};

// ---------------------------------------------------------------- one operation

const OPERATIONS = { ...LIBRARY, ...DASHBOARD };
try {
  tell({ value: (await OPERATIONS[operation](...JSON.parse(given))) ?? null });
} catch (error) {
  tell({ error: error.message });
}
