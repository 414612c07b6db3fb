// The C library, compiled to WebAssembly, as a few classes. Nothing here knows a page.

/** What the library said of a call that failed. */
export class DdimError extends Error {
  name = "DdimError";
}

let engine;

/** The library, compiled once. */
function library() {
  engine ??= compiled().then((module) => new Library(new WebAssembly.Instance(module, unused(module)).exports));
  return engine;
}

/** Some imports are glue of a zip reader's random numbers, which nothing here asks for. */
function unused(module) {
  const imports = {};
  for (const { module: from, name } of WebAssembly.Module.imports(module)) {
    (imports[from] ??= {})[name] = () => {
      throw new DdimError(`this is a fault of ddim, please report it: ${name} was called`);
    };
  }
  return imports;
}

async function compiled() {
  const place = new URL("./ddim.wasm", import.meta.url);
  if (place.protocol === "file:" && typeof process !== "undefined") {
    const { readFile } = await import("node:fs/promises");
    return WebAssembly.compile(await readFile(place));
  }
  const answer = await fetch(place);
  if (!answer.ok) throw new DdimError(`${place}: the server answered ${answer.status}`);
  return WebAssembly.compile(await answer.arrayBuffer());
}

class Library {
  constructor(calls) {
    this.calls = calls;
    // Who forgets free() is not forgotten.
    this.forgotten = new FinalizationRegistry(({ free, handle }) => calls[free](handle));
  }

  /** Runs `work` with room for these sizes in bytes, and gives it back afterwards. */
  withRoom(sizes, work) {
    const places = sizes.map((size) => this.calls.ddim_page_alloc(size));
    try {
      if (places.includes(0)) throw new DdimError(`there is no memory for ${sizes.join(" and ")} bytes`);
      return work(...places);
    } finally {
      places.forEach((place, k) => place && this.calls.ddim_page_free(place, sizes[k]));
    }
  }

  /** The same with texts and bytes written there; null stays null. */
  withInputs(inputs, work) {
    const encoder = new TextEncoder();
    const bytes = inputs.map((input) => (typeof input === "string" ? encoder.encode(input + "\0") : input));
    const given = bytes.filter((input) => input !== null);
    return this.withRoom(given.map((input) => input.length), (...places) => {
      given.forEach((input, k) => new Uint8Array(this.calls.memory.buffer, places[k], input.length).set(input));
      let next = 0;
      return work(...bytes.map((input) => (input === null ? 0 : places[next++])));
    });
  }

  text(place) {
    const memory = new Uint8Array(this.calls.memory.buffer);
    return new TextDecoder().decode(memory.subarray(place, memory.indexOf(0, place)));
  }

  /** A number that is not negative, or the reason. */
  good(number) {
    if (number < 0) throw new DdimError(this.text(this.calls.ddim_last_error()));
    return number;
  }

  /** A handle, or the reason. */
  made(handle) {
    if (handle === 0) throw new DdimError(this.text(this.calls.ddim_last_error()));
    return handle;
  }
}

/** Numbers of pictures as a 32-bit machine counts them. */
function checkPictures(numbers) {
  for (const [name, number] of Object.entries(numbers)) {
    if (!Number.isInteger(number) || number < 0 || number >= 2 ** 31) {
      throw new DdimError(`${name}: ${number} is not a whole number from 0 to ${2 ** 31 - 1}`);
    }
  }
}

/** JSON knows only finite numbers, and would leave the others out. */
function asJson(options) {
  return JSON.stringify(options, (name, value) => {
    if (typeof value === "number" && !Number.isFinite(value)) throw new DdimError(`${name}: ${value} is not a finite number`);
    return value;
  });
}

function sizeOf(about) {
  if (!about.picture) throw new DdimError("the model does not say how large its pictures are: its config.json has no sample_size");
  return about.picture;
}

/** What of a run is read. */
const STATE = 0;
const PREDICTION = 1;

/** A trained model. */
export class Model {
  #library;
  #handle;

  constructor(library, handle) {
    this.#library = library;
    this.#handle = library.made(handle);
    this.about = Object.freeze(JSON.parse(library.text(library.calls.ddim_model_about(handle))));
    library.forgotten.register(this, { free: "ddim_model_free", handle }, this);
  }

  /** The model that is part of the library. */
  static async embedded(name = null) {
    const library_ = await library();
    return library_.withInputs([name], (place) => new Model(library_, library_.calls.ddim_model_embedded(place, 0)));
  }

  /** A model of your own, as the files of its folder. */
  static async load({ unetConfig, schedulerConfig, card = null, weights }) {
    const library_ = await library();
    const inputs = [unetConfig, schedulerConfig, card, new Uint8Array(weights)];
    return library_.withInputs(inputs, (unet, scheduler, told, bytes) => {
      const handle = library_.calls.ddim_model_of_files(unet, scheduler, told, bytes, inputs[3].length, 0);
      return new Model(library_, handle);
    });
  }

