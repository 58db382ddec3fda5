// Try it here: a voice says a sentence, a recording is heard. One synchronous request of the API each.

import { ask, clearRefusal, refuse } from "./api.js";

const form = document.getElementById("try");

async function speak(place) {
  const answer = await ask("/audio/speech", {
    method: "POST",
    json: { model: form.dataset.model, voice: document.getElementById("voice").value, input: document.getElementById("input").value },
  });
  const sound = document.createElement("audio");
  sound.controls = true;
  sound.src = URL.createObjectURL(await answer.blob());
  place.replaceChildren(sound, costs(answer));
  sound.play().catch(() => {});
}

async function hear(place) {
  const body = new FormData();
  body.append("model", form.dataset.model);
  body.append("file", document.getElementById("file").files[0]);
  const answer = await ask(form.dataset.path.replace("/v1", ""), { method: "POST", body });
  const text = document.createElement("blockquote");
  text.textContent = (await answer.json()).text || "Nothing was said in it.";
  place.replaceChildren(text, costs(answer));
}

function costs(answer) {
  const told = document.createElement("p");
  told.className = "hint";
  const cost = answer.headers.get("x-perf-cost-usd");
  told.textContent = `By ${answer.headers.get("x-perf-model-used")}${cost === null ? "" : `, for $${cost}`}, in ${answer.headers.get("x-perf-latency-ms")} ms.`;
  return told;
}

form?.addEventListener("submit", async (event) => {
  event.preventDefault();
  const place = document.getElementById("tried"), button = form.querySelector("button");
  clearRefusal();
  place.textContent = "Working …";
  button.disabled = true;
  try {
    await (form.dataset.task === "speech" ? speak(place) : hear(place));
  } catch (error) {
    place.textContent = "";
    refuse(error.message);
  } finally {
    button.disabled = false;
  }
});
