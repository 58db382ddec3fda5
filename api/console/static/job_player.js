// The sound, drawn from the server's peaks: a browser never decodes it all. Without sound the drawing still leads through the text.

import WaveSurfer from "./vendor/wavesurfer.esm.js";
import { askJson } from "./api.js";

const POINTS = 2000;

export class Player {
  constructor(here, job, outline) {
    this.here = here;
    this.job = job;
    this.outline = outline;
    this.onTime = () => {};
    this.sound = document.getElementById("sound");
    this.time = 0;
    if (this.sound) this.controls();
  }

  controls() {
    this.sound.removeAttribute("controls");
    this.sound.hidden = true;
    this.button = document.getElementById("play");
    this.told = document.getElementById("time");
    this.speed = document.getElementById("speed");
    this.button.addEventListener("click", () => this.toggle());
    this.speed.addEventListener("change", () => { this.sound.playbackRate = Number(this.speed.value); });
    for (const kind of ["play", "pause", "ended"]) this.sound.addEventListener(kind, () => this.state());
    for (const kind of ["timeupdate", "seeked", "loadedmetadata"]) this.sound.addEventListener(kind, () => this.tick());
    this.sound.addEventListener("error", () => {
      this.told.textContent = "This browser cannot play this recording. Download it to hear it.";
    });
  }

  state() {
    this.button.textContent = this.sound.paused ? "Play" : "Pause";
    cancelAnimationFrame(this.frame);
    const step = () => {
      this.tick();
      if (!this.sound.paused) this.frame = requestAnimationFrame(step);
    };
    step();
  }

  tick() {
    this.time = this.sound.currentTime;
    this.told.textContent = `${clock(this.time)} / ${clock(this.sound.duration || this.duration || 0)}`;
    this.onTime(this.time);
  }

  toggle() {
    if (!this.sound) return;
    if (this.sound.paused) this.sound.play().catch(() => {});
    else this.sound.pause();
  }

  seek(seconds) {
    const target = Math.max(0, seconds);
    if (this.sound) this.sound.currentTime = target;
    else this.wave?.setTime(target);
    this.time = target;
    this.onTime(target);
  }

  faster(by) {
    if (!this.speed) return;
    this.speed.selectedIndex = Math.min(Math.max(this.speed.selectedIndex + by, 0), this.speed.options.length - 1);
    this.speed.dispatchEvent(new Event("change"));
  }

  async draw() {
    const peaks = await askJson(`/audio/jobs/${this.job}/peaks?points=${POINTS}`);
    this.duration = peaks.duration || Number(this.here.dataset.duration);
    const colour = (name) => getComputedStyle(document.documentElement).getPropertyValue(name).trim();
    this.wave = WaveSurfer.create({
      container: "#wave",
      height: 96,
      waveColor: colour("--edge"),
      progressColor: colour("--accent"),
      cursorColor: colour("--bad"),
      cursorWidth: 2,
      normalize: true,
      interact: true,
      cspNonce: this.here.dataset.nonce,
      peaks: [peaks.data.map((one) => one / 32768)],
      duration: this.duration,
      ...(this.sound ? { media: this.sound } : {}),
    });
    this.wave.on("interaction", (seconds) => this.seek(seconds));
    this.marks(peaks.seams);
    new ResizeObserver(() => this.marks(peaks.seams)).observe(document.getElementById("drawn"));
  }

  // Seams, gaps, what was not sent and suspects, on the recording's clock.
  marks(seams) {
    const canvas = document.getElementById("marks");
    const { width, height } = canvas.getBoundingClientRect();
    canvas.width = width * devicePixelRatio;
    canvas.height = height * devicePixelRatio;
    const pen = canvas.getContext("2d");
    const root = getComputedStyle(document.documentElement);
    const x = (seconds) => (seconds / this.duration) * canvas.width;
    const bands = (stretches, colour, top, tall) => {
      pen.fillStyle = root.getPropertyValue(colour);
      for (const [start, end] of stretches) pen.fillRect(x(start), top * canvas.height, Math.max(x(end) - x(start), devicePixelRatio), tall * canvas.height);
    };
    const gaps = stretches(this.here.dataset.gaps), quiet = stretches(this.here.dataset.quiet);
    const { starts, suspect } = this.outline;
    pen.globalAlpha = 0.45;
    bands(gaps, "--bad", 0, 1);
    pen.globalAlpha = 1;
    bands(quiet, "--edge", 0.94, 0.06);
    bands(suspect.map((one) => [starts[one], starts[one + 1] ?? starts[one] + 1]), "--warn", 0, 0.08);
    bands(seams.map((one) => [one.at, one.at]), "--ink", 0, 0.2);
    document.getElementById("marks-told").textContent =
      `${seams.length} seams (short lines above) · ${gaps.length} gaps (red) · ${quiet.length} stretches not sent (grey, below) · ${suspect.length} suspects (amber, above)`;
  }
}

function stretches(text) {
  return text.trim().split(/\s+/).filter(Boolean).map((one) => one.split("-").map(Number));
}

export function clock(seconds) {
  const whole = Math.floor(seconds);
  const [hours, minutes, rest] = [Math.floor(whole / 3600), Math.floor(whole / 60) % 60, whole % 60];
  const pad = (number) => String(number).padStart(2, "0");
  return hours ? `${hours}:${pad(minutes)}:${pad(rest)}` : `${minutes}:${pad(rest)}`;
}
