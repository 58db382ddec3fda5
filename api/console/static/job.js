// A finished job's page: its sound and its text move together.

import { Captions } from "./job_captions.js";
import { Editing } from "./job_edit.js";
import { Player } from "./job_player.js";
import { Search } from "./job_search.js";
import { askJson, refuse } from "./api.js";

const here = document.getElementById("job");

async function begin() {
  const job = here.dataset.job;
  const asked = here.dataset.revision;
  const outline = await askJson(`/audio/jobs/${job}/transcript/outline?revision=${asked}`);
  const captions = new Captions(document.getElementById("captions"), job, outline);
  const player = new Player(here, job, outline);
  const search = new Search(job, captions, player);
  const editing = new Editing(job, captions, player, asked === "latest");
  captions.onShown = (block) => search.mark(block);
  player.onTime = (seconds) => captions.sound(seconds);
  captions.onSeek = (seconds) => player.seek(seconds);
  captions.adopt();
  follows(captions);
  keys(captions, player, editing);
  player.draw().catch((error) => { document.getElementById("marks-told").textContent = error.message; });
  const target = location.hash.match(/^#t=([\d.]+)$/);
  if (target) player.seek(Number(target[1]));
  here.dataset.ready = "yes";
}

function follows(captions) {
  const button = document.getElementById("follow");
  captions.onFollow = (on) => button.setAttribute("aria-pressed", String(on));
  button.addEventListener("click", () => captions.follow(button.getAttribute("aria-pressed") !== "true"));
}

function keys(captions, player, editing) {
  const help = document.getElementById("help");
  document.getElementById("help-opens").addEventListener("click", () => help.showModal());
  const moves = {
    " ": () => player.toggle(),
    j: () => captions.step(1),
    k: () => captions.step(-1),
    ArrowLeft: () => player.seek(player.time - 5),
    ArrowRight: () => player.seek(player.time + 5),
    ArrowUp: () => player.faster(1),
    ArrowDown: () => player.faster(-1),
    e: () => editing.openCurrent(),
    f: () => document.getElementById("follow").click(),
    "/": () => document.getElementById("search").focus(),
    "?": () => help.showModal(),
  };
  document.addEventListener("keydown", (event) => {
    const move = moves[event.key];
    if (!move || event.ctrlKey || event.metaKey || event.altKey || help.open) return;
    if (event.target.closest("input, textarea, select, summary")) return;
    if (event.target.closest("button, a") && event.key === " ") return;
    event.preventDefault();
    move();
  });
}

if (here) begin().catch((error) => refuse(error.message));
