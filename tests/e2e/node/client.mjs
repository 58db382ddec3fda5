// Does what a user of the SDK does, one case per name, and prints what came of each as one JSON object.
//
//   STENOPOOL_URL, STENOPOOL_KEY   where to ask, and as whom
//   STENOPOOL_LINES                of the batch, 6
//   node client.mjs talk.wav

import { File } from "node:buffer";
import fs from "node:fs";
import OpenAI, { toFile } from "openai";

const path = process.argv[2];
const client = new OpenAI({ baseURL: process.env.STENOPOOL_URL, apiKey: process.env.STENOPOOL_KEY, maxRetries: 0 });
const stranger = new OpenAI({ baseURL: process.env.STENOPOOL_URL, apiKey: "sk-nobody", maxRetries: 0 });
const model = "oracle";
const bytes = fs.readFileSync(path);
const named = (parts) => new File(parts, "talk.wav"); // version 6 drops a Blob without a name
const hear = (more) => client.audio.transcriptions.create({ file: named([bytes]), model, ...more });

async function failure(asked) {
  try {
    await asked;
    return { class: null };
  } catch (error) {
    const { status, code, type, requestID } = error;
    return { class: error.constructor.name, status, code, type, requestID };
  }
}

async function events(stream) {
  const seen = [];
  for await (const event of stream) seen.push(event);
  return seen;
}

const cases = {
  file: () => hear({}),
  blob: async () => client.audio.transcriptions.create({ model, file: await toFile(new Blob([bytes])) }),
  readStream: () => client.audio.transcriptions.create({ file: fs.createReadStream(path), model }),
  toFile: async () => client.audio.transcriptions.create({ model, file: await toFile(bytes, "talk.wav") }),
  namelessFile: async () => client.audio.transcriptions.create({ model, file: await toFile(bytes) }),
  verbose: () => hear({ response_format: "verbose_json", timestamp_granularities: ["word", "segment"] }),
  objects: () => hear({ chunking_strategy: { type: "server_vad", threshold: 0.5 }, include: ["logprobs"] }),
  text: () => hear({ response_format: "text" }),
  srt: () => hear({ response_format: "srt" }),
  vtt: () => hear({ response_format: "vtt" }),
  slow: () => hear({ prompt: "oracle: latency=2" }),
  slowFailure: () => failure(hear({ prompt: "oracle: latency=2 fail=99" })),
  stream: async () => events(await hear({ stream: true })),
  streamFromFile: async () =>
    events(await client.audio.transcriptions.create({ file: fs.createReadStream(path), model, stream: true })),
  brokenStream: async () => failure(events(await hear({ stream: true, prompt: process.env.STENOPOOL_BREAK }))),
  translation: () => client.audio.translations.create({ file: named([bytes]), model }),
  speech: async () => {
    const spoken = await client.audio.speech.create({ model, voice: "alloy", input: "hello there" });
    const sound = Buffer.from(await spoken.arrayBuffer());
    return { type: spoken.headers.get("content-type"), bytes: sound.length, start: sound.toString("hex", 0, 3) };
  },
  speechStream: async () => {
    const spoken = await client.audio.speech.create({ model, voice: { id: "nova" }, input: "hello there", response_format: "pcm" });
    let size = 0;
    for await (const block of spoken.body) size += block.length;
    return size;
  },
  speechEvents: async () => {
    const asked = { model, voice: "nova", input: "hello there", stream_format: "sse", response_format: "pcm" };
    const text = await (await client.audio.speech.create(asked)).text();
    return text.trim().split("\n\n").map((block) => JSON.parse(block.replace("data: ", "")));
  },
  raw: async () => {
    const asked = client.audio.transcriptions.create({ file: named([bytes]), model });
    const { data, response, request_id } = await asked.withResponse();
    return { status: response.status, text: data.text, requestId: request_id, modelUsed: response.headers.get("x-perf-model-used") };
  },
  model: async () => {
    const { id, object } = await client.models.retrieve("whisper-1");
    return { id, object };
  },
  slashModel: () => failure(client.models.retrieve("openai/whisper-large-v3")),
  models: async () => (await client.models.list()).data.map((found) => found.id),
  badKey: () => failure(stranger.models.list()),
  // Of a stranger's body at most 64 KiB are waited for: what is longer may break off before its answer is read.
  badKeyUpload: () => failure(stranger.audio.transcriptions.create({ file: fs.createReadStream(path, { end: 40_000 }), model })),
  badModel: () => failure(hear({ model: "nobody/nothing" })),
  badFile: () => failure(hear({ file: named(["this is no sound"]) })),
  tooLarge: () => failure(hear({ file: named([new Uint8Array(27_000_000)]) })),
};

// An upload in parts of which one breaks off, a batch over its file in two dialects, polled, downloaded, matched by custom_id.
async function archive() {
  if (!process.env.STENOPOOL_WORKERS) return null;
  let broken = 0;
  const fetchOnce = (url, init) => {
    if (String(url).endsWith("/parts") && broken++ === 1) return Promise.reject(new TypeError("fetch failed"));
    return fetch(url, init);
  };
  const patient = new OpenAI({ baseURL: process.env.STENOPOOL_URL, apiKey: process.env.STENOPOOL_KEY, maxRetries: 2, fetch: fetchOnce });
  const upload = await patient.uploads.create({ bytes: bytes.length, filename: "talk.wav", mime_type: "audio/wav", purpose: "user_data" });
  const size = Math.ceil(bytes.length / 3);
  const parts = [];
  for (let at = 0; at < bytes.length; at += size) {
    const data = new File([bytes.subarray(at, at + size)], "part");
    parts.push((await patient.uploads.parts.create(upload.id, { data })).id);
  }
  const { file } = await patient.uploads.complete(upload.id, { part_ids: parts });
  const where = (n) => (n % 2 ? { file_id: file.id } : { upload_id: upload.id });
  const line = (n) => ({ custom_id: `r-${n}`, method: "POST", url: "/v1/audio/transcriptions", body: { model, ...where(n) } });
  const lines = Array.from({ length: Number(process.env.STENOPOOL_LINES ?? 6) }, (_, n) => JSON.stringify(line(n))).join("\n");
  const input = await client.files.create({ file: new File([lines], "in.jsonl"), purpose: "batch" });
  let batch = await client.batches.create({ input_file_id: input.id, endpoint: "/v1/audio/transcriptions", completion_window: "24h" });
  while (!["completed", "failed", "expired", "cancelled"].includes(batch.status)) {
    await new Promise((resolve) => setTimeout(resolve, 300));
    batch = await client.batches.retrieve(batch.id);
  }
  const told = (await (await client.files.content(batch.output_file_id)).text()).trim().split("\n").map((one) => JSON.parse(one));
  const texts = Object.fromEntries(told.map((one) => [one.custom_id, one.response.body.text]));
  return { status: batch.status, counts: batch.request_counts, broken: broken - 3, texts };
}
cases.archive = archive;

const results = {};
for (const [name, run] of Object.entries(cases)) results[name] = await run();
process.stdout.write(JSON.stringify(results));
