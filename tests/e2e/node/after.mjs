// A program of before the shutdown: every documented call by the unmodified SDK, one case per name, printed as one JSON object.
//
//   STENOPOOL_URL, STENOPOOL_KEY   where to ask, and as whom
//   node after.mjs talk.wav

import { File } from "node:buffer";
import fs from "node:fs";
import OpenAI from "openai";

const bytes = fs.readFileSync(process.argv[2]);
const client = new OpenAI({ baseURL: process.env.STENOPOOL_URL, apiKey: process.env.STENOPOOL_KEY, maxRetries: 0 });
const file = () => new File([bytes], "talk.wav");
const hear = (more) => client.audio.transcriptions.create({ file: file(), ...more });
const translate = (more) => client.audio.translations.create({ file: file(), model: "whisper-1", ...more });

async function heard(asked) {
  const { data, response } = await asked.withResponse();
  return { text: data.text ?? data, words: data.words, segments: data.segments, used: response.headers.get("x-perf-model-used") };
}

async function events(stream) {
  const seen = [];
  for await (const event of stream) seen.push(event);
  return seen;
}

async function spoken(model, voice, response_format) {
  const said = await client.audio.speech.create({ model, voice, input: "Good morning.", response_format, speed: 1.2 });
  return { bytes: (await said.arrayBuffer()).byteLength, used: said.headers.get("x-perf-model-used") };
}

async function failure(asked) {
  try {
    await asked;
    return null;
  } catch (error) {
    return { class: error.constructor.name, code: error.code, param: error.param };
  }
}

const results = { models: {}, speech: {}, translations: {} };
for (const model of ["whisper-1", "gpt-4o-transcribe", "gpt-4o-mini-transcribe", "gpt-4o-transcribe-diarize", "gpt-transcribe"]) {
  results.models[model] = {
    json: await heard(hear({ model, language: "en", prompt: "A talk.", temperature: 0.2, chunking_strategy: "auto" })),
    text: await heard(hear({ model, response_format: "text" })),
    stream: await events(await hear({ model, stream: true })),
  };
}
const granular = { timestamp_granularities: ["word", "segment"] };
results.verbose = await heard(hear({ model: "whisper-1", response_format: "verbose_json", ...granular }));
results.readStream = await heard(
  client.audio.transcriptions.create({ file: fs.createReadStream(process.argv[2]), model: "whisper-1" }),
);
for (const response_format of ["srt", "vtt"]) {
  results[response_format] = await heard(hear({ model: "whisper-1", response_format }));
}
for (const response_format of ["json", "srt"]) {
  results.translations[response_format] = await heard(translate({ response_format }));
}
for (const [model, voice] of [["tts-1", "nova"], ["tts-1-hd", "cedar"], ["gpt-4o-mini-tts", { id: "marin" }]]) {
  for (const format of ["mp3", "opus", "aac", "flac", "wav", "pcm"]) results.speech[`${model} ${format}`] = await spoken(model, voice, format);
}
results.diarized = await failure(hear({ model: "gpt-4o-transcribe-diarize", response_format: "diarized_json" }));
process.stdout.write(JSON.stringify(results));
