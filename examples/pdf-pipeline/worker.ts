// A worker for Quintet in TypeScript, with nothing but Node's standard library: a PDF is fetched, its text and its tables
// are extracted side by side, both are summed up, and somebody is notified.
//
//     download ─┬─ extract-text ───┬─ summarize ── notify
//               └─ extract-tables ─┘   (only where the input says `extractTables`)
//
// The first part is the tasks, which is what a worker is about. The second part is the protocol, which is the same for
// every worker; docs/workers.md describes it. The types are all erasable, so Node runs this file as it is.

import { createDecipheriv, createHash } from "node:crypto";
import { once } from "node:events";
import { mkdir, readFile, writeFile } from "node:fs/promises";
import { createServer } from "node:http";
import type { AddressInfo } from "node:net";
import type { IncomingMessage, ServerResponse } from "node:http";
import { basename, dirname, join } from "node:path";
import { setTimeout as pause } from "node:timers/promises";
import { fileURLToPath } from "node:url";

// ------------------------------------------------------------------------------------------------ the tasks

interface Input {
  pdfUrl: string;
  extractTables?: boolean;
}
interface Piece {
  page: number;
  x: number;
  y: number;
  text: string;
}
type Table = string[][];
interface Summary {
  title: string;
  pages: number;
  words: number;
  tables: { rows: number; header: string[] }[];
}

const documents = join(dirname(fileURLToPath(import.meta.url)), "documents");

const tasks: Record<string, Task> = {
  download: {
    allowedNext: ["extract-text", "extract-tables"],
    timeout: 60,
    async run({ input, assets, log }: Context<Input>) {
      // A worker in earnest would `fetch(input.pdfUrl)`; here the last part of the URL is a file beside this one.
      const name = basename(new URL(input.pdfUrl).pathname);
      const pdf = await readFile(join(documents, name));
      if (!pdf.subarray(0, 5).equals(Buffer.from("%PDF-"))) throw new TaskError("not a PDF", "NOT_A_PDF", false);
      log(`${name} has ${pdf.length} bytes`);
      assets.add("document.pdf", pdf);
      return {
        output: { name, bytes: pdf.length },
        runNext: input.extractTables ? ["extract-text", "extract-tables"] : ["extract-text"],
      };
    },
  },

  "extract-text": {
    allowedNext: ["summarize"],
    async run({ assets, progress }: Context<Input>) {
      const pieces = piecesOf(await assets.read("document.pdf"));
      await progress(50, "text found");
      const lines = rows(pieces).filter((row) => row.length === 1).map(([piece]) => piece!.text);
      return { output: { pages: Math.max(...pieces.map((piece) => piece.page)), lines } };
    },
  },

  "extract-tables": {
    allowedNext: ["summarize"],
    retries: 1,
    async run({ assets }: Context<Input>) {
      const tables: Table[] = [];
      let inTable = false;
      for (const row of rows(piecesOf(await assets.read("document.pdf")))) {
        // Pieces side by side are the cells of a row; rows that follow each other are a table.
        if (row.length > 1 && !inTable) tables.push([]);
        inTable = row.length > 1;
        if (inTable) tables.at(-1)!.push(row.map((piece) => piece.text));
      }
      return { output: { tables } };
    },
  },

  summarize: {
    allowedNext: ["notify"],
    async run({ upstream }: Context<Input>) {
      const { pages, lines } = upstream["extract-text"] as { pages: number; lines: string[] };
      // Where the tables were not asked for, there is nothing of them upstream.
      const { tables } = (upstream["extract-tables"] ?? { tables: [] }) as { tables: Table[] };
      const output: Summary = {
        title: lines[0] ?? "",
        pages,
        words: lines.join(" ").split(/\s+/).length,
        tables: tables.map((table) => ({ rows: table.length - 1, header: table[0] ?? [] })),
      };
      return { output };
    },
  },

  notify: {
    async run({ upstream, log }: Context<Input>) {
      const { title, pages, words, tables } = upstream["summarize"] as Summary;
      const message = `"${title}": ${pages} pages, ${words} words, ${tables.length} tables`;
      log(`to the reader: ${message}`);
      return { output: { message, tables } };
    },
  },
};

