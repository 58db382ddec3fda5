// New: files in parts that survive a reload, an address, the microphone, and what it will cost before anything is sent.

import { ask, askJson, refuse, clearRefusal, root, say } from "./api.js";

const PART = 8 * 1024 * 1024;
const KEPT = "stenopool.uploads"; // unfinished uploads by their id: what the file is called, and which parts are there
const MEDIA = /\.(3gp|aac|ac3|aif[cf]?|amr|ape|asf|au|avi|caf|dts|flac|flv|m2ts|m4[abv]|mka|mkv|mov|mp[234]|mpe?g|mpga|ogg|oga|ogv|opus|ra|rm|spx|ts|tta|voc|w64|wav|weba|webm|wma|wmv|wv)$/i;
const LONGEST_PAUSE = 15000; // ms between two tries of a part

const byId = (id) => document.getElementById(id);
const form = byId("new");
const items = [];

const kept = () => JSON.parse(localStorage.getItem(KEPT) ?? "{}");
const keep = (id, facts) => {
  const all = kept();
  if (facts) all[id] = facts;
  else delete all[id];
  localStorage.setItem(KEPT, JSON.stringify(all));
};

function sizeText(bytes) {
  const power = bytes ? Math.min(3, Math.floor(Math.log10(bytes) / 3)) : 0;
  return `${(bytes / 1000 ** power).toPrecision(3)} ${["bytes", "kB", "MB", "GB"][power]}`;
}

function clock(seconds) {
  const whole = Math.round(seconds);
  const pad = (number) => String(number).padStart(2, "0");
  const [hours, minutes] = [Math.floor(whole / 3600), Math.floor(whole / 60) % 60];
  return hours ? `${hours}:${pad(minutes)}:${pad(whole % 60)}` : `${minutes}:${pad(whole % 60)}`;
}

function options() {
  const given = { model: byId("model").value, task: byId("task").value };
  for (const name of ["language", "format"]) {
    const value = byId(name).value.trim();
    if (value) given[byId(name).name] = value;
  }
  return given;
}

// --- one file -----------------------------------------------------------------------------------------------------------------

class Item {
  constructor(file) {
    this.file = file;
    this.duration = null;
    this.paused = false;
    this.going = null;
    this.row = document.createElement("li");
    this.title = document.createElement("strong");
    this.title.textContent = file.name;
    this.told = document.createElement("span");
    this.told.className = "dim";
    this.bar = document.createElement("progress");
    this.bar.max = file.size || 1;
    this.bar.value = 0;
    this.bar.setAttribute("aria-label", `Upload of ${file.name}`);
    this.pauseButton = this.button("Pause", () => (this.paused ? this.resume() : this.pause()));
    this.pauseButton.hidden = true;
    this.removeButton = this.button("Remove", () => this.remove());
    const head = document.createElement("div");
    head.className = "row";
    head.append(this.title, this.told, this.pauseButton, this.removeButton);
    this.row.append(head, this.bar);
    byId("list").append(this.row);
    this.tell(sizeText(file.size));
    this.measure();
  }

  button(text, act) {
    const made = document.createElement("button");
    made.type = "button";
    made.className = "quiet";
    made.textContent = text;
    made.setAttribute("aria-label", `${text} ${this.file.name}`);
    made.addEventListener("click", act);
    return made;
  }

  tell(text) {
    this.told.textContent = text;
  }

  // Only what the browser can tell without decoding; the server measures the rest.
  measure() {
    const probe = document.createElement("video");
    const address = URL.createObjectURL(this.file);
    const done = () => {
      if (Number.isFinite(probe.duration) && probe.duration > 0) {
        this.duration = probe.duration;
        this.tell(`${sizeText(this.file.size)}, ${clock(probe.duration)}`);
      }
      URL.revokeObjectURL(address);
      estimate();
    };
    probe.preload = "metadata";
    probe.onloadedmetadata = done;
    probe.onerror = done;
    probe.src = address;
  }

  remove() {
    this.paused = true;
    this.abort?.abort();
    if (this.uploadId) {
      keep(this.uploadId, null);
      ask(`/uploads/${this.uploadId}/cancel`, { method: "POST" }).catch(() => {});
    }
    items.splice(items.indexOf(this), 1);
    this.row.remove();
    show();
  }

