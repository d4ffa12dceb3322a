// The page on which a person answers. What it shows comes from /state; what the person does goes to the server, and is
// on disk when the server says so.

const token = location.hash.slice(1);
const byId = (name) => document.getElementById(name);
const all = (selector) => [...document.querySelectorAll(selector)];

const defaultKeys = {
  left: ["ArrowLeft", "1"],
  right: ["ArrowRight", "2"],
  both_good: ["ArrowUp", "3"],
  both_bad: ["ArrowDown", "4"],
  undo: ["z"],
  enlarge: ["f"],
  play: [" "],
};
const deedNames = {
  left: "This one", right: "That one", both_good: "Both good", both_bad: "Both bad",
  undo: "Undo", enlarge: "Enlarge", play: "Play",
};
const keyNames = { ArrowLeft: "←", ArrowRight: "→", ArrowUp: "↑", ArrowDown: "↓", " ": "Space" };
const choices = ["left", "right", "both_good", "both_bad"];

let state = null;
let shownKey = null; // of the question that is to be seen, both media on screen
let shownAt = 0;
let busy = false; // a deed is on its way
let left = false; // the person has finished
const player = new Audio();
let waitingForKey = null; // of the settings: the deed that the next key is for
let lastPlayed = "right";
let keys = readKeys();

// The server.

async function ask(path, options = {}) {
  return fetch(path, { ...options, cache: "no-store", headers: { "x-pbg-token": token, ...options.headers } });
}

async function explained(response) {
  try { return (await response.json()).error; } catch { return `The server answered ${response.status}.`; }
}

const pause = (milliseconds) => new Promise((done) => { setTimeout(done, milliseconds); });

async function follow() {
  for (;;) {
    let response;
    try {
      response = await ask(`/state?after=${state ? state.version : 0}`);
    } catch {
      if (left) return;
      problem("The connection is lost; trying again …", "connection");
      await pause(700);
      continue;
    }
    if (left) return;
    if (response.status === 200) {
      noProblem("connection");
      await render(await response.json());
      if (state.closed) {
        noProblem();
        message("The search has ended; this page can be closed.");
        return;
      }
    } else if (response.status === 204) {
      noProblem("connection");
    } else {
      problem(await explained(response));
      if (response.status === 403) { message(""); return; }
      await pause(2000);
    }
  }
}

// Tells of a deed until the server has it: what it has stored already, it refuses as stale.
async function tell(path, body) {
  if (busy || !state || !state.question || shownKey !== state.question.key) return;
  busy = true;
  enable(false);
  const content = JSON.stringify({ key: shownKey, ...body });
  for (;;) {
    let response;
    try {
      response = await ask(path, { method: "POST", headers: { "content-type": "application/json" }, body: content });
    } catch {
      problem("The connection is lost: your last answer is not stored yet; trying again …", "connection");
      await pause(700);
      continue;
    }
    noProblem();
    if (!response.ok && response.status !== 409) {
      problem(await explained(response));
      // The question stands: it can be answered again.
      busy = false;
      ungive();
      enable(true);
    } else if (response.status === 409) {
      busy = false;
      ungive();
      enable(true);
    }
    return;
  }
}

// What is on the page.

const urls = new Map();

async function urlOf(name) {
  if (!urls.has(name)) {
    urls.set(name, (async () => {
      const response = await ask(`/media/${name}`);
      if (!response.ok) throw new Error(await explained(response));
      return URL.createObjectURL(await response.blob());
    })());
    urls.get(name).catch(() => urls.delete(name));
  }
  return urls.get(name);
}

async function letGo(needed) {
  for (const [name, url] of [...urls]) {
    if (!needed.has(name)) {
      urls.delete(name);
      try { URL.revokeObjectURL(await url); } catch { /* it never came */ }
    }
  }
}

async function put(image, name) {
  if (image.dataset.name === name) return;
  image.dataset.name = name;
  try {
    const url = await urlOf(name);
    if (image.dataset.name !== name) return;
    image.src = url;
    await image.decode();
  } catch (error) {
    // The next state tries again.
    if (image.dataset.name === name) delete image.dataset.name;
    throw error;
  }
}

