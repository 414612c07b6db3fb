// The page in a real browser: `node page.mjs FOLDER DDIM [SHOTS]`. Needs playwright-core (PLAYWRIGHT says where its index.mjs
// is) and a Chromium (CHROMIUM says which).
import assert from "node:assert/strict";
import { execFileSync } from "node:child_process";
import { createReadStream, existsSync, mkdtempSync, mkdirSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import http from "node:http";
import { tmpdir } from "node:os";
import path from "node:path";
import { fileURLToPath } from "node:url";

const { chromium } = await import(process.env.PLAYWRIGHT ?? "playwright-core");
const [folder, program, shots] = process.argv.slice(2).map((file) => path.resolve(file));
const work = mkdtempSync(path.join(tmpdir(), "ddim-page-"));

// A plain file server: no special headers, and no type for .wasm.
const types = { ".html": "text/html", ".js": "text/javascript", ".css": "text/css" };
const server = http.createServer((request, response) => {
  const file = path.join(folder, new URL(request.url, "http://x").pathname.replace(/\/$/, "/index.html"));
  if (!file.startsWith(folder) || !existsSync(file)) return response.writeHead(404).end();
  response.writeHead(200, { "content-type": types[path.extname(file)] ?? "application/octet-stream" });
  createReadStream(file).pipe(response);
});
await new Promise((listening) => server.listen(0, "127.0.0.1", listening));

const browser = await chromium.launch({ executablePath: process.env.CHROMIUM ?? "/usr/bin/chromium", args: ["--no-sandbox"] });
const page = await browser.newPage({ viewport: { width: 1280, height: 900 } });
const complaints = [];
page.on("console", (message) => {
  // The last is about this test, which reads what was painted.
  const isOurs = ["error", "warning"].includes(message.type()) && !message.text().includes("willReadFrequently");
  if (isOurs) complaints.push(message.text());
});
page.on("pageerror", (error) => complaints.push(String(error)));

const finished = () =>
  page.waitForFunction(() => /network calls in|no model|could not|:/.test(document.getElementById("status").textContent), null, {
    timeout: 60_000,
  });
/** Changes controls and waits for the picture that they mean. */
async function choose(change) {
  await page.evaluate(() => (document.getElementById("status").textContent = ""));
  await change();
  await finished();
  return page.locator("#status").textContent();
}
/** The grey levels of the picture that is shown. */
const grey = () =>
  page.evaluate(() => {
    const canvas = document.getElementById("state");
    const { data } = canvas.getContext("2d").getImageData(0, 0, canvas.width, canvas.height);
    return Array.from(data.filter((_, k) => k % 4 === 0));
  });
/** What the program draws for the command on the page, as a PGM without its head. */
async function native() {
  const words = (await page.locator("#command").textContent()).match(/'[^']*'|\S+/g).slice(1);
  const out = path.join(work, "native.npz");
  const plain = words.map((word) => word.replaceAll("'", ""));
  execFileSync(program, [...plain, "--device", "cpu", "--force", "--out", out], { stdio: "ignore" });
  execFileSync("python3", ["-c", `
import sys, zipfile
with zipfile.ZipFile(sys.argv[1]) as archive:
    name = next(name for name in archive.namelist() if name.startswith(("images", "arr_0")))
    open(sys.argv[2], "wb").write(archive.read(name)[-784:])`, out, path.join(work, "native")]);
  return Array.from(readFileSync(path.join(work, "native")));
}

const started = Date.now();
await page.goto(`http://127.0.0.1:${server.address().port}/`);
await finished();
console.log(`first picture after ${Date.now() - started} ms; ${await page.locator("#status").textContent()}`);
assert.deepEqual(await grey(), await native());
assert.equal(await page.locator("#film li").count(), 21);
assert.equal(await page.locator("#class option").count(), 10);

// By the keyboard alone: class, solver, steps; the bytes are the program's each time.
for (const [id, keys] of [["class", ["ArrowDown", "ArrowDown"]], ["steps", Array(8).fill("ArrowLeft")], ["eta", Array(5).fill("ArrowRight")]]) {
  await choose(async () => {
    await page.focus(`#${id}`);
    for (const key of keys) await page.keyboard.press(key);
  });
  assert.deepEqual(await grey(), await native(), `after ${id}`);
}
assert.match(await page.locator("#command").textContent(), /--num 1 --seed 7 --steps 12 --eta 0.25 --class/);
await choose(() => page.selectOption("#solver", "unipc"));
assert.deepEqual(await grey(), await native(), "unipc");
assert.ok(await page.locator("#eta").isDisabled());
await choose(() => page.selectOption("#solver", "ddim"));

// The slider goes through the steps.
await page.focus("#step");
await page.keyboard.press("Home");
assert.equal(await page.locator("#step-value").textContent(), "0 of 12");
await page.keyboard.press("End");

// A quick hand: the last choice is what is shown.
await choose(async () => {
  for (const seed of ["1", "2", "3"]) await page.fill("#seed", seed);
});
assert.deepEqual(await grey(), await native(), "after three seeds");

// The same noise with several etas.
await page.waitForFunction(() => document.querySelectorAll("#etas canvas").length === 5);

if (shots) {
  mkdirSync(shots, { recursive: true });
  await page.waitForTimeout(3000);
  for (const [width, name] of [[1280, "wide"], [390, "narrow"]]) {
    for (const colorScheme of ["light", "dark"]) {
      await page.setViewportSize({ width, height: 900 });
      await page.emulateMedia({ colorScheme });
      await page.screenshot({ path: path.join(shots, `${name}-${colorScheme}.png`), fullPage: true });
    }
  }
  const overflow = await page.evaluate(() => document.documentElement.scrollWidth - innerWidth);
  assert.ok(overflow <= 0, `the page is ${overflow} pixels wider than a telephone`);
}

// A folder that is not a model, then one that is.
const none = path.join(work, "none");
mkdirSync(none);
writeFileSync(path.join(none, "readme.txt"), "no model");
assert.match(await choose(() => page.setInputFiles("#folder", none)), /not a model that the page reads: it has no unet\/config\.json/);
const goldens = fileURLToPath(new URL("../../../tests/goldens/models/attention_one_layer", import.meta.url));
await choose(() => page.setInputFiles("#folder", goldens));
assert.match(await page.locator("#about").textContent(), /16x16, colour/);
assert.match(await page.locator("#command").textContent(), /--model attention_one_layer/);

assert.deepEqual(complaints, []);
await browser.close();
server.close();
rmSync(work, { recursive: true });
console.log("the page draws the program's bytes");
