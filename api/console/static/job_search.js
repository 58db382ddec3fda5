// Where something is said, in all of the text, and marked where it is in sight.

import { askJson, refuse } from "./api.js";

const MOST = 1000; // segments with hits

export class Search {
  constructor(job, captions, player) {
    this.job = job;
    this.captions = captions;
    this.player = player;
    this.hits = [];
    this.bySegment = new Map();
    this.field = document.getElementById("search");
    this.told = document.getElementById("found");
    this.field.addEventListener("input", () => {
      clearTimeout(this.soon);
      this.soon = setTimeout(() => this.look(), 250);
    });
    document.getElementById("search-form").addEventListener("submit", (event) => {
      event.preventDefault();
      if (this.sought === this.field.value.trim() && this.hits.length) this.go(1);
      else this.look();
    });
    document.getElementById("hit-next").addEventListener("click", () => this.go(1));
    document.getElementById("hit-before").addEventListener("click", () => this.go(-1));
  }

  async look() {
    clearTimeout(this.soon);
    const sought = this.sought = this.field.value.trim();
    let found = [];
    if (sought) {
      const query = new URLSearchParams({ q: sought, limit: MOST, revision: this.captions.revision });
      try {
        found = (await askJson(`/audio/jobs/${this.job}/segments?${query}`)).data;
      } catch (error) {
        refuse(error.message);
      }
      if (sought !== this.sought) return; // something else by now
    }
    this.bySegment = new Map(found.map((one) => [one.id, one.matches]));
    this.hits = found.flatMap((one) => one.matches.map((match) => ({ segment: one.id, ...match })));
    this.at = -1;
    for (const block of this.captions.blocks) if (block.shown) this.mark(block);
    for (const name of ["hit-next", "hit-before"]) document.getElementById(name).disabled = !this.hits.length;
    this.tell();
    if (this.hits.length) this.go(1, false);
  }

  tell() {
    const count = this.hits.length;
    this.told.textContent = !this.sought ? "" : count ? `${this.at + 1} of ${count}` : `“${this.sought}” is said nowhere.`;
  }

  async go(by, sounds = true) {
    this.at = (this.at + by + this.hits.length) % this.hits.length;
    const hit = this.hits[this.at];
    this.tell();
    this.captions.follow(false);
    this.captions.showList();
    await this.captions.reveal(hit.segment);
    if (sounds) this.player.seek(hit.start);
  }

  // A phrase may go on in the next segment: words are marked by their time.
  mark(block) {
    for (const mark of block.element.querySelectorAll("mark")) mark.replaceWith(...mark.childNodes);
    if (!this.bySegment.size) return;
    const matches = [];
    for (let at = block.first - 1; at < block.end; at++) matches.push(...(this.bySegment.get(at) ?? []));
    if (!matches.length) return;
    for (const [start, end, word] of block.parts) {
      if (!matches.some((one) => start >= one.start - 0.0005 && end <= one.end + 0.0005)) continue;
      const mark = document.createElement("mark");
      mark.append(...word.childNodes);
      word.append(mark);
    }
  }
}