  pause() {
    this.paused = true;
    this.abort?.abort();
    this.pauseButton.textContent = "Resume";
    this.pauseButton.setAttribute("aria-label", `Resume ${this.file.name}`);
    this.tell(`paused at ${Math.floor((100 * this.bar.value) / this.bar.max)} %`);
  }

  async resume() {
    await this.going; // what was cut off has yet to notice
    this.paused = false;
    this.pauseButton.textContent = "Pause";
    this.pauseButton.setAttribute("aria-label", `Pause ${this.file.name}`);
    this.start();
  }

  // Upload what is missing, make the job; true when there is one.
  async start() {
    if (this.going) return this.going;
    this.going = this.run().finally(() => { this.going = null; });
    return this.going;
  }

  async run() {
    try {
      this.pauseButton.hidden = false;
      await this.begin();
      await this.sendParts();
      if (this.paused) return null;
      this.tell("putting it together");
      await this.finish();
      return this.job;
    } catch (error) {
      if (this.paused) return null;
      this.tell("");
      refuse(`${this.file.name}: ${error.message}`);
      return null;
    }
  }

  async begin() {
    const known = Object.entries(kept()).find(([, one]) => one.name === this.file.name && one.size === this.file.size);
    if (known && (await this.takeUp(...known))) return;
    const made = await askJson("/uploads", {
      method: "POST",
      json: { bytes: this.file.size, filename: this.file.name, purpose: "user_data", mime_type: this.file.type || "application/octet-stream" },
    });
    this.uploadId = made.id;
    this.facts = { name: this.file.name, size: this.file.size, parts: {}, options: options() };
    keep(this.uploadId, this.facts);
  }

  // An upload of before: which of its parts are there is the server's word, not ours.
  async takeUp(id, facts) {
    const shown = await askJson(`/uploads/${id}`).catch(() => null);
    if (!shown || !["pending", "completed"].includes(shown.status)) {
      keep(id, null);
      return false;
    }
    this.uploadId = id;
    this.facts = facts;
    if (shown.status === "completed") return true;
    const stored = new Map(shown.parts.filter((part) => part.status === "stored").map((part) => [part.id, part]));
    for (const [index, part] of Object.entries(facts.parts)) {
      if (stored.has(part)) stored.delete(part);
      else delete facts.parts[index];
    }
    await this.recognise([...stored.values()]);
    this.progressed();
    return true;
  }

  // Parts whose answer we never heard, by their checksum.
  async recognise(unknown) {
    if (!unknown.length || !crypto.subtle) return;
    for (let index = 0; index < this.count() && unknown.length; index += 1) {
      if (this.facts.parts[index]) continue;
      const slice = this.slice(index);
      if (!unknown.some((part) => part.bytes === slice.size)) continue;
      const digest = await crypto.subtle.digest("SHA-256", await slice.arrayBuffer());
      const hex = [...new Uint8Array(digest)].map((byte) => byte.toString(16).padStart(2, "0")).join("");
      const found = unknown.findIndex((part) => part.sha256 === hex);
      if (found < 0) return;
      this.facts.parts[index] = unknown.splice(found, 1)[0].id;
    }
  }

  count() {
    return Math.ceil(this.file.size / PART);
  }

  slice(index) {
    return this.file.slice(index * PART, Math.min(this.file.size, (index + 1) * PART));
  }

  progressed() {
    const sent = Object.keys(this.facts.parts).reduce((sum, index) => sum + this.slice(Number(index)).size, 0);
    this.bar.value = sent;
    this.tell(`${sizeText(sent)} of ${sizeText(this.file.size)}`);
    keep(this.uploadId, this.facts);
  }

  async sendParts() {
    for (let index = 0; index < this.count(); index += 1) {
      if (this.paused) return;
      if (this.facts.parts[index]) continue;
      await this.sendPart(index);
      this.progressed();
    }
  }

  async sendPart(index) {
    for (let pause = 1000; ; pause = Math.min(2 * pause, LONGEST_PAUSE)) {
      try {
        this.abort = new AbortController();
        const body = new FormData();
        body.append("data", this.slice(index), "part");
        const part = await askJson(`/uploads/${this.uploadId}/parts`, { method: "POST", body, signal: this.abort.signal });
        this.facts.parts[index] = part.id;
        return;
      } catch (error) {
        const lost = error instanceof TypeError || [429, 500, 502, 503, 504].includes(error.status);
        if (this.paused || !lost) throw error;
        this.tell("the connection is lost; going on when it is back");
        await new Promise((woken) => { setTimeout(woken, pause); });
      }
    }
  }

