// How every script of the console asks the API: by way of the session, with the page's token.

const token = document.querySelector('meta[name="form-token"]').content;
// What a browser puts before the server's own paths, where a proxy serves it below one: /speech; mostly nothing.
const root = document.querySelector('meta[name="root"]').content;

export class Refused extends Error {
  constructor(status, message, body) {
    super(message);
    this.status = status;
    this.body = body;
  }
}

export function signInAgain() {
  location.assign(`${root}/console/sign-in?why=${encodeURIComponent("You were signed out.")}&next=${encodeURIComponent(location.pathname)}`);
}

// The Response of /v1<path>. Throws Refused with the API's own words; leaves for the sign-in page where nobody is signed in.
export async function ask(path, { method = "GET", json, body, headers = {}, signal } = {}) {
  const sent = { "x-console-token": token, ...headers };
  if (json !== undefined) {
    sent["content-type"] = "application/json";
    body = JSON.stringify(json);
  }
  const answer = await fetch(`${root}/console/v1${path}`, { method, headers: sent, body, signal });
  if (answer.ok) return answer;
  if (answer.status === 401) signInAgain();
  const told = await answer.json().catch(() => ({}));
  throw new Refused(answer.status, told.error?.message ?? `The server answered ${answer.status}.`, told);
}

export async function askJson(path, options) {
  return (await ask(path, options)).json();
}

// For screen readers and the corner of the page.
export function say(text) {
  const place = document.getElementById("said");
  place.textContent = text;
  clearTimeout(say.timer);
  say.timer = setTimeout(() => { place.textContent = ""; }, 6000);
}

export function refuse(text) {
  const told = document.createElement("p");
  told.className = "refusal";
  told.setAttribute("role", "alert");
  told.textContent = text;
  document.getElementById("refused").replaceChildren(told);
}

export function clearRefusal() {
  document.getElementById("refused").replaceChildren();
}

export { root, token };
