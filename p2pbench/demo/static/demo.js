import { Drawing } from "./canvas.js";

const $ = (id) => document.getElementById(id);
const DEBOUNCE = 120; // ms of rest before a drawing is sent
const MOST_SIDE = 1024;
const MODES = { paper: "paper: dropout on", "instance-stats": "instance-stats: no dropout", eval: "eval: running statistics" };

const about = await (await fetch("/api/models")).json();
const drawing = new Drawing($("canvas"), $("cursor"), changed);
let source = null; // the file as it came, sent instead of the canvas while nothing is drawn on it
let example = null; // the number of the example that was begun from
let seed = 0;
let pictures = {}; // address of each picture that can be compared, by its name
let timer = 0;
let busy = false;
let note = ""; // what the server says of the picture that it translated last
let stale = false;

// ---- the condition

async function showExample(number) {
  const blob = await (await fetch(`/api/examples/${number}/condition.png`)).blob();
  await show(blob, about.examples[number].size);
  source = blob;
  example = number;
  document.querySelectorAll("#examples button").forEach((button, at) => button.setAttribute("aria-pressed", at === number));
  refresh();
}

async function show(blob, size) {
  const image = await createImageBitmap(blob);
  const [height, width] = size ?? fitted(image);
  drawing.load(width, height, image, about.palette.kind === "grey" && !size);
  drawn();
}

// An upload scaled so that its shorter side is the one trained at; or at its own size, up to a limit.
function fitted({ width, height }) {
  const [rows, columns] = about.models[0].size;
  const short = Math.min(width, height), long = Math.max(width, height);
  const wanted = $("fit").value === "trained" ? Math.min(rows, columns) / short : 1;
  const scale = Math.min(wanted, MOST_SIDE / long);
  return [height, width].map((side) => Math.max(1, Math.round(side * scale)));
}

async function upload(file) {
  if (!file) return;
  try {
    await show(file);
  } catch {
    return say("This file is no picture that your browser can read.", true);
  }
  source = example = null;
  document.querySelectorAll("#examples button").forEach((button) => button.setAttribute("aria-pressed", false));
  refresh();
}

function changed(goesOn) {
  drawn();
  clearTimeout(timer);
  timer = setTimeout(refresh, goesOn ? 2 * DEBOUNCE : DEBOUNCE);
}

function drawn() {
  $("undo").disabled = !drawing.canUndo;
  $("redo").disabled = !drawing.canRedo;
}

function condition() {
  if (source && drawing.untouched) return Promise.resolve(source);
  return new Promise((resolve) => $("canvas").toBlob(resolve, "image/png"));
}

// ---- the outputs: one request at a time, always of the newest drawing

async function refresh() {
  stale = true;
  if (busy) return;
  busy = true;
  document.body.dataset.busy = "yes";
  while (stale) {
    stale = false;
    const picture = await condition();
    layTiles();
    keep("condition", picture, "Condition");
    const took = [];
    for (const tile of document.querySelectorAll("figure[data-model]")) {
      const start = performance.now();
      if (!(await fillTile(tile, picture)) || stale) break;
      took.push(performance.now() - start);
    }
    if (!stale && took.length === document.querySelectorAll("figure[data-model]").length) {
      const time = `${Math.round(took.reduce((a, b) => a + b) / took.length)} ms each`;
      say(`${took.length} ${took.length > 1 ? "outputs" : "output"}, ${time}${note && `; ${note}`}`);
    }
  }
  busy = false;
  document.body.dataset.busy = "no";
}

async function fillTile(tile, picture) {
  const form = new FormData();
  form.set("image", picture, "picture.png");
  form.set("model", tile.dataset.model);
  form.set("seed", tile.dataset.seed);
  if ($("whole").checked) form.set("whole", "1");
  if (tile.dataset.mode) form.set("mode", tile.dataset.mode);
  tile.classList.add("waiting");
  for (;;) {
    let response;
    try {
      response = await fetch("/api/translate", { method: "POST", body: form });
    } catch {
      say("The server does not answer. Is it still running?", true);
      return false;
    }
    if (response.status === 503 && !stale) {
      const seconds = Number(response.headers.get("Retry-After")) || 1;
      say(`The server is busy; trying again in ${seconds} s`);
      await new Promise((resolve) => setTimeout(resolve, 1000 * seconds));
      continue;
    }
    if (!response.ok) {
      const answer = await response.json().catch(() => ({ error: `status ${response.status}` }));
      say(answer.error, true);
      return false;
    }
    note = response.headers.get("X-Note") ?? "";
    const scores = JSON.parse(response.headers.get("X-Scores") ?? "{}");
    const address = keep(tile.dataset.key, await response.blob(), tile.dataset.label);
    tile.querySelector("img").src = address;
    tile.querySelector("a").href = address;
    tile.querySelector(".scores").textContent = written(scores);
    tile.classList.remove("waiting");
    return true;
  }
}