// The texts of a PDF whose streams are not compressed, each with its place: `1 0 0 1 <x> <y> Tm (<text>) Tj`.
function piecesOf(pdf: Buffer): Piece[] {
  const pieces: Piece[] = [];
  let page = 0;
  for (const [, stream] of pdf.toString("latin1").matchAll(/stream\r?\n(.*?)endstream/gs)) {
    page += 1;
    for (const [, x, y, text] of stream!.matchAll(/1 0 0 1 (\S+) (\S+) Tm \(((?:\\.|[^\\)])*)\) Tj/g)) {
      pieces.push({ page, x: Number(x), y: Number(y), text: text!.replace(/\\(.)/g, "$1") });
    }
  }
  return pieces;
}

// Pieces of the same height, from top to bottom, each row from left to right.
function rows(pieces: Piece[]): Piece[][] {
  const byHeight = new Map<string, Piece[]>();
  for (const piece of pieces) {
    const key = `${piece.page}/${piece.y}`;
    byHeight.set(key, [...(byHeight.get(key) ?? []), piece]);
  }
  const sorted = [...byHeight.values()].map((row) => row.sort((a, b) => a.x - b.x));
  return sorted.sort(([a], [b]) => a!.page - b!.page || b!.y - a!.y);
}

// ------------------------------------------------------------------------------------------------ the protocol

interface Task {
  allowedNext?: string[];
  timeout?: number;
  retries?: number;
  run(context: Context<any>): Promise<{ output: unknown; runNext?: string[] }>;
}

interface Context<I> {
  input: I;
  /** What the tasks before this one returned, by their ids. */
  upstream: Record<string, unknown>;
  assets: { add(key: string, bytes: Buffer): void; read(key: string): Promise<Buffer> };
  log(message: string): void;
  progress(percent: number, message: string): Promise<void>;
}

interface Dispatch {
  runId: string;
  inputPath: string;
  storageToken: string;
  upstreamRefs: Record<string, { outputPath: string; assets?: Record<string, { path: string }> }>;
}

interface Storage {
  read(key: string): Promise<Buffer>;
  write(key: string, bytes: string | Buffer): Promise<void>;
}

class TaskError extends Error {
  readonly code: string;
  readonly retryable: boolean;
  constructor(message: string, code: string, retryable: boolean) {
    super(message);
    this.code = code;
    this.retryable = retryable;
  }
}

const server = process.env["PIPEWEAVE_ORCHESTRATOR_URL"] ?? "http://127.0.0.1:8080";
const secret = process.env["PIPEWEAVE_SECRET_KEY"] ?? "";
const service = "pdf-processor";
const heartbeatIntervalMs = 10_000;

// The key is the secret's bytes over and over; the token is iv, tag and text, each in base64.
function storageOf(token: string): Storage {
  const key = Buffer.alloc(32, secret === "" ? 0 : Buffer.from(secret));
  const [iv, tag, text] = token.split(":").map((part) => Buffer.from(part, "base64"));
  const decipher = createDecipheriv("aes-256-gcm", key, iv!, { authTagLength: 16 });
  decipher.setAuthTag(tag!);
  const backend = JSON.parse(decipher.update(text!, undefined, "utf8") + decipher.final("utf8"));
  if (backend.provider !== "local") throw new TaskError(`no ${backend.provider} here`, "NO_SUCH_STORAGE", false);
  const file = (name: string) => join(backend.credentials.basePath, name);
  return {
    read: (name) => readFile(file(name)),
    async write(name, bytes) {
      await mkdir(dirname(file(name)), { recursive: true });
      await writeFile(file(name), bytes);
    },
  };
}

// The server counts the first answer of an attempt, so it does no harm to give it until it was heard.
async function tell(path: string, body: object, times = 1): Promise<unknown> {
  const headers = { "content-type": "application/json" };
  const request = { method: "POST", headers, body: JSON.stringify(body) };
  for (let time = 1; ; time += 1) {
    const reply = await fetch(`${server}/api/${path}`, request).catch((error: Error) => error);
    if (reply instanceof Response && reply.ok) return reply.json();
    const refused = reply instanceof Response && reply.status < 500;
    if (refused || time >= times) {
      const said = reply instanceof Response ? `${reply.status} ${await reply.text()}` : reply.message;
      throw new Error(`${path}: ${said}`);
    }
    await pause(Math.min(200 * 2 ** time, 10_000));
  }
}

