// The page: options in, pictures out. All drawing is done by worker.js.
import { command } from "./ddim.js";

const ETAS = [0, 0.25, 0.5, 0.75, 1];
const $ = (id) => document.getElementById(id);

// Requests to the worker.
const worker = new Worker(new URL("./worker.js", import.meta.url), { type: "module" });
const waiting = new Map();
let requests = 0;

function ask(kind, request, onStep = () => {}) {
  const number = ++requests;
  return new Promise((resolve, reject) => {
    waiting.set(number, { resolve, reject, onStep });
    worker.postMessage({ number, kind, request });
  });
}

worker.onmessage = ({ data: { number, step, done, failed } }) => {
  const { resolve, reject, onStep } = waiting.get(number);
  if (step) return onStep(step);
  waiting.delete(number);
  return failed === undefined ? resolve(done) : reject(new Error(failed));
};
worker.onerror = (event) => say(`The page could not start: ${event.message || "see the console"}`, true);

// What is shown.
let about;
let solverTexts = {};
/** The embedded model has no folder. */
let folder = null;
let frames = [];
let shown = 0;
/** Counts what was asked for: whoever waits for an older picture gives up. */
let turns = 0;

function say(text, isWrong = false) {
  $("status").textContent = text;
  $("status").classList.toggle("wrong", isWrong);
}

function paint(canvas, { channels, height, width, pixels }) {
  [canvas.width, canvas.height] = [width, height];
  const image = new ImageData(width, height);
  for (let k = 0; k < width * height; k++) {
    const at = (channel) => pixels[k * channels + Math.min(channel, channels - 1)];
    image.data.set(channels >= 3 ? [at(0), at(1), at(2), 255] : [at(0), at(0), at(0), 255], 4 * k);
  }
  canvas.getContext("2d").putImageData(image, 0, 0);
}

function show(k) {
  shown = Math.max(0, Math.min(k, frames.length - 1));
  const frame = frames[shown];
  if (!frame) return;
  paint($("state"), frame.state);
  paint($("prediction"), frame.prediction ?? { ...frame.state, pixels: new Uint8Array(frame.state.pixels.length) });
  $("step").value = shown;
  $("step-value").textContent = `${shown} of ${$("step").max}`;
  [...$("film").children].forEach((item, place) => item.firstChild.setAttribute("aria-current", place === shown));
}

function addFrame(frame) {
  frames.push(frame);
  const canvas = document.createElement("canvas");
  paint(canvas, frame.prediction ?? frame.state);
  const button = document.createElement("button");
  const place = frames.length - 1;
  const title = place === 0 ? "The noise" : `Step ${place}`;
  Object.assign(button, { type: "button", title, onclick: () => show(place) });
  button.setAttribute("aria-label", title);
  button.append(canvas);
  const item = document.createElement("li");
  item.append(button);
  $("film").append(item);
}

/** What is asked for, as the library takes it. */
function asked() {
  const options = { seed: Number($("seed").value), steps: Number($("steps").value) };
  if ($("solver").value !== "ddim") options.solver = $("solver").value;
  else if (Number($("eta").value) > 0) options.eta = Number($("eta").value);
  if ($("class").value !== "") options.class = $("class").value;
  return options;
}

function describe() {
  const isDdim = $("solver").value === "ddim";
  $("steps-value").textContent = $("steps").value;
  $("eta-value").textContent = isDdim ? $("eta").value : "for DDIM only";
  $("eta").disabled = !isDdim;
  $("solver-about").textContent = solverTexts[$("solver").value] ?? "";
  $("command").textContent = command(asked(), { model: folder ?? undefined });
}

async function draw() {
  const turn = ++turns;
  describe();
  if (!$("options").reportValidity()) return;
  const options = asked();
  frames = [];
  $("film").replaceChildren();
  say("Drawing…");
  try {
    const { givenUp, milliseconds } = await ask("draw", { options, place: "main" }, (step) => {
      if (step.taken === 0) {
        frames = [];
        $("film").replaceChildren();
      }
      $("step").max = step.calls;
      addFrame(step);
      show(frames.length - 1);
    });
    if (givenUp || turn !== turns) return;
    say(`${frames.length - 1} network calls in ${Math.round(milliseconds)} ms`);
    await drawEtas(options, turn);
  } catch (error) {
    if (turn === turns) say(error.message, true);
  }
}