async function render(next) {
  state = next;
  const asking = Boolean(next.question || next.destination) && !next.ended;
  byId("asking").hidden = !asking;
  byId("ended").hidden = !next.ended;
  byId("waiting").hidden = asking || Boolean(next.ended);
  if (!asking && !next.ended) message(next.message || "Getting ready …");
  if (next.ended) { await renderEnd(next); return; }
  try {
    await Promise.all([renderQuestion(next.question), renderStanding(next)]);
  } catch (error) {
    // What could not be fetched is shown no longer: the next state is on its way.
    shownKey = null;
    if (state === next) state = { ...next, version: next.version - 1 };
    await pause(100);
  }
}

async function renderQuestion(question) {
  if (!question) { shownKey = null; busy = true; enable(false); return; }
  if (question.key === shownKey) return;
  shownKey = null;
  enable(false);
  document.body.classList.add("loading");
  player.pause();
  const sounds = [question.left, question.right].filter((side) => side.sound).map((side) => urlOf(side.sound));
  await Promise.all([put(byId("left"), question.left.picture), put(byId("right"), question.right.picture), ...sounds]);
  if (!state.question || state.question.key !== question.key) return;
  ungive();
  document.body.classList.remove("loading");
  for (const side of ["left", "right"]) all(`[data-play='${side}']`)[0].hidden = !question[side].sound;
  // Two frames: then both are not only decoded but on the screen.
  await new Promise((done) => { requestAnimationFrame(() => requestAnimationFrame(done)); });
  if (!state.question || state.question.key !== question.key) return;
  shownKey = question.key;
  shownAt = performance.now();
  busy = false;
  lastPlayed = "right";
  enable(true);
  document.body.dataset.question = question.key;
  byId("status").textContent = `A new pair. ${counted(state)}.`;
}

function counted(now) {
  return `${now.answers} ${now.answers === 1 ? "answer" : "answers"} of at most ${now.most}`;
}

async function renderStanding(now) {
  byId("count").textContent = counted(now);
  byId("recommended").hidden = !now.destination;
  const sure = now.confidence;
  byId("sureness").hidden = sure === null;
  if (sure !== null) {
    byId("confidence").value = sure;
    byId("sure").textContent = `${Math.round(100 * sure)} %`;
  }
  byId("aim").hidden = !now.target;
  const loading = [];
  if (now.destination) loading.push(put(byId("destination"), now.destination.picture));
  all("[data-play='destination']")[0].hidden = !now.destination?.sound;
  if (now.target) loading.push(put(byId("target"), now.target));
  byId("way").hidden = now.strip.length === 0;
  const strip = byId("strip");
  const places = [...strip.children];
  now.strip.forEach((name, place) => {
    let item = places[place];
    if (!item) {
      item = document.createElement("li");
      item.append(document.createElement("img"));
      strip.append(item);
    }
    const image = item.firstElementChild;
    image.alt = place === 0 ? "The start" : `Step ${place}`;
    loading.push(put(image, name));
  });
  for (const item of places.slice(now.strip.length)) item.remove();
  await Promise.all(loading);
  const needed = new Set([...now.strip, now.target]);
  for (const medium of [now.destination, now.question?.left, now.question?.right]) {
    if (medium) { needed.add(medium.picture); needed.add(medium.sound); }
  }
  await letGo(needed);
}

async function renderEnd(now) {
  noProblem();
  const { ended } = now;
  document.title = ended.why;
  byId("why").textContent = ended.why;
  byId("total").textContent = `After ${now.answers} ${now.answers === 1 ? "answer" : "answers"}.`;
  byId("found").hidden = !ended.medium;
  const list = byId("files");
  list.replaceChildren();
  for (const [key, name] of Object.entries(ended.files)) {
    const item = document.createElement("li");
    const button = document.createElement("button");
    button.type = "button";
    button.textContent = `⤓ ${name}`;
    button.addEventListener("click", () => { download(key, name); });
    item.append(button);
    list.append(item);
  }
  const share = (part, whole) => `${part} of ${whole}`;
  const lines = [];
  if (ended.repeats) {
    lines.push(`Asked again with the sides changed, you answered the same in ${share(ended.agreed, ended.repeats)} cases.`);
  } else {
    lines.push("No question was asked a second time in this search.");
  }
  if (ended.strict) lines.push(`You chose the one on the left in ${share(ended.left, ended.strict)} cases.`);
  byId("consistency").textContent = lines.join("\n");
  if (ended.medium) {
    try {
      await put(byId("found"), ended.medium.picture);
      byId("found-sound").hidden = !ended.medium.sound;
      if (ended.medium.sound) byId("found-sound").src = await urlOf(ended.medium.sound);
    } catch { /* it is among the files */ }
  }
  byId("status").textContent = `${ended.why} ${byId("total").textContent}`;
}

