// Hours of text: only what is in sight, and a little around it, is in the page. Everything else is a box of about its height.

import { refuse, root, signInAgain } from "./api.js";

const WORDS = 250; // of a block, about
const AHEAD = "700px"; // how far out of sight blocks are made
const KEPT = 60; // blocks whose HTML is remembered
const LOOKS = 4; // at where a place stands, frame by frame, until it stays
const LINE = 27, HEAD = 38, PER_LINE = 11; // px, px, words: only for heights that nobody has seen yet

export class Captions {
  constructor(place, job, outline) {
    this.place = place;
    this.job = job;
    this.current = -1;
    this.following = true;
    this.onShown = this.onFollow = this.onSeek = () => {};
    this.html = new Map();
    this.take(outline);
    this.watch = new IntersectionObserver((seen) => seen.forEach((one) => this.seen(one)), { root: place, rootMargin: AHEAD });
    place.addEventListener("click", (event) => this.clicked(event));
    for (const kind of ["wheel", "touchmove"]) place.addEventListener(kind, () => this.follow(false), { passive: true });
    place.addEventListener("keydown", (event) => {
      if (["PageUp", "PageDown", "Home", "End"].includes(event.key)) this.follow(false);
    });
    place.addEventListener("pointerdown", (event) => {
      if (event.target === place) this.follow(false); // its scroll bar
    });
  }

  take(outline) {
    this.revision = outline.revision;
    this.starts = outline.starts;
    this.words = outline.words;
    this.outline = outline;
  }

  // Blocks in place of what came with the page, whose segments are the first block.
  adopt() {
    const first = document.getElementById("first");
    const given = first.querySelectorAll(".cue").length;
    this.blocks = [];
    let at = 0;
    while (at < this.starts.length) {
      let end = at, words = 0;
      if (at === 0 && given) end = given;
      else while (end < this.starts.length && (end === at || words + this.words[end] <= WORDS)) words += this.words[end++];
      this.blocks.push({ first: at, end, element: null, shown: false, parts: null });
      at = end;
    }
    const rest = document.createDocumentFragment();
    this.blocks.forEach((block, number) => {
      block.element = number === 0 && given ? first : document.createElement("div");
      block.element.className = "block";
      block.element.dataset.block = number;
      if (number === 0 && given) this.filled(block);
      else this.reserve(block);
      if (block.element !== first) rest.append(block.element);
    });
    this.place.append(rest);
    this.blocks.forEach((block) => this.watch.observe(block.element));
  }

  reserve(block) {
    let height = 0;
    for (let at = block.first; at < block.end; at++) height += HEAD + LINE * Math.max(1, Math.ceil(this.words[at] / PER_LINE));
    block.element.style.height = `${height}px`;
  }

  seen(one) {
    const block = this.blocks[Number(one.target.dataset.block)];
    block.near = one.isIntersecting;
    if (block.near) this.show(block);
    else this.hide(block);
  }

  async show(block) {
    if (block.shown || block.coming) return block.coming;
    block.coming = this.fetch(block).then((html) => {
      block.coming = null;
      block.element.innerHTML = html;
      block.element.style.height = "";
      this.filled(block);
    }).catch((error) => {
      block.coming = null;
      refuse(error.message);
    });
    return block.coming;
  }

  hide(block) {
    if (!block.shown || block.element.querySelector("form") || block.element.contains(document.activeElement)) return;
    block.element.style.height = `${block.element.offsetHeight}px`;
    block.element.replaceChildren();
    block.shown = false;
    block.parts = null;
  }

  async fetch(block) {
    const key = `${this.revision}/${block.first}`;
    if (this.html.has(key)) return this.html.get(key);
    const query = new URLSearchParams({ first: block.first, count: block.end - block.first, revision: this.revision });
    const answer = await fetch(`${root}/console/jobs/${this.job}/captions?${query}`, { headers: { "hx-request": "true" } });
    if (answer.headers.get("hx-redirect")) signInAgain();
    if (!answer.ok) throw new Error(`The server answered ${answer.status}.`);
    const html = await answer.text();
    this.html.set(key, html);
    if (this.html.size > KEPT) this.html.delete(this.html.keys().next().value);
    return html;
  }