async function drawEtas(options, turn) {
  const list = $("etas");
  const isDdim = options.solver === undefined;
  $("etas-about").textContent = isDdim
    ? "The same start, with more and more noise added on the way."
    : "Eta belongs to the solver DDIM: choose it to see what eta changes.";
  if (!isDdim) return list.replaceChildren();
  const items = ETAS.map((eta) => {
    const item = document.createElement("li");
    const canvas = document.createElement("canvas");
    canvas.setAttribute("role", "img");
    canvas.setAttribute("aria-label", `Eta ${eta}`);
    item.append(canvas, `eta ${eta}`);
    return { eta, item, canvas };
  });
  list.replaceChildren(...items.map(({ item }) => item));
  for (const { eta, canvas } of items) {
    const { givenUp } = await ask("draw", { options: { ...options, eta }, place: "etas" }, (step) =>
      paint(canvas, step.state),
    );
    if (givenUp || turn !== turns) return;
  }
}

function fill(select, entries) {
  select.replaceChildren(...entries.map(([value, text]) => new Option(text, value)));
}

function meet(opened) {
  about = opened.about;
  solverTexts = opened.solvers;
  const [channels, height, width] = about.picture;
  const colours = channels === 1 ? "grey" : "colour";
  const classes = about.classes.length ? `, ${about.classes.length} classes` : "";
  $("about").textContent = `${about.name || "Your model"}: ${width}x${height}, ${colours}${classes}.`;
  fill($("class"), about.classes.map((name) => [name, name]));
  $("class").parentElement.hidden = about.classes.length === 0;
  fill($("solver"), Object.keys(solverTexts).map((name) => [name, name]));
  $("steps").max = Math.min(100, about.train_steps);
}

// A model of one's own: the files of a folder, dropped or chosen.
async function filesOf(entry) {
  if (entry.isFile) return [{ path: entry.fullPath, file: await new Promise((yes, no) => entry.file(yes, no)) }];
  const reader = entry.createReader();
  const found = [];
  for (;;) {
    const some = await new Promise((yes, no) => reader.readEntries(yes, no));
    if (some.length === 0) return found;
    for (const one of some) found.push(...(await filesOf(one)));
  }
}

async function open(files) {
  const root = files.find(({ path }) => path.endsWith("unet/config.json"))?.path.replace(/unet\/config\.json$/, "") ?? "";
  const find = (name) => files.find(({ path }) => path === root + name)?.file;
  const latent = ["vae", "vqvae"].find((part) => find(`${part}/config.json`));
  if (latent) return say(`This model draws latents (it has a folder ${latent}), which the page does not decode yet.`, true);
  const needed = ["unet/config.json", "scheduler/scheduler_config.json", "unet/diffusion_pytorch_model.safetensors"];
  const missing = needed.filter((name) => !find(name));
  if (missing.length) {
    return say(`This folder is not a model that the page reads: it has no ${missing.join(", no ")}.`, true);
  }
  say("Reading the model…");
  try {
    const [unet, scheduler, weights] = needed.map(find);
    const read = {
      unetConfig: await unet.text(),
      schedulerConfig: await scheduler.text(),
      card: (await find("ddim.json")?.text()) ?? null,
      weights: await weights.arrayBuffer(),
    };
    meet(await ask("open", { files: read }));
    folder = files[0].path.replace(/^\//, "").split("/")[0];
    await draw();
  } catch (error) {
    say(error.message, true);
  }
}

$("folder").onchange = ({ target }) => open([...target.files].map((file) => ({ path: file.webkitRelativePath, file })));
addEventListener("dragover", (event) => {
  event.preventDefault();
  document.body.classList.add("dropping");
});
addEventListener("dragleave", () => document.body.classList.remove("dropping"));
addEventListener("drop", async (event) => {
  event.preventDefault();
  document.body.classList.remove("dropping");
  const entries = [...event.dataTransfer.items].map((item) => item.webkitGetAsEntry()).filter(Boolean);
  const files = (await Promise.all(entries.map(filesOf))).flat();
  if (files.length) await open(files);
});

let soon;
$("options").addEventListener("input", ({ target }) => {
  if (target.id === "folder") return;
  describe();
  clearTimeout(soon);
  soon = setTimeout(draw, 150);
});
$("options").addEventListener("submit", (event) => event.preventDefault());
$("step").oninput = () => show(Number($("step").value));
$("another").onclick = () => {
  $("seed").value = Math.floor(Math.random() * 1e9);
  draw();
};
$("replay").onclick = async () => {
  for (let k = 0; k < frames.length; k++) {
    show(k);
    await new Promise((resolve) => setTimeout(resolve, 60));
  }
};
$("copy").onclick = async () => {
  const said = navigator.clipboard?.writeText($("command").textContent).then(() => "Copied");
  say((await said?.catch(() => null)) ?? "This browser does not let the page copy: mark the command by hand");
};

try {
  meet(await ask("open", {}));
  await draw();
} catch (error) {
  say(`The model could not be loaded: ${error.message}`, true);
}