async function execute(task: Task, dispatch: Dispatch): Promise<object> {
  const storage = storageOf(dispatch.storageToken);
  const object = async (path: string) => JSON.parse((await storage.read(path)).toString());
  const upstream: Record<string, unknown> = {};
  for (const [id, ref] of Object.entries(dispatch.upstreamRefs)) upstream[id] = await object(ref.outputPath);
  const theirs = Object.assign({}, ...Object.values(dispatch.upstreamRefs).map((ref) => ref.assets));
  const ours: Record<string, Buffer> = {};
  const lines: string[] = [];
  const { output, runNext } = await task.run({
    input: await object(dispatch.inputPath),
    upstream,
    assets: {
      add: (key, bytes) => void (ours[key] = bytes),
      read: async (key) => ours[key] ?? storage.read(theirs[key].path),
    },
    log(message) {
      lines.push(JSON.stringify({ timestamp: new Date().toISOString(), level: "info", runId: dispatch.runId, message }));
      console.log(message);
    },
    progress: async (progress, message) => void (await tell("progress", { runId: dispatch.runId, progress, message })),
  });
  const folder = `runs/${dispatch.runId}`;
  const text = JSON.stringify(output);
  const assets: Record<string, object> = {};
  for (const [key, bytes] of Object.entries(ours)) {
    assets[key] = { path: `${folder}/assets/${key}`, size: bytes.length, type: "binary" };
    await storage.write(`${folder}/assets/${key}`, bytes);
  }
  await storage.write(`${folder}/output.json`, text);
  await storage.write(`${folder}/logs.jsonl`, lines.join("\n"));
  const paths = { outputPath: `${folder}/output.json`, logsPath: `${folder}/logs.jsonl` };
  return { status: "success", ...paths, outputSize: text.length, assets, selectedNext: runNext };
}

function failure(error: unknown): object {
  const told = error instanceof TaskError ? { errorCode: error.code, retryable: error.retryable } : {};
  return { status: "failed", error: error instanceof Error ? error.message : String(error), ...told };
}

async function answer(request: IncomingMessage, response: ServerResponse): Promise<void> {
  const say = (status: number, body: object) => {
    response.writeHead(status, { "content-type": "application/json" }).end(JSON.stringify(body));
  };
  if (request.url === "/health") return say(200, { status: "healthy", service });
  const task = request.method === "POST" && tasks[request.url!.replace("/tasks/", "")];
  if (!task) return say(404, { error: "Not found" });
  const chunks: Buffer[] = [];
  for await (const chunk of request) chunks.push(chunk);
  const dispatch: Dispatch = JSON.parse(Buffer.concat(chunks).toString());
  // First the receipt, then the work: the server waits for the one for a few seconds, and for the other as long as
  // there are heartbeats.
  say(202, { acknowledged: true, runId: dispatch.runId });
  const { runId } = dispatch;
  const beats = setInterval(() => tell("heartbeat", { runId }).catch(() => {}), heartbeatIntervalMs);
  const result = await execute(task, dispatch).catch(failure);
  await tell(`callback/${runId}`, result, 8).finally(() => clearInterval(beats));
}

const listener = createServer((request, response) => {
  answer(request, response).catch((error) => {
    console.error(String(error));
    if (!response.headersSent) response.writeHead(400).end();
  });
});
listener.listen(Number(process.env["WORKER_PORT"] ?? 0), "127.0.0.1");
await once(listener, "listening");
const { port } = listener.address() as AddressInfo;
await tell("register", {
  serviceId: service,
  version: "1.0.0",
  baseUrl: `http://127.0.0.1:${port}`,
  tasks: Object.entries(tasks).map(([id, { run, ...options }]) => {
    const codeHash = createHash("sha256").update(run.toString()).digest("hex").slice(0, 16);
    return { id, codeHash, heartbeatIntervalMs, ...options };
  }),
});
console.log(`registered ${Object.keys(tasks).join(", ")} with ${server}`);
