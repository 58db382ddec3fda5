// Other people's clients for Node, unmodified, one case per name: prints what came of each as one JSON object.
//
//   STENOPOOL_SERVER, STENOPOOL_KEY   where to ask, and as whom
//   node others.mjs talk.wav

import fs from "node:fs";
import { createGroq } from "@ai-sdk/groq";
import { createOpenAI } from "@ai-sdk/openai";
import { experimental_generateSpeech as generateSpeech, experimental_transcribe as transcribe } from "ai";
import Groq from "groq-sdk";

const path = process.argv[2];
const server = process.env.STENOPOOL_SERVER;
const apiKey = process.env.STENOPOOL_KEY;
const audio = fs.readFileSync(path);
const model = "oracle";
const sdk = new Groq({ baseURL: server, apiKey, maxRetries: 0 });
const groq = createGroq({ baseURL: `${server}/openai/v1`, apiKey });
const openai = createOpenAI({ baseURL: `${server}/v1`, apiKey });
const once = { maxRetries: 0 };

function shown({ text, segments, language, durationInSeconds }) {
  return { text, segments: segments.map((one) => one.text.trim()).join(" "), language, seconds: durationInSeconds };
}

const cases = {
  groqSdk: () => sdk.audio.transcriptions.create({ file: fs.createReadStream(path), model }),
  groqSdkTranslates: () => sdk.audio.translations.create({ file: fs.createReadStream(path), model }),
  groqSdkSpeaks: async () => {
    const spoken = await sdk.audio.speech.create({ model, voice: "nova", input: "hello there", response_format: "wav" });
    return Buffer.from(await spoken.arrayBuffer()).toString("latin1", 0, 4);
  },
  aiGroq: async () => shown(await transcribe({ ...once, model: groq.transcription(model), audio })),
  aiGroqVerbose: async () => {
    const providerOptions = { groq: { responseFormat: "verbose_json", timestampGranularities: ["segment"], language: "en" } };
    return shown(await transcribe({ ...once, model: groq.transcription(model), audio, providerOptions }));
  },
  aiOpenAI: async () => shown(await transcribe({ ...once, model: openai.transcription(model), audio })),
  aiOpenAIWords: async () => {
    const providerOptions = { openai: { timestampGranularities: ["word"] } };
    return shown(await transcribe({ ...once, model: openai.transcription("whisper-1"), audio, providerOptions }));
  },
  aiOpenAISpeaks: async () => {
    const spoken = await generateSpeech({ ...once, model: openai.speech(model), text: "hello there", voice: "nova" });
    return { type: spoken.audio.mediaType, bytes: spoken.audio.uint8Array.length };
  },
};

const results = {};
for (const [name, run] of Object.entries(cases)) results[name] = await run();
process.stdout.write(JSON.stringify(results));