  /** Draws all at once; the thread waits. */
  sample(options = {}) {
    const library = this.#library;
    const num = options.num ?? 1;
    const [channels, height, width] = sizeOf(this.about);
    checkPictures({ num });
    const size = num * channels * height * width;
    return library.withInputs([asJson({ ...options, num })], (words) =>
      library.withRoom([size], (place) => {
        library.good(library.calls.ddim_sample(this.#live, words, 0, 0, place, size));
        const pixels = new Uint8Array(library.calls.memory.buffer, place, size).slice();
        return { num, channels, height, width, pixels };
      }),
    );
  }

  /** Pictures `first` and behind it, step by step. */
  run(options = {}, { first = 0, count = options.num ?? 1 } = {}) {
    checkPictures({ first, count });
    const { calls } = this.#library;
    const words = asJson(options);
    const begun = (place) => calls.ddim_run_new(this.#live, place, first, count);
    return new Run(this.#library, this.#library.withInputs([words], begun), count, this.about);
  }

  /** The same as an iterator that lets others have the thread between steps. */
  async *steps(options = {}, pictures = {}) {
    const run = this.run(options, pictures);
    try {
      for (let goesOn = true; goesOn; ) {
        goesOn = run.step();
        yield run;
        await new Promise((resolve) => setTimeout(resolve));
      }
    } finally {
      run.free();
    }
  }

  get #live() {
    if (this.#handle === 0) throw new DdimError("the model was freed");
    return this.#handle;
  }

  /** Gives its memory back. */
  free() {
    this.#library.forgotten.unregister(this);
    this.#library.calls.ddim_model_free(this.#handle);
    this.#handle = 0;
  }
}

/** Some pictures under way. */
export class Run {
  #library;
  #handle;
  #about;

  constructor(library, handle, count, about) {
    this.#library = library;
    this.#handle = library.made(handle);
    this.#about = about;
    this.count = count;
    this.taken = 0;
    this.plan = JSON.parse(library.text(library.calls.ddim_run_plan(handle)));
    this.calls = this.plan.time.length;
    library.forgotten.register(this, { free: "ddim_run_free", handle }, this);
  }

  /** Takes a step; whether more are to come. */
  step() {
    const handle = this.#live;
    if (this.taken === this.calls) return false;
    const goesOn = this.#library.good(this.#library.calls.ddim_run_step(handle)) === 1;
    this.taken += 1;
    return goesOn;
  }

  /** The noisy state in 8 bits, and what the network makes of it. */
  get state() {
    return this.#pixels(STATE);
  }

  get prediction() {
    return this.#pixels(PREDICTION);
  }

  #pixels(what) {
    const [channels, height, width] = sizeOf(this.#about);
    const size = this.count * channels * height * width;
    const library = this.#library;
    return library.withRoom([size], (place) => {
      library.good(library.calls.ddim_run_pixels(this.#live, what, place, size));
      const pixels = new Uint8Array(library.calls.memory.buffer, place, size).slice();
      return { num: this.count, channels, height, width, pixels };
    });
  }

  /** Its numbers, neither clipped nor rounded. */
  values(what = "state") {
    const [channels, height, width] = this.#about.shape;
    const count = this.count * channels * height * width;
    const library = this.#library;
    const which = what === "prediction" ? PREDICTION : STATE;
    return library.withRoom([4 * count], (place) => {
      library.good(library.calls.ddim_run_values(this.#live, which, place, count));
      return new Float32Array(library.calls.memory.buffer, place, count).slice();
    });
  }

  get #live() {
    if (this.#handle === 0) throw new DdimError("the run was freed");
    return this.#handle;
  }

  free() {
    this.#library.forgotten.unregister(this);
    this.#library.calls.ddim_run_free(this.#handle);
    this.#handle = 0;
  }
}

/** The names that `solver` can have, each with one sentence. */
export async function solvers() {
  const found = await library();
  return JSON.parse(found.text(found.calls.ddim_solvers()));
}

/** The command that draws the same pictures with the program, which has students for few steps where no model is named. */
export function command(options, { model = "fashion-mnist" } = {}) {
  const quoted = (word) => (/^[\w.,:/-]+$/.test(word) ? word : `'${word.replaceAll("'", "'\\''")}'`);
  const list = (value) => (Array.isArray(value) ? value : [value]);
  const valuesOf = {
    // A name with a comma is one class in quotes.
    class: (value) => [list(value).map((name) => (String(name).includes(",") ? `"${name}"` : name)).join(",")],
    // A row is a label of its own.
    label: (value) => (Array.isArray(value) && value.some(Array.isArray) ? value.map(String) : [String(value)]),
    guidance_interval: ([above, upTo]) => [`${above},${upTo ?? "inf"}`],
  };
  // The program draws several where nothing is said, and this library one.
  const words = Object.entries({ model, num: 1, ...options }).flatMap(([name, value]) => {
    if (value === null || value === undefined || value === "") return [];
    const values = valuesOf[name]?.(value) ?? [String(value)];
    return values.map((one) => `--${name.replaceAll("_", "-")} ${quoted(one)}`);
  });
  return ["ddim sample", ...words].join(" ");
}