  async finish() {
    const ordered = Object.keys(this.facts.parts).map(Number).sort((one, other) => one - other).map((index) => this.facts.parts[index]);
    await ask(`/uploads/${this.uploadId}/complete`, { method: "POST", json: { part_ids: ordered } });
    const path = this.file.webkitRelativePath;
    const metadata = path ? { metadata: { path: path.slice(0, 512) } } : {};
    this.job = await askJson("/audio/jobs", {
      method: "POST",
      json: { ...this.facts.options, ...metadata, upload_id: this.uploadId },
      headers: { "idempotency-key": `console-${this.uploadId}` },
    });
    keep(this.uploadId, null);
    this.bar.value = this.bar.max;
    this.pauseButton.hidden = true;
    this.removeButton.hidden = true;
    this.tell("");
    const link = document.createElement("a");
    link.href = `${root}/console/jobs/${this.job.id}`;
    link.textContent = "Open";
    this.told.append(link);
  }
}

// --- choosing -----------------------------------------------------------------------------------------------------------------

function add(files) {
  const wanted = [...files].filter((file) => file.size > 0 && (/^(audio|video)\//.test(file.type) || MEDIA.test(file.name)));
  const others = [...files].length - wanted.length;
  if (others) say(`${others} ${others === 1 ? "file is" : "files are"} empty or no recording, and left out.`);
  const unfinishedNow = Object.values(kept());
  const known = (file) => unfinishedNow.some((one) => one.name === file.name && one.size === file.size);
  for (const file of wanted) {
    const item = new Item(file);
    items.push(item);
    if (known(file)) goOn(item);
  }
  show();
}

// What was begun before goes on as soon as its file is there again.
async function goOn(item) {
  const job = await item.start();
  if (job && items.length === 1) location.assign(`${root}/console/jobs/${job.id}`);
}

function show() {
  byId("chosen").hidden = !items.length;
  unfinished();
  estimate();
}

// After a reload: what was not finished, by name, so that it can be chosen again.
function unfinished() {
  const place = byId("unfinished");
  const chosen = new Set(items.map((item) => item.uploadId));
  const left = Object.entries(kept()).filter(([id, one]) => !chosen.has(id) && !items.some((item) => item.file.name === one.name && item.file.size === one.size));
  place.hidden = !left.length;
  place.replaceChildren();
  for (const [id, one] of left) {
    const line = document.createElement("p");
    line.className = "row";
    const sent = Math.min(one.size, Object.keys(one.parts).length * PART);
    const told = document.createElement("span");
    told.textContent = `Not finished: ${one.name} (${sizeText(sent)} of ${sizeText(one.size)} are here). Choose the file again to go on.`;
    const forget = document.createElement("button");
    forget.type = "button";
    forget.className = "quiet";
    forget.textContent = "Forget it";
    forget.setAttribute("aria-label", `Forget ${one.name}`);
    forget.addEventListener("click", () => {
      ask(`/uploads/${id}/cancel`, { method: "POST" }).catch(() => {});
      keep(id, null);
      unfinished();
    });
    line.append(told, forget);
    place.append(line);
  }
}

async function entriesOf(transfer) {
  const roots = [...transfer.items].map((item) => item.webkitGetAsEntry?.()).filter(Boolean);
  if (!roots.length) return [...transfer.files];
  const found = [];
  const walk = async (entry) => {
    if (entry.isFile) {
      found.push(await new Promise((got, failed) => { entry.file(got, failed); }));
      return;
    }
    const reader = entry.createReader();
    for (;;) {
      const some = await new Promise((got, failed) => { reader.readEntries(got, failed); });
      if (!some.length) return;
      for (const inner of some) await walk(inner);
    }
  };
  for (const root of roots) await walk(root);
  return found;
}

// --- what it will cost --------------------------------------------------------------------------------------------------------

let asked = 0;

async function estimate() {
  const mine = ++asked;
  const place = byId("estimate");
  const known = items.filter((item) => item.duration && !item.job);
  const seconds = known.reduce((sum, item) => sum + item.duration, 0);
  if (!items.length) return;
  if (!seconds) {
    place.textContent = "What it costs is known when its length is: the server measures it.";
    return;
  }
  try {
    const { response_format: _, ...given } = options();
    const told = await askJson("/audio/estimates", { method: "POST", json: { ...given, duration_seconds: seconds } });
    if (mine !== asked) return;
    const cost = told.cost.estimated.toLocaleString("en-US", { style: "currency", currency: "USD", maximumFractionDigits: 6 });
    const time = told.work ? `, about ${clock(told.work.seconds)} of work` : "";
    const rest = known.length < items.length ? `; ${items.length - known.length} more of unknown length` : "";
    const poor = told.balance.sufficient ? "" : " The balance does not cover it.";
    place.textContent = `Estimated: ${cost} for ${clock(seconds)} of sound${time}${rest}.${poor}`;
  } catch (error) {
    if (mine === asked) place.textContent = error.message;
  }
}

// --- the microphone -----------------------------------------------------------------------------------------------------------

let recorder = null;

async function record() {
  clearRefusal();
  let stream;
  try {
    stream = await navigator.mediaDevices.getUserMedia({ audio: true });
  } catch (error) {
    refuse(navigator.mediaDevices ? `The microphone cannot be used: ${error.message}` : "Browsers lend the microphone to pages at localhost or over https alone.");
    return;
  }
  const pieces = [];
  const began = Date.now();
  recorder = new MediaRecorder(stream);
  const ticking = setInterval(() => { byId("seconds").textContent = clock((Date.now() - began) / 1000); }, 500);
  recorder.addEventListener("dataavailable", (event) => pieces.push(event.data));
  recorder.addEventListener("stop", () => {
    clearInterval(ticking);
    for (const track of stream.getTracks()) track.stop();
    const kind = recorder.mimeType.split(";")[0] || "audio/webm";
    const stamp = new Date(began).toISOString().slice(0, 19).replaceAll(":", "-");
    recorder = null;
    recording(false);
    add([new File(pieces, `recording-${stamp}.${kind.split("/")[1]}`, { type: kind })]);
  });
  recorder.start(1000);
  recording(true);
}

function recording(on) {
  byId("recording").hidden = !on;
  byId("record").disabled = on;
  byId("record").setAttribute("aria-pressed", String(on));
  byId("seconds").textContent = "0:00";
  (on ? byId("stop") : byId("transcribe")).focus();
}

// --- go -----------------------------------------------------------------------------------------------------------------------

async function transcribe() {
  clearRefusal();
  const address = byId("url").value.trim();
  const waiting = items.filter((item) => !item.job);
  if (!address && !waiting.length) {
    refuse("Choose a file, paste a URL or record something first.");
    return;
  }
  byId("transcribe").disabled = true;
  try {
    const jobs = [];
    if (address) {
      jobs.push(await askJson("/audio/jobs", { method: "POST", json: { ...options(), url: address } }));
      byId("url").value = "";
    }
    for (const item of waiting) jobs.push(await item.start());
    const made = jobs.filter(Boolean);
    if (jobs.length === 1 && made.length === 1) location.assign(`${root}/console/jobs/${made[0].id}`);
    else if (made.length === jobs.length) location.assign(`${root}/console/jobs`);
  } catch (error) {
    refuse(error.message);
  } finally {
    byId("transcribe").disabled = false;
  }
}

byId("files").addEventListener("change", (event) => { add(event.target.files); event.target.value = ""; });
byId("folder").addEventListener("change", (event) => { add(event.target.files); event.target.value = ""; });
byId("record").addEventListener("click", record);
byId("stop").addEventListener("click", () => recorder?.stop());
byId("transcribe").addEventListener("click", transcribe);
for (const name of ["model", "task"]) byId(name).addEventListener("change", estimate);
form.addEventListener("submit", (event) => {
  if (event.submitter === byId("sample")) return;
  event.preventDefault();
  transcribe();
});
const drop = byId("drop");
for (const kind of ["dragenter", "dragover"]) {
  drop.addEventListener(kind, (event) => { event.preventDefault(); drop.classList.add("over"); });
}
for (const kind of ["dragleave", "drop"]) drop.addEventListener(kind, () => drop.classList.remove("over"));
drop.addEventListener("drop", async (event) => {
  event.preventDefault();
  add(await entriesOf(event.dataTransfer));
});
unfinished();