  filled(block) {
    block.shown = true;
    block.parts = [...block.element.querySelectorAll(".word")].map((word) => [Number(word.dataset.start), Number(word.dataset.end), word]);
    this.onShown(block);
    if (this.time !== undefined) this.light(this.time);
  }

  // After a correction: the same segments, fetched again.
  async again(outline) {
    this.take(outline);
    const shown = this.blocks.filter((block) => block.shown);
    this.html.clear();
    await Promise.all(shown.map(async (block) => {
      const html = await this.fetch(block);
      block.element.innerHTML = html;
      this.filled(block);
    }));
  }

  blockOf(segment) {
    let low = 0, high = this.blocks.length - 1;
    while (low < high) {
      const middle = (low + high + 1) >> 1;
      if (this.blocks[middle].first <= segment) low = middle;
      else high = middle - 1;
    }
    return this.blocks[low];
  }

  // The segment that is said at this moment, or was the last one.
  segmentAt(seconds) {
    let low = 0, high = this.starts.length - 1;
    if (high < 0 || this.starts[0] > seconds) return high < 0 ? -1 : 0;
    while (low < high) {
      const middle = (low + high + 1) >> 1;
      if (this.starts[middle] <= seconds) low = middle;
      else high = middle - 1;
    }
    return low;
  }

  sound(seconds) {
    this.time = seconds;
    const segment = this.segmentAt(seconds);
    const moved = segment !== this.current;
    this.current = segment;
    this.light(seconds);
    if (moved && this.following && segment >= 0) this.reveal(segment);
  }

  light(seconds) {
    if (this.current < 0 || !this.blocks) return;
    const block = this.blockOf(this.current);
    const cue = document.getElementById(`s${this.current}`);
    for (const one of this.place.querySelectorAll(".cue.now")) if (one !== cue) one.classList.remove("now");
    cue?.classList.add("now");
    const word = block.parts && lastBefore(block.parts, seconds, this.current);
    for (const one of this.place.querySelectorAll("[aria-current]")) if (one !== word) one.removeAttribute("aria-current");
    word?.setAttribute("aria-current", "true");
  }

  async reveal(segment) {
    const turn = this.turn = (this.turn ?? 0) + 1;
    const block = this.blockOf(segment);
    if (!block.shown) {
      this.place.scrollTop = block.element.offsetTop - this.place.clientHeight / 3;
      const at = this.blocks.indexOf(block);
      await Promise.all(this.blocks.slice(Math.max(at - 1, 0), at + 2).map((one) => this.show(one)));
    }
    // What comes into sight around it takes its true height only now.
    for (let look = 0; look < LOOKS && turn === this.turn; look++) {
      this.put(document.getElementById(`s${segment}`));
      await new Promise(requestAnimationFrame);
    }
    return document.getElementById(`s${segment}`);
  }

  put(cue) {
    if (!cue) return;
    const box = cue.getBoundingClientRect(), frame = this.place.getBoundingClientRect();
    if (box.top < frame.top + 8 || box.bottom > frame.bottom - 24) {
      this.place.scrollTop += box.top - frame.top - frame.height / 3;
    }
  }

  // The whole list into sight of whoever jumps to a place in it.
  showList() {
    this.place.scrollIntoView({ block: "nearest" });
  }

  step(by) {
    const target = Math.min(Math.max((this.current < 0 ? (by > 0 ? -1 : 0) : this.current) + by, 0), this.starts.length - 1);
    if (target < 0) return;
    this.onSeek(this.starts[target]);
    this.showList();
    this.reveal(target);
  }

  follow(on) {
    if (this.following === on) return;
    this.following = on;
    this.onFollow(on);
    if (on && this.current >= 0) this.reveal(this.current);
  }

  clicked(event) {
    if (event.target.closest("form")) return;
    const word = event.target.closest(".word");
    const at = event.target.closest("[data-seek]");
    if (word) this.onSeek(Number(word.dataset.start));
    else if (at) this.onSeek(Number(at.dataset.seek));
  }
}

// The word that has begun last, among those of this segment; none in a pause longer than a breath.
function lastBefore(parts, seconds, segment) {
  let found = null;
  for (const [start, end, word] of parts) {
    if (start > seconds + 0.001) break;
    if (seconds < end + 0.6) found = word;
  }
  return found && found.closest(".cue").dataset.segment === String(segment) ? found : null;
}