async function download(key, name) {
  try {
    const response = await ask(`/files/${key}`);
    if (!response.ok) { problem(await explained(response)); return; }
    const link = document.createElement("a");
    link.href = URL.createObjectURL(await response.blob());
    link.download = name;
    link.click();
    setTimeout(() => { URL.revokeObjectURL(link.href); }, 60000);
  } catch {
    problem("The connection is lost; the files are in the run’s folder, too.");
  }
}

let focused = null; // what had the focus when it could no longer be pressed

function enable(can) {
  if (!can && document.activeElement instanceof HTMLButtonElement) focused = document.activeElement;
  for (const button of all("[data-choice], [data-accept='left'], [data-accept='right']")) button.disabled = !can;
  byId("undo").disabled = !(can && state.question && state.question.undo);
  const known = can && Boolean(state.destination);
  for (const button of [byId("restart"), ...all("[data-accept='destination']")]) button.disabled = !known;
  // Who goes from button to button stays where they were.
  if (can && focused && document.activeElement === document.body) focused.focus();
  if (can) focused = null;
}

function ungive() {
  for (const button of all(".given")) button.classList.remove("given");
}

let problemIs = null;

function problem(text, kind = "other") {
  problemIs = kind;
  byId("problem").textContent = text;
  byId("problem").hidden = false;
}

function noProblem(kind = null) {
  if (kind === null || kind === problemIs) byId("problem").hidden = true;
}

function message(text) {
  byId("message").textContent = text;
  byId("asking").hidden = true;
  byId("ended").hidden = true;
  byId("waiting").hidden = false;
}

// What the person does.

function choose(choice) {
  if (busy || !state?.question || shownKey !== state.question.key) return;
  for (const button of all(`[data-choice='${choice}']`)) button.classList.add("given");
  tell("/answer", { choice, seconds: (performance.now() - shownAt) / 1000 });
}

function enlarge() {
  const large = document.body.classList.toggle("enlarged");
  byId("enlarge").setAttribute("aria-pressed", String(large));
}

async function play(side) {
  const sound = (side === "destination" ? state?.destination : state?.question?.[side])?.sound;
  if (!sound) return;
  if (side !== "destination") lastPlayed = side;
  try {
    player.src = await urlOf(sound);
    await player.play();
  } catch (error) {
    // Another one, or another question, came before it could begin.
    if (error.name !== "AbortError") problem("The sound cannot be played.");
  }
}

const deeds = {
  undo: () => { if (!byId("undo").disabled) tell("/undo", {}); },
  enlarge,
  play: () => { play(lastPlayed === "left" ? "right" : "left"); },
};
for (const choice of choices) deeds[choice] = () => choose(choice);

// The second half of a double click is not an answer to the question that has come meanwhile.
const isEcho = (event) => event.detail > 1 && performance.now() - shownAt < 300;

for (const button of all("[data-choice]")) {
  button.addEventListener("click", (event) => { if (!isEcho(event)) choose(button.dataset.choice); });
}
for (const button of all("[data-accept]")) {
  button.addEventListener("click", (event) => {
    if (!isEcho(event)) tell("/accept", { which: button.dataset.accept });
  });
}
for (const button of all("[data-play]")) button.addEventListener("click", () => { play(button.dataset.play); });
byId("undo").addEventListener("click", (event) => { if (!isEcho(event)) deeds.undo(); });
byId("enlarge").addEventListener("click", enlarge);
byId("restart").addEventListener("click", () => {
  // Some browsers keep what it said before, and Escape would say it again.
  byId("sure-restart").returnValue = "";
  byId("sure-restart").showModal();
});
byId("sure-restart").addEventListener("close", () => {
  if (byId("sure-restart").returnValue === "yes") tell("/restart", { which: "destination" });
});
byId("finish").addEventListener("click", async () => {
  left = true;
  try {
    await ask("/leave", { method: "POST", body: "{}" });
  } catch { /* it has ended already */ }
  message("Thank you. This page can be closed.");
});
byId("upload").addEventListener("change", async () => {
  const [file] = byId("upload").files;
  byId("upload").value = "";
  byId("upload").blur();
  if (file) await aim(file);
});
byId("no-target").addEventListener("click", () => { aim(""); });