function written({ l1, psnr, ssim }) {
  const parts = [];
  if (l1 !== undefined) parts.push(`L1 ${l1.toFixed(3)}`);
  if (psnr !== undefined) parts.push(`PSNR ${psnr.toFixed(1)}`);
  if (ssim !== undefined) parts.push(`SSIM ${ssim.toFixed(2)}`);
  return parts.join(" · ");
}

function layTiles() {
  const wanted = [];
  const mode = $("mode").value;
  for (const model of about.models) {
    const used = model.modes.includes(mode) ? mode : model.modes[0];
    const count = used === "paper" && model.noise ? Number($("samples").value) : 1;
    for (let sample = 0; sample < count; sample++) {
      const label = count > 1 ? `${model.label} · noise ${seed + sample}` : model.label;
      wanted.push({ key: `${model.name}/${sample}`, model: model.name, seed: seed + sample, mode: used, label });
    }
  }
  const layout = JSON.stringify([wanted, example]);
  if ($("tiles").dataset.layout === layout) return;
  $("tiles").dataset.layout = layout;
  for (const key of Object.keys(pictures)) if (key !== "condition" && !wanted.some((one) => one.key === key)) forget(key);
  $("tiles").replaceChildren(...wanted.map(tile));
  if (example !== null) {
    const figure = tile({ key: "target", label: "Target (the untouched example's)" });
    delete figure.dataset.model;
    figure.querySelector("img").src = figure.querySelector("a").href = pictureOf("target", `/api/examples/${example}/target.png`, "Target");
    $("tiles").append(figure);
  }
  $("tiles").classList.toggle("single", $("tiles").children.length <= 2);
  choices();
}

function tile(about) {
  const figure = document.createElement("figure");
  Object.assign(figure.dataset, about);
  const image = document.createElement("img");
  image.alt = about.label;
  if (pictures[about.key]) image.src = pictures[about.key].address;
  const caption = document.createElement("figcaption");
  const scores = document.createElement("span");
  scores.className = "scores";
  const link = document.createElement("a");
  link.textContent = "Download";
  link.download = `${about.key.replace("/", "-")}.png`;
  caption.append(about.label, scores, link);
  figure.append(image, caption);
  return figure;
}

// ---- comparing

function keep(key, blob, label) {
  return pictureOf(key, URL.createObjectURL(blob), label);
}

function pictureOf(key, address, label) {
  forget(key);
  pictures[key] = { address, label };
  choices();
  return address;
}

function forget(key) {
  if (pictures[key]?.address.startsWith("blob:")) URL.revokeObjectURL(pictures[key].address);
  delete pictures[key];
}

function choices() {
  const order = ["condition", ...[...$("tiles").children].map((figure) => figure.dataset.key)].filter((key) => pictures[key]);
  for (const side of ["left", "right"]) {
    const select = $(side);
    const was = select.value;
    select.replaceChildren(...order.map((key) => new Option(pictures[key].label, key)));
    const first = order.length > 1 ? order[1] : "condition";
    select.value = order.includes(was) && select.dataset.chosen ? was : side === "left" ? "condition" : first;
    const image = $(`wipe-${side}`);
    const picture = pictures[select.value];
    if (picture && image.src !== picture.address) image.src = picture.address;
    image.alt = picture?.label ?? "";
  }
}

function wipe(percent) {
  $("wipe-at").value = percent;
  $("wipe").style.setProperty("--at", `${percent}%`);
}

function wipeTo(event) {
  const box = $("wipe").getBoundingClientRect();
  wipe(Math.min(Math.max((100 * (event.clientX - box.left)) / box.width, 0), 100));
}

// ---- controls

function say(text, bad = false) {
  $("status").textContent = text;
  $("status").classList.toggle("bad", bad);
}

function choose(group, chosen) {
  for (const button of group.querySelectorAll("[role=radio]")) {
    button.setAttribute("aria-checked", button === chosen);
    button.tabIndex = button === chosen ? 0 : -1;
  }
}

function radios(group, use) {
  group.addEventListener("click", (event) => {
    const button = event.target.closest("[role=radio]");
    if (button) use(button);
  });
  group.addEventListener("keydown", (event) => {
    const step = { ArrowRight: 1, ArrowDown: 1, ArrowLeft: -1, ArrowUp: -1 }[event.key];
    if (!step) return;
    const buttons = [...group.querySelectorAll("[role=radio]")];
    const next = buttons[(buttons.indexOf(event.target.closest("[role=radio]")) + step + buttons.length) % buttons.length];
    next.focus();
    use(next);
    event.preventDefault();
  });
}

function useTool(button) {
  drawing.tool = button.dataset.tool;
  choose($("tools"), button);
}

function useColour(button) {
  drawing.colour = button.dataset.colour;
  choose($("swatches"), button);
  if (drawing.tool === "eraser") useTool($("tools").querySelector("[data-tool=brush]"));
}

