// A worker of the pipelines face as a test double: on the wire it does what the original's worker SDK does, oddities
// included, and nothing more. Written from the contract of the face; Node's standard library is all that it needs.
//
// What its tasks do is not code but a list of operations, handed in with the rest of the specification in the
// environment variable WORKER (see OPERATIONS below). Everything that happens is printed as one JSON line, and the test
// that started it reads those lines; on its standard input it takes `{"release": "<name>"}`, which ends the waits of
// that name, and the end of that input ends the worker, so that none outlives its test.
//
// `node worker.mjs open SECRET TOKEN` prints what a storage token says, or ends with 1.

import { createDecipheriv, createHash } from "node:crypto";
import { once } from "node:events";
import { mkdir, readFile, rm, writeFile } from "node:fs/promises";
import { createServer } from "node:http";
import { tmpdir } from "node:os";
import { dirname, join } from "node:path";
import { createInterface } from "node:readline";

// ---------------------------------------------------------------- what is told

function tell(event, more = {}) {
  process.stdout.write(`${JSON.stringify({ event, at: Date.now(), ...more })}\n`);
}

// ---------------------------------------------------------------- storage tokens

// The key is the secret's bytes over and over, up to 32: no hash, no decoding.
function keyOf(secret) {
  const bytes = Buffer.from(secret, "utf8");
  return Buffer.from(Array.from({ length: 32 }, (_, at) => (bytes.length ? bytes[at % bytes.length] : 0)));
}

function openToken(secret, token) {
  const parts = token.split(":");
  if (parts.length !== 3 || parts.some((part) => part === "")) throw new Error("Invalid storage token format");
  const [iv, tag, text] = parts.map((part) => Buffer.from(part, "base64"));
  const decipher = createDecipheriv("aes-256-gcm", keyOf(secret), iv);
  decipher.setAuthTag(tag);
  const plain = Buffer.concat([decipher.update(text), decipher.final()]).toString("utf8");
  return JSON.parse(plain); // `exp` is not looked at.
}

// ---------------------------------------------------------------- storage

// One entry for each provider that this worker can use; the others throw, as one that the SDK does not know does.
const PROVIDERS = {
  local: ({ credentials }) => {
    const file = (key) => `${credentials.basePath}/${key}`; // The bucket is not a part of it.
    return {
      get: (key) => readFile(file(key)),
      put: async (key, bytes) => {
        await mkdir(dirname(file(key)), { recursive: true });
        await writeFile(file(key), bytes);
      },
    };
  },
};

function storageOf(backend) {
  const provider = PROVIDERS[backend.provider];
  if (!provider) throw new Error(`Unknown storage provider: ${backend.provider}`);
  return provider(backend);
}

// ---------------------------------------------------------------- the handler of a task

class TaskError extends Error {
  constructor(message, code) {
    super(message);
    this.code = code;
  }
}

const released = new Set();
const waiting = new Map(); // name -> functions that end a wait
const meetings = new Map(); // pipeline run -> functions that end a wait for the others

function until(name) {
  if (released.has(name)) return undefined;
  return new Promise((resolve) => waiting.set(name, [...(waiting.get(name) ?? []), resolve]));
}

function release(name) {
  released.add(name);
  for (const resolve of waiting.get(name) ?? []) resolve();
  waiting.delete(name);
}

// The last of `count` tasks of one pipeline run lets all of them go in the same turn of the event loop.
function meet(key, count) {
  const there = meetings.get(key) ?? [];
  meetings.set(key, there);
  return new Promise((resolve) => {
    there.push(resolve);
    if (there.length < count) return;
    meetings.delete(key);
    for (const go of there) go();
  });
}

const pause = (ms) => new Promise((resolve) => setTimeout(resolve, ms));

