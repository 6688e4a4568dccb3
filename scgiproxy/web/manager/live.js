"use strict";
(() => {
const live = document.querySelector(".live");
const main = document.querySelector("main");
const toast = document.createElement("p");
toast.className = "toast";
toast.setAttribute("role", "status");
document.body.append(toast);
const here = location.pathname;
const SILENCE = 5000;
let heard = 0;
let asked = 0;
let source = null;
let making = false;
let toasting = 0;
let waiting = 0;

function tell(text) {
  toast.textContent = text;
  clearTimeout(toasting);
  toasting = setTimeout(() => { toast.textContent = ""; }, 6000);
}

function connection(state, text) {
  if (live.dataset.state === state && state !== "still") return;
  live.dataset.state = state;
  live.textContent = text;
  main.classList.toggle("old", state === "lost");
}

function lost() {
  const since = new Date(heard || Date.now()).toLocaleTimeString();
  connection("lost", `Connection lost. This is how it was at ${since}; trying to connect again.`);
}

function put(id, cells) {
  const place = document.getElementById(id);
  if (!place) return;
  for (const [name, value] of Object.entries(cells)) {
    if (name.startsWith("@")) {
      place.dataset[name.slice(1)] = value;
      continue;
    }
    const cell = place.querySelector(`[data-cell="${name}"]`);
    if (!cell) continue;
    if (name.endsWith("-path")) cell.setAttribute("d", value);
    else cell.textContent = value;
  }
}

// The same page again, as a document that nothing runs in.
function load(address) {
  return new Promise((resolve, reject) => {
    const request = new XMLHttpRequest();
    request.responseType = "document";
    request.timeout = 10000;
    request.onload = () => (request.response ? resolve(request.response) : reject(new Error()));
    request.onerror = request.ontimeout = () => reject(new Error());
    request.open("GET", address);
    request.send();
  });
}

async function makeAnew() {
  if (making) return;
  making = true;
  try {
    const fresh = await load(here);
    const line = fresh.querySelector(".live");
    if (!line) throw new Error();
    for (const old of main.querySelectorAll(".top, .balancer, .panel, .foot")) old.remove();
    main.append(...fresh.querySelectorAll(".top, .balancer, .panel, .foot"));
    live.dataset.structure = line.dataset.structure;
  } catch {
    // The next event says so again.
  } finally {
    making = false;
  }
}

function listen() {
  clearTimeout(waiting);
  if (source) source.close();
  // A page that nobody sees has no connection: a browser has few of them for each server.
  if (document.hidden) return;
  asked = Date.now();
  source = new EventSource(`${here}?events`);
  source.addEventListener("state", (event) => {
    heard = Date.now();
    const state = JSON.parse(event.data);
    if (state.structure !== live.dataset.structure) makeAnew();
    for (const [id, cells] of Object.entries(state.cells)) put(id, cells);
    connection("live", "Live");
  });
  source.addEventListener("end", () => {
    source.close();
    lost();
    waiting = setTimeout(listen, 1000);
  });
  source.onerror = () => {
    lost();
    // The browser gives up after an answer that is no stream.
    if (source.readyState === EventSource.CLOSED) waiting = setTimeout(listen, 3000);
  };
}

setInterval(() => {
  if (heard && !document.hidden && Date.now() - Math.max(heard, asked) > SILENCE) lost();
}, 1000);
document.addEventListener("visibilitychange", listen);

// What has been changed, and what says whose it is: what others have changed meanwhile stays.
function changes(form, button) {
  const fields = new URLSearchParams();
  const same = new Set();
  for (const field of form.elements) {
    if (!field.name || field.type === "hidden" || field.type === "submit") continue;
    const before = field.type === "checkbox" ? field.checked === field.defaultChecked
      : field.options ? [...field.options].every((one) => one.selected === one.defaultSelected)
      : field.value === field.defaultValue;
    if (before) same.add(field.name);
  }
  for (const [name, value] of new FormData(form, button)) {
    if (!same.has(name)) fields.set(name, value);
  }
  return fields;
}

// A problem begins with the name of its field: people know that by what stands before it.
function named(problem, form) {
  const [name] = problem.split(":", 1);
  const field = [...form.elements].findLast((one) => one.name === name && one.type !== "hidden");
  if (!field) return problem;
  field.setAttribute("aria-invalid", "true");
  const title = (field.closest("label").querySelector("span") ?? field.closest("label")).firstChild;
  return title.textContent + problem.slice(name.length);
}

async function send(form, button) {
  const fields = changes(form, button);
  const dialog = form.closest("dialog");
  const owns = ["b", "w", "nonce"];
  if ([...fields.keys()].every((name) => owns.includes(name))) {
    if (dialog) dialog.close();
    return;
  }
  let problems;
  try {
    const answer = await fetch(here, {
      method: "POST", body: fields, headers: {Accept: "application/json"},
    });
    problems = answer.ok ? [] : (await answer.json()).problems;
  } catch {
    problems = ["The gateway did not answer; nothing is known of the change."];
  }
  if (!problems.length) {
    if (dialog) dialog.close();
    tell("Done.");
  } else if (dialog) {
    const list = document.createElement("ul");
    list.className = "problems";
    list.setAttribute("role", "alert");
    for (const field of form.elements) field.removeAttribute("aria-invalid");
    for (const problem of problems) {
      const item = document.createElement("li");
      item.textContent = named(problem, form);
      list.append(item);
    }
    form.querySelector(".problems")?.remove();
    form.prepend(list);
    list.scrollIntoView({block: "nearest"});
  } else {
    tell(problems.join(" "));
  }
}

async function edit(link) {
  let form;
  try {
    form = (await load(link.href)).querySelector(".edit");
  } catch {
    form = null;
  }
  if (!form) {
    location.href = link.href;
    return;
  }
  const dialog = document.createElement("dialog");
  dialog.append(document.adoptNode(form));
  dialog.addEventListener("close", () => dialog.remove());
  document.body.append(dialog);
  dialog.showModal();
}

document.addEventListener("submit", (event) => {
  event.preventDefault();
  send(event.target, event.submitter);
});

document.addEventListener("click", (event) => {
  const plain = !(event.ctrlKey || event.metaKey || event.shiftKey || event.button);
  const link = event.target.closest("a.button");
  if (link && plain) {
    event.preventDefault();
    const dialog = link.closest("dialog");
    if (dialog) dialog.close();
    else if (link.classList.contains("back")) location.href = here;
    else edit(link);
  }
});

if (live) {
  connection("still", "Connecting …");
  listen();
}
})();
