// The package in Node beside the program: `node package.mjs FOLDER DDIM`. Bytes equal, errors in words.
import assert from "node:assert/strict";
import { execFileSync } from "node:child_process";
import { mkdtempSync, readFileSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import path from "node:path";
import { pathToFileURL } from "node:url";
import zlib from "node:zlib";

const [folder, program] = process.argv.slice(2).map((file) => path.resolve(file));
const { Model, DdimError, command, solvers } = await import(pathToFileURL(path.join(folder, "ddim.js")));
const work = mkdtempSync(path.join(tmpdir(), "ddim-web-"));

/** The bytes of the pictures in an .npz. */
function images(file) {
  const bytes = readFileSync(file);
  for (let at = 0; bytes.readUInt32LE(at) === 0x04034b50; ) {
    const [method, packed] = [bytes.readUInt16LE(at + 8), bytes.readUInt32LE(at + 18)];
    const name = bytes.toString("latin1", at + 30, at + 30 + bytes.readUInt16LE(at + 26));
    const start = at + 30 + bytes.readUInt16LE(at + 26) + bytes.readUInt16LE(at + 28);
    const data = bytes.subarray(start, start + packed);
    if (/^(arr_0|images)/.test(name)) {
      const npy = method === 0 ? data : zlib.inflateRawSync(data);
      return npy.subarray(10 + npy.readUInt16LE(8));
    }
    at = start + packed;
  }
  throw new Error(`${file} holds no pictures`);
}

const model = await Model.embedded();
assert.deepEqual(model.about.picture, [1, 28, 28]);
assert.equal(model.about.classes.length, 10);
assert.ok(Object.keys(await solvers()).length >= 20);

for (const options of [
  { num: 10, seed: 7, steps: 20 },
  { num: 3, seed: 1, steps: 10, eta: 1, class: "coat" },
  { num: 2, seed: 2, steps: 8, solver: "unipc" },
  { num: 2, seed: 3, steps: 6, solver: "heun", guidance: 2, class: "9" },
]) {
  const out = path.join(work, "o.npz");
  const words = command(options).split(" ").slice(1);
  execFileSync(program, [...words, "--device", "cpu", "--out", out, "--force"], { stdio: "ignore" });
  const start = performance.now();
  const drawn = model.sample(options).pixels;
  const each = (performance.now() - start) / options.num;
  assert.ok(Buffer.from(drawn).equals(images(out)), `${command(options)} draws other bytes`);
  console.log(`${command(options)}: the same bytes, ${each.toFixed(0)} ms a picture`);
}

// Picture 2 by itself, step by step, is picture 2.
const options = { seed: 7, steps: 5, eta: 1 };
let [last, seen] = [null, 0];
for await (const run of model.steps(options, { first: 2 })) {
  seen += 1;
  assert.deepEqual([run.taken, run.calls], [seen, 5]);
  assert.equal(run.values().length, 784);
  last = [run.state.pixels, run.prediction.pixels];
}
assert.equal(seen, 5);
const all = model.sample({ ...options, num: 3 }).pixels;
assert.deepEqual(last[0], all.slice(2 * 784));

// A folder of one's own gives the model of the folder.
const goldens = new URL("../../../tests/goldens/models/attention_one_layer/", import.meta.url);
const read = (file) => readFileSync(new URL(file, goldens));
const own = await Model.load({
  unetConfig: read("unet/config.json").toString(),
  schedulerConfig: read("scheduler/scheduler_config.json").toString(),
  weights: read("unet/diffusion_pytorch_model.safetensors"),
});
const out = path.join(work, "own.npz");
execFileSync(program, ["sample", "--model", goldens.pathname, "--num", "2", "--steps", "4", "--device", "cpu", "--out", out], {
  stdio: "ignore",
});
assert.ok(Buffer.from(own.sample({ num: 2, steps: 4 }).pixels).equals(images(out)));

const refused = (work, words) => assert.throws(work, (error) => error instanceof DdimError && words.test(error.message));
refused(() => model.sample({ stps: 5 }), /stps: there is no such option; the nearest is steps/);
refused(() => model.sample({ class: "hat stand" }), /class: /);
refused(() => model.sample({ eta: NaN }), /eta: NaN is not a finite number/);
refused(() => model.run({}, { count: 0 }), /one at least/);
await assert.rejects(Model.load({ unetConfig: "{", schedulerConfig: "{}", weights: new Uint8Array(8) }), /model/);
refused(() => own.run({}, { first: 2 ** 32 }), /first: 4294967296 is not a whole number/);
const run = own.run({ steps: 2 });
own.free();
refused(() => own.sample(), /was freed/);
assert.ok(run.step() && !run.step() && !run.step() && run.taken === 2, "a run goes on without its model");
run.free();
refused(() => run.step(), /was freed/);
refused(() => model.sample({ num: -1 }), /num: -1 is not a whole number/);
assert.equal(command({ class: "ankle boot", seed: 7 }), "ddim sample --model fashion-mnist --num 1 --class 'ankle boot' --seed 7");
assert.equal(command({ class: ["tench, Tinca", 3] }), `ddim sample --model fashion-mnist --num 1 --class '"tench, Tinca",3'`);
assert.equal(command({ guidance_interval: [0.2, null] }), "ddim sample --model fashion-mnist --num 1 --guidance-interval 0.2,inf");
assert.equal(command({ label: [[1, 2], [3, 4]] }), "ddim sample --model fashion-mnist --num 1 --label 1,2 --label 3,4");
assert.equal(command({ label: [1, 2] }, { model: "a b" }), "ddim sample --model 'a b' --num 1 --label 1,2");
rmSync(work, { recursive: true });
console.log("the package draws the program's bytes");