// What a task can be told to do: `does` is a list of objects with one of these keys each. An operation that returns
// something sets what the handler returns; the last one counts.
const OPERATIONS = {
  output: (value) => ({ output: value }),
  returns: (value) => value,
  nothing: () => undefined,
  runNext: (ids, _, result) => ({ ...result, output: result?.output ?? null, runNext: ids }),
  // Successors by a yes or no in the input: {field, yes, no}.
  route: ({ field, yes, no }, ctx) => ({ output: { [field]: ctx.input[field] }, runNext: ctx.input[field] ? yes : no }),
  echo: (_, ctx) => ({ output: ctx.view() }),
  wait: async (name, ctx, result) => (await until(name === "*" ? ctx.input.wait : name), result),
  meet: async (count, ctx, result) => (await meet(ctx.pipelineRunId, count), result),
  pause: async (ms, _, result) => (await pause(ms), result),
  // Keeps the event loop busy, so that no heartbeat goes out.
  block: (ms, _, result) => {
    for (const end = Date.now() + ms; Date.now() < end; );
    return result;
  },
  // Fails the first `times` attempts, all where there is no number.
  fail: ({ times = Infinity, error = "boom", code }, ctx, result) => {
    if (ctx.attempt > times) return result;
    throw code ? new TaskError(error, code) : new Error(error);
  },
  asset: ({ key, type, value }, ctx, result) => (ctx.addAsset(key, type, value), result),
  read: async (key, ctx) => ({ output: (await ctx.getAsset(key)).toString("base64") }),
  log: (message, ctx, result) => (ctx.log("info", message), result),
  progress: async ({ progress, message }, ctx, result) => (await ctx.progress(progress, message), result),
  hang: () => new Promise(() => {}),
  exit: (code) => process.exit(code),
};

async function handle(task, ctx) {
  let result;
  for (const operation of task.does) {
    const [[name, value]] = Object.entries(operation);
    result = await OPERATIONS[name](value, ctx, result);
  }
  return result;
}

// An object with a key `output` is the two of them, and anything else is the output.
function normalised(result) {
  if (result !== null && typeof result === "object" && "output" in result) {
    return { output: result.output, runNext: result.runNext };
  }
  return { output: result, runNext: undefined };
}

// ---------------------------------------------------------------- one execution

const ASSETS = {
  json: (value) => Buffer.from(JSON.stringify(value, null, 2)),
  text: (value) => Buffer.from(String(value)),
  binary: (value) => Buffer.from(value, "base64"),
};

class Context {
  constructor(worker, dispatch, storage) {
    const { runId, pipelineRunId, attempt, codeVersion, codeHash, previousAttempts = [] } = dispatch;
    Object.assign(this, { worker, storage, runId, pipelineRunId, attempt, codeVersion, codeHash, previousAttempts });
    Object.assign(this, { upstreamRefs: dispatch.upstreamRefs, assets: new Map(), lines: [] });
  }

  async load(inputPath) {
    this.input = JSON.parse(await this.storage.get(inputPath));
    this.upstream = {};
    for (const [id, { outputPath }] of Object.entries(this.upstreamRefs)) {
      this.upstream[id] = JSON.parse(await this.storage.get(outputPath));
    }
  }

  view() {
    const { runId, pipelineRunId, attempt, codeVersion, codeHash, previousAttempts, input, upstream } = this;
    return { runId, pipelineRunId, attempt, codeVersion, codeHash, previousAttempts, input, upstream };
  }

  addAsset(key, type, value) {
    this.assets.set(key, { type, bytes: ASSETS[type](value) });
  }

  // By its bare key, from here or from upstream, where the last one of that name wins.
  async getAsset(key) {
    const local = this.assets.get(key);
    if (local) return local.bytes;
    const all = Object.assign({}, ...Object.values(this.upstreamRefs).map(({ assets }) => assets ?? {}));
    if (!all[key]) throw new Error(`Asset '${key}' not found`);
    return this.storage.get(all[key].path);
  }

  log(level, message, meta = {}) {
    this.lines.push(JSON.stringify({ timestamp: new Date().toISOString(), level, runId: this.runId, message, ...meta }));
  }

