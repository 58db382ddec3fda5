// Does what a user of the SDK does, one case per name, and prints what came of each as one JSON object.
//
//   STENOPOOL_URL, STENOPOOL_KEY   where to ask, and as whom
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
  badKeyUpload: () => failure(stranger.audio.transcriptions.create({ file: fs.createReadStream(path), model })),
  badModel: () => failure(hear({ model: "nobody/nothing" })),
  badFile: () => failure(hear({ file: named(["this is no sound"]) })),
  tooLarge: () => failure(hear({ file: named([new Uint8Array(27_000_000)]) })),
};

const results = {};
for (const [name, run] of Object.entries(cases)) results[name] = await run();
process.stdout.write(JSON.stringify(results));
