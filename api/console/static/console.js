// What every page has: the token on what htmx sends, local times, questions before what cannot be undone.

import { clearRefusal, refuse, say, token } from "./api.js";

document.addEventListener("htmx:configRequest", (event) => {
  event.detail.headers["x-console-token"] = token;
});
document.addEventListener("htmx:afterRequest", (event) => {
  if (event.detail.successful) clearRefusal();
});
document.addEventListener("htmx:sendError", () => refuse("The server does not answer. This page goes on when it is back."));
document.addEventListener("htmx:responseError", (event) => refuse(`The server answered ${event.detail.xhr.status}.`));
document.addEventListener("htmx:afterSwap", (event) => localTimes(event.target));

document.addEventListener("submit", (event) => {
  const question = (event.submitter ?? event.target).dataset?.confirm ?? event.target.dataset.confirm;
  if (question && !window.confirm(question)) event.preventDefault();
});

document.addEventListener("click", async (event) => {
  const button = event.target.closest("[data-copy]");
  if (!button) return;
  await navigator.clipboard.writeText(document.getElementById(button.dataset.copy).textContent);
  say("Copied.");
});

function localTimes(root) {
  for (const time of root.querySelectorAll("time[datetime]")) {
    const at = new Date(time.dateTime);
    if (!Number.isNaN(at.valueOf())) time.textContent = at.toLocaleString(undefined, { dateStyle: "medium", timeStyle: "short" });
  }
}

// A page that answered a form asks for itself on a reload, and does not send the form again.
if (document.body.dataset.at) history.replaceState(null, "", document.body.dataset.at);
localTimes(document);