  progress(progress, message) {
    return this.worker.report("progress", { runId: this.runId, progress, message });
  }

  async store(output) {
    const text = JSON.stringify(output);
    const folder = `runs/${this.runId}`;
    const assets = {};
    // Of `undefined` there is no text, and writing it fails: a handler that returns nothing cannot succeed.
    await this.storage.put(`${folder}/output.json`, text);
    for (const [key, { type, bytes }] of this.assets) {
      const path = `${folder}/assets/${key}`;
      await this.storage.put(path, bytes);
      assets[key] = { path, size: bytes.length, type };
    }
    await this.storage.put(`${folder}/logs.jsonl`, this.lines.join("\n"));
    const logsPath = `${folder}/logs.jsonl`;
    return { outputPath: `${folder}/output.json`, outputSize: text.length, assets, logsPath };
  }
}

// ---------------------------------------------------------------- the worker

class Worker {
  constructor(spec) {
    this.spec = spec;
    this.tasks = new Map(Object.entries(spec.tasks));
    this.counts = new Map();
    this.sockets = 0;
  }

  url(path) {
    return `${this.spec.orchestratorUrl}/api/${path}`;
  }

  // Nothing of the answer matters, nor whether there is one; nothing is sent twice.
  async report(path, body) {
    try {
      const reply = await fetch(this.url(path), this.json(body));
      tell(path, { body, status: reply.status, answer: await reply.json().catch(() => null) });
    } catch (error) {
      tell("unheard", { path, body, error: String(error) });
    }
  }

  json(body) {
    return { method: "POST", headers: { "Content-Type": "application/json" }, body: JSON.stringify(body) };
  }

  async callBack(runId, body) {
    const reply = await fetch(this.url(`callback/${runId}`), this.json(body));
    tell("callback", { runId, body, status: reply.status, answer: await reply.json().catch(() => null) });
  }

  async listen() {
    // The keep-alive time is Node's own: 5 seconds, announced in every answer.
    const server = createServer((request, response) => this.answer(request, response));
    server.on("connection", (socket) => Object.assign(socket, { number: (this.sockets += 1) }));
    server.listen(this.spec.port ?? 0);
    await once(server, "listening");
    const { port } = server.address();
    const tasks = [...this.tasks].map(([id, task]) => registration(id, task));
    const { serviceId, version = "0.1.0", baseUrl = `http://localhost:${port}` } = this.spec;
    const reply = await fetch(this.url("register"), this.json({ serviceId, version, baseUrl, tasks }));
    if (!reply.ok) throw new Error(`Registration failed: ${reply.status} ${reply.statusText}`);
    tell("registered", { port, status: reply.status, answer: await reply.json() });
  }

  async answer(request, response) {
    const say = (status, body) => {
      response.writeHead(status, { "Content-Type": "application/json" });
      response.end(JSON.stringify(body));
    };
    // As it came: a percent-encoded id is not decoded, and so is no task's.
    const path = new URL(request.url, "http://localhost").pathname;
    if (request.method === "GET" && path === "/health") {
      return say(200, { status: "healthy", service: this.spec.serviceId });
    }
    const id = request.method === "POST" && path.match(/^\/tasks\/([^/]+)$/)?.[1];
    if (!id) return say(404, { error: "Not found" });
    const task = this.tasks.get(id);
    if (!task) return say(404, { error: `Task '${id}' not found` });
    const chunks = [];
    for await (const chunk of request) chunks.push(chunk);
    // Nobody catches what this throws: a body that is not JSON ends the process.
    const body = JSON.parse(Buffer.concat(chunks).toString("utf8"));
    tell("dispatch", { task: id, body, headers: request.headers, socket: request.socket.number });
    const count = (this.counts.get(id) ?? 0) + 1;
    this.counts.set(id, count);
    // The two that the SDK never does, for tests of what a network may do to an answer.
    if (count <= (task.quirks?.refuseTimes ?? 0)) return say(503, { error: "Busy" });
    if (task.quirks?.callBackFirst) await this.execute(id, task, body);
    say(202, { acknowledged: true, runId: body.runId });
    if (!task.quirks?.callBackFirst) await this.execute(id, task, body);
  }