async function aim(content) {
  try {
    const response = await ask("/target", { method: "POST", body: content });
    if (response.ok) noProblem(); else problem(await explained(response));
  } catch {
    problem("The connection is lost; the picture was not taken.");
  }
}

document.addEventListener("keydown", (event) => {
  if (waitingForKey) { setKey(event); return; }
  const { target } = event;
  const onButton = target instanceof HTMLButtonElement;
  // A held key would press a focused button again and again.
  if (event.repeat && onButton && (event.key === "Enter" || event.key === " ")) event.preventDefault();
  if (event.repeat || event.ctrlKey || event.altKey || event.metaKey || event.shiftKey || event.isComposing) return;
  if (target.isContentEditable || (target.matches && target.matches("input:not([type='file']), textarea, select"))) return;
  if (document.querySelector("dialog[open]") || byId("asking").hidden) return;
  const pressed = event.key.length === 1 ? event.key.toLowerCase() : event.key;
  const deed = Object.keys(keys).find((name) => keys[name].includes(pressed));
  if (!deed) return;
  // Without sounds, and on a button, the space bar presses that.
  if (deed === "play" && (onButton || !state?.question?.left.sound)) return;
  event.preventDefault();
  deeds[deed]();
});

// Keys of the person's own.

function readKeys() {
  try {
    const stored = JSON.parse(localStorage.getItem("pbg-keys"));
    const isKnown = stored && Object.keys(defaultKeys).every((name) => Array.isArray(stored[name]));
    return isKnown ? stored : { ...defaultKeys };
  } catch {
    return { ...defaultKeys };
  }
}

function keyName(key) {
  return keyNames[key] ?? (key.length === 1 ? key.toUpperCase() : key);
}

function showKeys() {
  for (const label of all("kbd[data-key]")) {
    const names = keys[label.dataset.key].map(keyName);
    label.textContent = names.join(" ");
    label.hidden = names.length === 0;
  }
  const list = byId("key-list");
  list.replaceChildren();
  for (const [deed, name] of Object.entries(deedNames)) {
    const label = document.createElement("span");
    label.textContent = name;
    const button = document.createElement("button");
    button.type = "button";
    const isWaiting = waitingForKey === deed;
    button.textContent = isWaiting ? "press a key" : keys[deed].map(keyName).join(" or ") || "none";
    button.setAttribute("aria-pressed", String(isWaiting));
    button.setAttribute("aria-label", `${name}: ${button.textContent}`);
    button.dataset.remap = deed;
    button.addEventListener("click", () => { waitingForKey = deed; showKeys(); });
    list.append(label, button);
  }
}

function setKey(event) {
  event.preventDefault();
  event.stopPropagation();
  if (["Shift", "Control", "Alt", "Meta", "CapsLock"].includes(event.key)) return;
  const deed = waitingForKey;
  waitingForKey = null;
  if (!["Escape", "Tab", "Enter"].includes(event.key)) {
    const key = event.key.length === 1 ? event.key.toLowerCase() : event.key;
    keys = Object.fromEntries(Object.entries(keys).map(([name, held]) => [name, held.filter((one) => one !== key)]));
    keys[deed] = [key];
    try { localStorage.setItem("pbg-keys", JSON.stringify(keys)); } catch { /* then for this page alone */ }
  }
  showKeys();
  document.querySelector(`[data-remap='${deed}']`).focus();
}

byId("open-keys").addEventListener("click", () => { showKeys(); byId("keys").showModal(); });
byId("keys").addEventListener("close", () => { waitingForKey = null; showKeys(); });
byId("default-keys").addEventListener("click", () => {
  keys = { ...defaultKeys };
  try { localStorage.removeItem("pbg-keys"); } catch { /* nothing was stored */ }
  showKeys();
});

showKeys();
window.addEventListener("hashchange", () => { location.reload(); });
follow();
