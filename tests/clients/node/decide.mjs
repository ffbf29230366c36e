// Drives the page Decide of a running gateway in a real browser, as a person would, without a network.
//
//     node decide.mjs http://127.0.0.1:PORT FOLDER-FOR-SCREENSHOTS [empty]
//
// With `empty`, expects a ledger without traffic; else one with some that escalated. Fails at the first thing that is not as
// it should be; prints nothing else.

import assert from "node:assert/strict";
import { readFileSync } from "node:fs";

import { PHONE, accessible, browser, fits, open, shoot, text, url } from "./browser.mjs";

/** Waits until the page shows the answer to what it asks. */
const answered = (page) => page.locator('.decide[data-state="answered"][aria-busy="false"]').waitFor({ timeout: 30_000 });
async function visit(page, path) {
  await page.goto(url + path);
  await answered(page);
}
const verdict = (page) => text(page, "#verdict");
const figures = async (page) => [await verdict(page), await text(page, "#stacks"), await text(page, "#curve-says")];
/** What the API says to a question. */
async function ask(page, data) {
  const answer = await page.request.post(`${url}/api/v1/tco`, { data });
  assert.equal(answer.status(), 200, await answer.text());
  return answer.json();
}
async function saved(page, name) {
  const [download] = await Promise.all([page.waitForEvent("download"), page.getByRole("button", { name }).click()]);
  return readFileSync(await download.path(), "utf8");
}

const page = await open();
if (process.argv[4] === "empty") {
  await page.goto(`${url}/decide`);
  await page.locator('.decide[data-state="empty"]').waitFor();
  assert.match(await text(page, "#trouble"), /holds no answered request/);
  await accessible(page, "empty");
  await shoot(page, "decide-empty");
  await page.getByRole("link", { name: "look at an example" }).click();
  await answered(page);
  assert.match(page.url(), /from=scale-1/);
  assert.match(await verdict(page), /is the cheapest at/);
  await browser.close();
  process.exit(0);
}

// what the page says is what the engine says of the ledger
await visit(page, "/decide");
const plain = await ask(page, { from_ledger: "7d" });
const dollars = (x) => `$${x.toLocaleString("en-US", { maximumFractionDigits: x < 10 ? 2 : 0 })}`;
const winner = (report) => report.stacks.find(({ name }) => name === report.winner.name);
assert.ok((await verdict(page)).includes(`${plain.winner.name} is the cheapest at ${dollars(winner(plain).monthly_usd.mean)} a month`), await verdict(page));
assert.equal(await page.locator("#stacks tbody tr").count(), plain.stacks.length);
assert.ok((await page.locator("#curve .scatterlayer path").count()) >= 3, "a line for each stack");
assert.ok((await page.locator("#money .bars path").count()) > 0);
assert.ok(await page.locator("#chances-section").isHidden(), "nothing varies yet");

// a slider by keyboard: the figure beside it, the verdict and the address change
const before = await figures(page);
const slider = page.getByLabel("Requests a day");
const said = await text(page, "#requests-says");
await slider.focus();
for (let times = 0; times < 4; times += 1) await page.keyboard.press("PageUp");
await page.waitForFunction((old) => document.querySelector("#verdict").innerText !== old, before[0]);
await answered(page);
assert.notEqual(await text(page, "#requests-says"), said);
assert.equal(await text(page, "#requests-was"), `was ${said}`);
const moved = Number(new URL(page.url()).searchParams.get("requests"));
assert.ok(moved > plain.workload.requests_per_day, page.url());
const asked = await ask(page, { from_ledger: "7d", patch: { workload: { requests_per_day: moved } } });
assert.ok((await verdict(page)).includes(dollars(winner(asked).monthly_usd.mean)), await verdict(page));

// more of it: GPU price, overhead, peak, an escalated share; then with what may vary
const move = async (id, key) => {
  const old = await verdict(page);
  await page.locator(`#${id}`).focus();
  await page.keyboard.press(key);
  assert.ok(new URL(page.url()).searchParams.has(id), id);
  await answered(page);
  return old;
};
for (const id of ["gpu", "overhead", "peak"]) await move(id, "PageDown");
const shares = await page.locator("#routed, #turned_down").evaluateAll((all) => all.filter((one) => one.checkVisibility()).map((one) => one.id));
assert.ok(shares.length > 0, "the ledger has escalated requests");
for (const id of shares) await move(id, "PageUp");
await page.getByLabel("Let prices and capacity vary").check();
await page.locator("#chances .bars path").first().waitFor({ state: "attached" });
await answered(page);
assert.match(await verdict(page), /cheapest in \d+\.\d% of 10,000 draws/);
await accessible(page, "moved");

// the address is the state: another browser, and a reload, show the same
const now = await figures(page);
const other = await open();
await visit(other, page.url().slice(url.length));
assert.deepEqual(await figures(other), now);
assert.deepEqual(other.wrong, []);
await page.reload();
await answered(page);
assert.deepEqual(await figures(page), now);

// downloads hold what is shown
const json = JSON.parse(await saved(page, "JSON"));
assert.ok(now[0].startsWith(`${json.winner.name} is the cheapest at ${dollars(winner(json).monthly_usd.mean)} a month`), now[0]);
assert.ok(json.risk.draws === 10_000);
const html = await saved(page, "Report (HTML)");
assert.match(html, /^<!DOCTYPE html>.*Content-Security-Policy/s);
assert.ok(html.length < 2e6 && html.includes("plotly"));

// undone, all is as before
await page.getByRole("button", { name: "Undo all changes" }).click();
await page.waitForURL((address) => !address.searchParams.has("requests"));
await page.getByLabel("Let prices and capacity vary").uncheck();
await page.waitForURL((address) => !address.searchParams.has("risk"));
await answered(page);
assert.deepEqual(await figures(page), before);

// an example, at either list of prices; a bill opens
await page.getByLabel("Traffic", { exact: true }).selectOption("scale-3");
await page.waitForURL(/from=scale-3/);
await answered(page);
const catalogue = await verdict(page);
await page.getByLabel("Prices", { exact: true }).selectOption("article");
await page.waitForURL(/prices=article/);
await answered(page);
assert.notEqual(await verdict(page), catalogue);
await page.locator("#bills summary").first().click();
assert.match(await text(page, "#bills details[open]"), /list/);
await visit(page, "/decide?from=scale-2&risk=default");
await page.locator("#chances .bars path").first().waitFor({ state: "attached" });
await shoot(page, "decide-desktop");
assert.deepEqual(page.wrong, []);

// what cannot be is said, and nothing breaks
await page.goto(`${url}/decide?from=scale-2&peak=0.5`);
await page.locator('.decide[data-state="failed"]').waitFor();
assert.match(await text(page, "#trouble"), /peak_to_mean/);
assert.deepEqual(page.wrong.filter((one) => !one.includes("400")), []);

// a phone
const phone = await open({ viewport: PHONE, isMobile: true, hasTouch: true });
await visit(phone, "/decide?from=scale-2&risk=default");
await phone.locator("#chances .bars path").first().waitFor({ state: "attached" });
await fits(phone);
await accessible(phone, "phone");
await shoot(phone, "decide-phone");
assert.deepEqual(phone.wrong, []);

await browser.close();
