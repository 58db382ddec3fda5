// Corrections: each a revision beside the original. What somebody else has corrected meanwhile is shown, and never overwritten unseen.

import { askJson, refuse, root, say } from "./api.js";

export class Editing {
  constructor(job, captions, player, allowed) {
    this.job = job;
    this.captions = captions;
    this.player = player;
    this.allowed = allowed;
    this.undoable = captions.revision ? [captions.revision - 1, captions.revision] : [0];
    this.conflict = document.getElementById("conflict");
    this.undoButton = document.getElementById("undo");
    const place = captions.place;
    place.addEventListener("dblclick", (event) => {
      const word = event.target.closest(".word");
      if (word && this.allowed) this.openWord(word);
    });
    place.addEventListener("click", (event) => {
      const button = event.target.closest(".fix");
      if (button && this.allowed) this.openCue(button.closest(".cue"));
    });
    document.getElementById("edit").addEventListener("click", () => this.openCurrent());
    this.undoButton.addEventListener("click", () => this.undo());
    document.getElementById("edit").disabled = !allowed;
    this.tell();
    this.names();
  }

  tell() {
    const number = this.captions.revision;
    const told = document.getElementById("revision-told");
    told.replaceChildren(number ? `Revision ${number}. ` : "The original. ");
    const link = document.createElement("a");
    if (!this.allowed) {
      link.href = `${root}/console/jobs/${this.job}`;
      link.textContent = "Show it as corrected";
    } else if (number) {
      link.href = `${root}/console/jobs/${this.job}?revision=0`;
      link.textContent = "Show it as it was heard";
    }
    if (link.href) told.append(link);
    this.undoButton.disabled = !this.allowed || this.undoable.length < 2;
  }

  async openCurrent() {
    if (!this.allowed) return;
    const cue = await this.captions.reveal(Math.max(this.captions.current, 0));
    if (cue) this.openCue(cue);
  }

  openCue(cue) {
    if (cue.querySelector("form")) return;
    const words = cue.querySelector(".words");
    const before = words.textContent.replace(/\s+/g, " ").trim();
    const form = document.createElement("form");
    const label = document.createElement("label");
    const text = document.createElement("textarea");
    text.id = `text-${cue.dataset.segment}`;
    text.value = before;
    label.htmlFor = text.id;
    label.textContent = "Text of this caption";
    form.append(label, text, buttons());
    words.hidden = true;
    words.after(form);
    text.focus();
    this.serve(form, () => { words.hidden = false; }, () => text.value.trim() !== before && {
      segment: Number(cue.dataset.segment), text: text.value.trim(),
    });
  }

  openWord(word) {
    if (word.querySelector("form")) return;
    window.getSelection()?.removeAllRanges();
    const cue = word.closest(".cue");
    const before = word.textContent.trim();
    const kept = [...word.childNodes];
    const form = document.createElement("form");
    form.className = "word-form";
    const field = document.createElement("input");
    field.setAttribute("aria-label", "Word");
    field.value = before;
    form.append(field, buttons());
    word.replaceChildren(form);
    field.select();
    this.serve(form, () => word.replaceChildren(...kept), () => field.value.trim() !== before && {
      segment: Number(cue.dataset.segment), word: Number(word.dataset.n), text: field.value.trim(),
    });
  }

  serve(form, close, wanted) {
    const shut = () => { form.remove(); close(); };
    form.querySelector("[value=cancel]").addEventListener("click", shut);
    form.addEventListener("keydown", (event) => {
      event.stopPropagation();
      if (event.key === "Escape") shut();
      if (event.key === "Enter" && (event.ctrlKey || event.target.tagName === "INPUT")) {
        event.preventDefault();
        form.requestSubmit();
      }
    });
    form.addEventListener("submit", async (event) => {
      event.preventDefault();
      const change = wanted();
      if (!change || await this.save({ changes: [change] })) shut();
    });
  }

  async save(edit, revision = this.captions.revision) {
    try {
      const made = await askJson(`/audio/jobs/${this.job}/transcript`, {
        method: "PATCH", json: edit, headers: { "if-match": `"${revision}"` },
      });
      this.conflict.replaceChildren();
      if (edit.restore === undefined) this.undoable.push(made.revision);
      await this.refresh();
      say(`Saved as revision ${made.revision}.`);
      return true;
    } catch (error) {
      if (error.status === 409 && error.body?.error?.current) this.collide(edit, error.body.error);
      else refuse(error.message);
      return false;
    }
  }

  async refresh() {
    const outline = await askJson(`/audio/jobs/${this.job}/transcript/outline?revision=latest`);
    await this.captions.again(outline);
    this.tell();
    this.names();
  }

  async undo() {
    const before = this.undoable[this.undoable.length - 2];
    if (before !== undefined && await this.save({ restore: before })) {
      this.undoable.pop();
      this.tell();
    }
  }

  collide(edit, told) {
    const alert = document.createElement("div");
    alert.className = "refusal";
    alert.setAttribute("role", "alert");
    const line = (name, text) => {
      const part = document.createElement("p");
      const strong = document.createElement("strong");
      strong.textContent = `${name}: `;
      part.append(strong, text);
      return part;
    };
    const head = document.createElement("p");
    head.textContent = "Somebody else has corrected this since you read it. Nothing was changed.";
    alert.append(head, line("Now", told.current.map((one) => one.text).join(" / ")),
      line("Yours", (edit.changes ?? []).map((one) => one.text).join(" / ")));
    const mine = button("Save mine all the same"), theirs = button("Keep theirs");
    mine.addEventListener("click", () => this.save(edit, told.current_revision));
    theirs.addEventListener("click", async () => {
      this.conflict.replaceChildren();
      for (const form of this.captions.place.querySelectorAll("form")) form.querySelector("[value=cancel]").click();
      await this.refresh();
    });
    alert.append(mine, " ", theirs);
    this.conflict.replaceChildren(alert);
    alert.scrollIntoView({ block: "nearest" });
  }

  names() {
    const speakers = this.captions.outline.speakers;
    const place = document.getElementById("speakers"), form = document.getElementById("speaker-form");
    place.hidden = !speakers.length || !this.allowed;
    form.replaceChildren(...speakers.map((name, at) => {
      const part = document.createElement("div");
      const label = document.createElement("label"), field = document.createElement("input");
      field.id = `speaker-${at}`;
      field.name = name;
      field.value = name;
      field.maxLength = 200;
      label.htmlFor = field.id;
      label.textContent = `Name of ${name}`;
      part.append(label, field);
      return part;
    }));
    const save = button("Save names");
    save.type = "submit";
    form.append(save);
    form.onsubmit = async (event) => {
      event.preventDefault();
      const fields = [...form.querySelectorAll("input")];
      const changed = fields.filter((one) => one.value.trim() && one.value.trim() !== one.name);
      if (changed.length) await this.save({ speakers: Object.fromEntries(changed.map((one) => [one.name, one.value.trim()])) });
    };
  }
}

function button(text) {
  const made = document.createElement("button");
  made.type = "button";
  made.className = "quiet";
  made.textContent = text;
  return made;
}

function buttons() {
  const row = document.createElement("span");
  row.className = "row";
  const save = document.createElement("button");
  save.textContent = "Save";
  const cancel = button("Cancel");
  cancel.value = "cancel";
  row.append(save, cancel);
  return row;
}