  async execute(id, task, dispatch) {
    const { runId } = dispatch;
    let backend;
    try {
      backend = openToken(this.spec.secretKey, dispatch.storageToken);
    } catch {
      return this.fail(runId, { error: "Failed to decrypt storage token", errorCode: "INVALID_TOKEN" });
    }
    tell("token", { runId, backend });
    let storage;
    try {
      storage = storageOf(backend);
    } catch (error) {
      // Outside of what answers for failures: no callback, no heartbeat.
      return tell("silent", { runId, error: String(error) });
    }
    // The first one after one interval, the last one before the answer to the callback.
    const beats = setInterval(() => this.report("heartbeat", { runId }), task.heartbeatIntervalMs ?? 60_000);
    const folder = join(tmpdir(), "quintet-pipelines-worker", `${process.pid}-${runId}`);
    try {
      await mkdir(folder, { recursive: true });
      const ctx = new Context(this, dispatch, storage);
      await ctx.load(dispatch.inputPath);
      tell("started", { task: id, running: this.running(id, 1), ...ctx.view() });
      const { output, runNext } = normalised(await handle(task, ctx).finally(() => this.running(id, -1)));
      const invalid = (runNext ?? []).filter((next) => !(task.allowedNext ?? []).includes(next));
      if (invalid.length) throw new TaskError(`Invalid next tasks: ${invalid.join(", ")}`, "INVALID_NEXT_TASKS");
      const stored = await ctx.store(output);
      await rm(folder, { recursive: true, force: true });
      const body = { status: "success", ...stored, selectedNext: runNext };
      tell("finished", { task: id, runId });
      await this.callBack(runId, body);
      if (task.quirks?.callBackTwice) await this.callBack(runId, body);
    } catch (error) {
      await rm(folder, { recursive: true, force: true });
      const told = error instanceof TaskError;
      await this.fail(runId, told ? { error: error.message, errorCode: error.code } : { error: String(error) });
    } finally {
      clearInterval(beats);
    }
  }

  async fail(runId, { error, errorCode }) {
    const body = { status: "failed", error, errorCode };
    await this.callBack(runId, body).catch((lost) => tell("unheard", { path: "callback", body, error: String(lost) }));
  }

  // How many of a task are under way, with this one.
  running(id, change) {
    const key = `${id} running`;
    this.counts.set(key, (this.counts.get(key) ?? 0) + change);
    return this.counts.get(key);
  }
}

// The task as it is registered; what the operations are is all the code that it has.
function registration(id, { does, quirks: _, code = JSON.stringify(does), ...options }) {
  return {
    id,
    codeHash: createHash("sha256").update(code).digest("hex").slice(0, 16),
    allowedNext: [],
    timeout: 300,
    retries: 3,
    retryBackoff: "exponential",
    retryDelayMs: 1_000,
    maxRetryDelayMs: 86_400_000,
    heartbeatIntervalMs: 60_000,
    concurrency: 0,
    priority: 100,
    idempotencyTTL: 86_400,
    ...options,
  };
}

// ---------------------------------------------------------------- the program

const [, , command, ...words] = process.argv;
if (command === "open") {
  process.stdout.write(JSON.stringify(openToken(words[0], words[1])));
} else {
  const input = createInterface({ input: process.stdin });
  input.on("line", (line) => release(JSON.parse(line).release));
  input.on("close", () => process.exit(0));
  try {
    await new Worker(JSON.parse(process.env.WORKER)).listen();
  } catch (error) {
    tell("refused", { error: String(error) });
    process.exit(1);
  }
}
