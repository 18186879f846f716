// Looks at reports as people do. Arguments: the folder of reports, and a folder for pictures (or nothing).
import { chromium } from "playwright-core";
import { readFileSync, mkdtempSync, rmSync, statSync } from "node:fs";
import { createRequire } from "node:module";
import { tmpdir } from "node:os";
import { join } from "node:path";

const [work, pictures] = process.argv.slice(2);
const axe = readFileSync(createRequire(import.meta.url).resolve("axe-core/axe.min.js"), "utf8");
const profile = mkdtempSync(join(tmpdir(), "browser-"));
let failed = 0;
const check = (name, good, why = "") => {
  console.log(`${good ? "PASS" : "FAIL"} ${name}${good ? "" : `: ${why}`}`);
  if (!good) failed += 1;
};
const context = await chromium.launchPersistentContext(profile, {
  executablePath: "/usr/bin/chromium",
  headless: true,
  args: ["--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run", "--disable-background-networking",
    "--disable-component-update", "--disable-sync"],
});
const limits = { three: 300_000, good: 300_000, thousand: 3_000_000 };
for (const [name, limit] of Object.entries(limits)) {
  const file = join(work, `${name}.html`);
  const size = statSync(file).size;
  check(`${name}: ${size} bytes are fewer than ${limit}`, size < limit, `${size}`);
  for (const scheme of ["light", "dark"]) {
    for (const width of [390, 1440]) {
      const page = await context.newPage();
      const errors = [], requests = [];
      page.on("console", (line) => { if (["error", "warning"].includes(line.type())) errors.push(line.text()); });
      page.on("pageerror", (error) => errors.push(String(error)));
      page.on("request", (request) => { if (!request.url().startsWith("file://") || !request.url().endsWith(".html")) requests.push(request.url()); });
      await page.setViewportSize({ width, height: 900 });
      await page.emulateMedia({ colorScheme: scheme });
      const begun = Date.now();
      await page.goto(`file://${file}`);
      const took = Date.now() - begun;
      const label = `${name}, ${scheme}, ${width} px`;
      check(`${label}: no error on the console`, errors.length === 0, errors.join("; "));
      check(`${label}: no request`, requests.length === 0, requests.join("; "));
      const wide = await page.evaluate(() => document.documentElement.scrollWidth - document.documentElement.clientWidth);
      check(`${label}: nothing sticks out`, wide <= 0, `${wide} px too wide`);
      const ground = await page.evaluate(() => getComputedStyle(document.body).backgroundColor);
      const [red] = ground.match(/\d+/g).map(Number);
      check(`${label}: the ground is ${scheme}`, scheme === "light" ? red > 200 : red < 60, ground);
      await page.evaluate(axe);
      const found = await page.evaluate(async () => (await globalThis.axe.run(document, { resultTypes: ["violations"] })).violations
        .map((one) => `${one.id} (${one.nodes.length}): ${one.nodes[0].html.slice(0, 120)} ${one.nodes[0].failureSummary.split("\n")[1] ?? ""}`));
      check(`${label}: axe finds nothing`, found.length === 0, found.join(" | "));
      if (name === "thousand") check(`${label}: loaded in ${took} ms`, took < 5000, `${took}`);
      if (pictures && name === "three") {
        await page.screenshot({ path: join(pictures, `report-${scheme}-${width}.png`), clip: { x: 0, y: 0, width, height: Math.min(900, 900) } });
      }
      await page.close();
    }
  }
}
{
  // by keyboard alone
  const page = await context.newPage();
  await page.goto(`file://${join(work, "three.html")}`);
  await page.keyboard.press("Tab");
  check("keyboard: first comes the way past the header", await page.evaluate(() => document.activeElement.className === "skip"));
  await page.keyboard.press("Enter");
  check("keyboard: it leads to the report", page.url().endsWith("#main"));
  const names = [];
  for (let n = 0; n < 40; n += 1) {
    await page.keyboard.press("Tab");
    names.push(await page.evaluate(() => document.activeElement.tagName.toLowerCase() + (document.activeElement.id ? `#${document.activeElement.id}` : "")));
  }
  check("keyboard: the search can be reached", names.includes("input#find"), names.join(" "));
  check("keyboard: tasks can be reached", names.includes("summary"), names.join(" "));
  await page.focus("details.task:not([open]) > summary");
  await page.keyboard.press("Enter");
  check("keyboard: a task opens", await page.evaluate(() => document.activeElement.parentElement.open));
  const outline = await page.evaluate(() => getComputedStyle(document.activeElement).outlineStyle);
  check("keyboard: one sees where one is", outline !== "none", outline);
  await page.focus("#find");
  await page.keyboard.type("conf");
  const shown = await page.evaluate(() => [...document.querySelectorAll("details.task")].filter((task) => !task.hidden).map((task) => task.querySelector(".name").textContent));
  check("search: only tasks with the word", shown.length > 0 && shown.length < 5 && shown.some((name) => name.includes("etcd.conf")), shown.join(", "));
  await page.fill("#find", "");
  await page.check("#quiet");
  const worth = await page.evaluate(() => [...document.querySelectorAll("details.task")].filter((task) => !task.hidden).length);
  check("search: changes and failures only", worth === 2, `${worth}`);
  check("what hosts say is text", (await page.locator("main b b, main script").count()) === 0);
  await page.close();
}
{
  // printed
  const page = await context.newPage();
  await page.goto(`file://${join(work, "three.html")}`);
  const pdf = await page.pdf({ format: "A4" });
  check("print: it is some pages", pdf.length > 5000, `${pdf.length}`);
  await page.emulateMedia({ media: "print" });
  check("print: tools are gone", await page.evaluate(() => getComputedStyle(document.querySelector(".tools")).display === "none"));
  const ink = await page.evaluate(() => getComputedStyle(document.body).backgroundColor);
  check("print: on white", /255, 255, 255/.test(ink), ink);
  await page.emulateMedia({ media: "print", colorScheme: "dark" });
  const dark = await page.evaluate(() => getComputedStyle(document.body).backgroundColor);
  check("print: on white, also where screens are dark", /255, 255, 255/.test(dark), dark);
  await page.close();
}
await context.close();
rmSync(profile, { recursive: true, force: true });
console.log(failed ? `${failed} failed` : "all is well");
process.exit(failed ? 1 : 0);