function useSize(value) {
  drawing.radius = Number(($("size").value = value));
  $("size-text").value = $("size").value;
}

function laySwatches() {
  const { kind, swatches } = about.palette;
  drawing.ground = swatches[0]?.[1] ?? "#ffffff";
  const colours = swatches.length ? swatches : [["black", "#000000"], ["grey", "#808080"], ["white", "#ffffff"]];
  for (const [name, colour] of colours) {
    const button = document.createElement("button");
    button.type = "button";
    button.setAttribute("role", "radio");
    button.dataset.colour = colour;
    const patch = document.createElement("i");
    patch.style.background = colour;
    button.append(patch, name);
    $("swatches").append(button);
  }
  if (kind === "colour") {
    const free = document.createElement("input");
    free.type = "color";
    free.setAttribute("aria-label", "Another colour");
    free.addEventListener("input", () => (drawing.colour = free.value));
    $("swatches").append(free);
  }
  radios($("swatches"), useColour);
  const buttons = $("swatches").querySelectorAll("[role=radio]");
  useColour(buttons[kind === "labels" ? Math.min(2, buttons.length - 1) : kind === "edges" ? 1 : 0]);
}

radios($("tools"), useTool);
useTool($("tools").querySelector("[data-tool=brush]"));
laySwatches();
$("size").addEventListener("input", () => useSize($("size").value));
$("undo").addEventListener("click", () => drawing.undo());
$("redo").addEventListener("click", () => drawing.undo(-1));
$("clear").addEventListener("click", () => drawing.clear());
for (const id of ["file", "camera"]) {
  $(id).addEventListener("change", async (event) => {
    await upload(event.target.files[0]);
    event.target.value = ""; // so that the same file can be chosen again
  });
}
document.addEventListener("paste", (event) => upload([...event.clipboardData.files].find((file) => file.type.startsWith("image/"))));
document.addEventListener("dragover", (event) => {
  event.preventDefault();
  document.body.classList.add("dropping");
});
document.addEventListener("dragleave", (event) => event.relatedTarget ?? document.body.classList.remove("dropping"));
document.addEventListener("drop", (event) => {
  event.preventDefault();
  document.body.classList.remove("dropping");
  upload(event.dataTransfer.files[0]);
});
document.addEventListener("keydown", (event) => {
  if (event.target.matches("select, input:not([type=range])")) return;
  const key = event.key.toLowerCase();
  if ((event.ctrlKey || event.metaKey) && key !== "z") return;
  const tool = { b: "brush", r: "box", f: "fill", e: "eraser" }[key];
  if (tool) useTool($("tools").querySelector(`[data-tool=${tool}]`));
  else if (key === "z") drawing.undo(event.shiftKey ? -1 : 1);
  else if (key === "y") drawing.undo(-1);
  else if (key === "[") useSize(Number($("size").value) - 2);
  else if (key === "]") useSize(Number($("size").value) + 2);
  else return;
  event.preventDefault();
});
for (const side of ["left", "right"]) {
  $(side).addEventListener("change", () => {
    $(side).dataset.chosen = "yes";
    choices();
  });
}
$("wipe-at").addEventListener("input", () => wipe($("wipe-at").value));
$("wipe").addEventListener("pointerdown", (event) => {
  $("wipe").setPointerCapture(event.pointerId);
  wipeTo(event);
});
$("wipe").addEventListener("pointermove", (event) => event.buttons && wipeTo(event));
const modes = [...new Set(about.models.flatMap((model) => model.modes))];
$("mode").replaceChildren(...modes.map((mode) => new Option(MODES[mode] ?? `${mode}: steps along a path`, mode)));
const noisy = about.models.some((model) => model.noise);
function showNoise() {
  const on = noisy && $("mode").value === "paper";
  $("samples-label").hidden = $("again").hidden = !on;
}
$("mode").addEventListener("change", () => {
  showNoise();
  refresh();
});
$("samples").addEventListener("change", refresh);
$("whole").addEventListener("change", refresh);
$("again").addEventListener("click", () => {
  seed += Number($("samples").value);
  refresh();
});
showNoise();
$("origin").textContent = location.origin;
wipe(50);

about.examples.forEach((one, number) => {
  const button = document.createElement("button");
  button.type = "button";
  button.title = `Test example ${one.name}`;
  const image = document.createElement("img");
  image.src = `/api/examples/${number}/condition.png`;
  image.alt = button.title;
  button.append(image);
  button.addEventListener("click", () => showExample(number));
  $("examples").append(button);
});
const side = Math.min(...about.models[0].size);
useSize(Math.max(2, Math.round(side / 24)));
if (about.examples.length) await showExample(0);
else {
  $("examples").hidden = true;
  drawing.load(about.models[0].size[1], about.models[0].size[0], null, false);
  drawn();
  refresh();
}
