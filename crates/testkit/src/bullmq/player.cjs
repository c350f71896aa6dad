// Plays a worker and a producer of BullMQ for the tests. Arguments: the package's name, the Redis URL, the queue.
// Orders come as lines of JSON on standard input, and what happens goes out likewise.
const [, , name, url, queueName] = process.argv;
const { Queue, Worker, QueueEvents, FlowProducer, UnrecoverableError } = require(name);
const Redis = require("ioredis");

const say = (line) => process.stdout.write(JSON.stringify(line) + "\n");
const connect = () => {
  const connection = new Redis(url, { maxRetriesPerRequest: null, retryStrategy: () => 50 });
  connection.on("error", () => {});
  return connection;
};
const quiet = (thing) => (thing.on("error", () => {}), thing);

let queue, events, worker, flows;
const theQueue = () => (queue ??= quiet(new Queue(queueName, { connection: connect() })));
const theEvents = () => (events ??= quiet(new QueueEvents(queueName, { connection: connect() })));

// Gates that jobs wait at until they are opened by an order.
const gates = new Map();
const gate = (which) => {
  if (!gates.has(which)) {
    let open;
    const opened = new Promise((resolve) => (open = resolve));
    gates.set(which, { opened, open });
  }
  return gates.get(which);
};

// What a job does is in its payload: progress to tell, a gate to wait at, an error to throw.
async function work(job) {
  const payload = job.data.payload ?? job.data;
  say({ event: "started", id: job.id, name: job.name, data: job.data, attemptsMade: job.attemptsMade });
  for (const progress of payload.progress ?? []) await job.updateProgress(progress);
  if (payload.gate) await gate(payload.gate).opened;
  if (payload.error) throw new Error(payload.error);
  if (payload.unrecoverable) throw new UnrecoverableError(payload.unrecoverable);
  return { echo: payload, by: process.pid };
}

const orders = {
  async work(options) {
    worker = quiet(new Worker(queueName, work, { connection: connect(), ...options }));
    worker.on("completed", (job) => say({ event: "completed", id: job.id }));
    worker.on("failed", (job, error) => say({ event: "failed", id: job?.id, reason: error.message }));
    await worker.waitUntilReady();
    say({ event: "working" });
  },
  async open(which) {
    gate(which).open();
  },
  async add({ name, data, options }) {
    const job = await theQueue().add(name, data, options);
    say({ event: "added", id: job.id });
  },
  // A parent in the queue and a child in another one, or the other way round.
  async flow(tree) {
    flows ??= quiet(new FlowProducer({ connection: connect() }));
    const { job, children } = await flows.add(tree);
    say({ event: "flowed", id: job.id, children: children.map((child) => child.job.id) });
  },
  async outcome(id) {
    await theEvents().waitUntilReady();
    const job = await theQueue().getJob(id);
    const end = await job.waitUntilFinished(theEvents()).then(
      (result) => ({ result }),
      (error) => ({ error: error.message }),
    );
    say({ event: "outcome", id, ...end });
  },
  async look({ id, at }) {
    const there = at ? quiet(new Queue(at, { connection: connect() })) : theQueue();
    const job = await there.getJob(id);
    say({
      event: "looked",
      id,
      state: job ? await job.getState() : null,
      progress: job?.progress,
      attemptsMade: job?.attemptsMade,
      failedReason: job?.failedReason,
      returnvalue: job?.returnvalue,
      priority: job?.priority,
      children: job ? await job.getChildrenValues() : null,
    });
  },
  async count() {
    say({ event: "counted", counts: await theQueue().getJobCounts() });
  },
  async pause() {
    await theQueue().pause();
    say({ event: "paused" });
  },
  async resume() {
    await theQueue().resume();
    say({ event: "resumed" });
  },
  async version() {
    say({ event: "version", version: require(name + "/package.json").version });
  },
};

require("node:readline")
  .createInterface({ input: process.stdin })
  .on("line", (line) => {
    const [order, argument] = Object.entries(JSON.parse(line))[0];
    orders[order](argument).catch((error) => say({ event: "error", order, message: String(error) }));
  })
  // Whoever gave the orders is gone.
  .on("close", () => process.exit(0));
say({ event: "ready" });
