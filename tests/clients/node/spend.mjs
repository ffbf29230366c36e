// Drives the page Spend of a running gateway in a real browser, as a person would, without a network.
//
//     node spend.mjs http://127.0.0.1:PORT FOLDER-FOR-SCREENSHOTS
//
// Expects traffic with the tag `team`, of which some has the value `ads`. Fails at the first thing that is not as it should
// be; prints nothing else.

import assert from "node:assert/strict";
import { readFileSync } from "node:fs";

import { PHONE, accessible, browser, fits, open, shoot, text, url } from "./browser.mjs";

async function visit(page, path) {
  await page.goto(url + path);
  await drawn(page);
}

const drawn = (page) => page.locator('.plot[data-drawn="true"]').waitFor({ timeout: 20_000 });
const total = (page) => text(page, 'div[aria-labelledby="by"] tfoot');
/** The number of requests in the table's total. */
const requests = async (page) => Number(await page.locator('div[aria-labelledby="by"] tfoot td').nth(2).innerText());
const api = async (page, path) => (await page.request.get(url + path)).json();

/** Exact dollars as pico-dollars. */
function pico(dollars) {
  const [whole, part = ""] = dollars.replace("-", "").split(".");
  return BigInt(whole + part.padEnd(12, "0")) * (dollars.startsWith("-") ? -1n : 1n);
}

async function column(download, name) {
  const [head, ...rows] = readFileSync(await download.path(), "utf8").trim().split(/\r?\n/);
  const at = head.split(",").indexOf(name);
  assert.ok(at >= 0, `${name} in ${head}`);
  // no cell before ours holds a comma in this traffic
  return rows.map((row) => pico(row.split(",")[at])).reduce((sum, cell) => sum + cell, 0n);
}

async function fetched(page, name) {
  const [download] = await Promise.all([page.waitForEvent("download"), page.getByRole("link", { name }).click()]);
  return download;
}

// what the page says is what the ledger says
const page = await open();
await visit(page, "/");
const all = await api(page, "/api/v1/spend?by=route&since=7d");
assert.ok(all.total.requests > 3);
assert.equal(await requests(page), all.total.requests);
assert.ok((await page.locator(".plot .bars path").count()) > 0, "the chart has bars");
const [plot, legend] = await Promise.all([page.locator(".plot").boundingBox(), page.locator(".plot .legend").boundingBox()]);
assert.ok(legend.y > plot.y && legend.y + legend.height <= plot.y + plot.height + 1, "the legend lies in the chart");
assert.match(await text(page, ".notice"), /without a known price: 1/);
assert.match(await total(page), /\+ 1 unknown/);
assert.doesNotMatch(await text(page, 'div[aria-labelledby="by"]'), /\$0(\s|$)(?!.*saved)/m, "an unknown price is not $0");
await accessible(page, "all");
await shoot(page, "spend-desktop");

// a keyboard is enough: skip link, a filter, Apply
await visit(page, "/");
await page.keyboard.press("Tab");
assert.equal(await page.evaluate(() => document.activeElement.className), "skip");
await page.getByLabel("Tag", { exact: true }).focus();
await page.keyboard.type("team=ads"); // as in any list: the first letters choose
for (let tabs = 0; tabs < 4; tabs += 1) {
  await page.keyboard.press("Tab");
  if (await page.evaluate(() => document.activeElement.type === "submit")) break;
}
await Promise.all([page.waitForURL(/tag=team%3Dads/), page.keyboard.press("Enter")]);
await drawn(page);
assert.doesNotMatch(page.url(), /(route|key|model)=(&|$)/, "empty filters are not in the address");

// the filter ran in the store
const ads = await api(page, "/api/v1/spend?by=route&since=7d&where=tag:team%3Dads");
assert.ok(ads.total.requests > 0 && ads.total.requests < all.total.requests);
assert.equal(await requests(page), ads.total.requests);
assert.match(await text(page, ".chip"), /team=ads/);

// the address is the view: another browser sees the same
const other = await open();
await visit(other, page.url().slice(url.length));
assert.equal(await total(other), await total(page));
assert.deepEqual(other.wrong, []);

// a row's name filters further, and a chip takes a filter off
await page.locator('div[aria-labelledby="by"] tbody th a').first().click();
await drawn(page);
assert.equal(await page.locator(".chip").count(), 2);
await page.getByRole("link", { name: /Remove the filter route/ }).click();
await drawn(page);
assert.equal(await page.locator(".chip").count(), 1);

// downloads hold what is shown, to the last pico-dollar
assert.equal(await column(await fetched(page, /^CSV/), "cost_usd"), pico(ads.total.cost_usd));
assert.equal(await column(await fetched(page, "FOCUS"), "BilledCost"), pico(ads.total.cost_usd));

// every breakdown is there
for (const by of ["model", "provider", "key", "tag:team", "reason", "target"]) {
  await visit(page, `/?by=${encodeURIComponent(by)}`);
  assert.equal(await requests(page), all.total.requests, by);
}
await accessible(page, "by target");

// a tag is text, also in the chart
await visit(page, "/?by=tag%3Ateam");
assert.match(await page.locator(".plot .legend").textContent(), /<b>bold&co<\/b>/);

// nothing found is said, and a wrong word is an explained error
await page.goto(`${url}/?tag=team%3Dnobody`);
assert.match(await text(page, "main"), /Nothing in this period passes the filters/);
await page.goto(`${url}/?by=nonsense`);
assert.match(await text(page, "main"), /nothing to group by/);
// a browser logs an answer of 400 as an error: the one that was asked for
assert.equal(page.wrong.filter((said) => !said.includes("400")).join("\n"), "");

// a phone: nothing sticks out
const phone = await open({ viewport: PHONE, isMobile: true, hasTouch: true });
await visit(phone, "/");
await fits(phone);
await accessible(phone, "phone");
await shoot(phone, "spend-phone");
await phone.goto(`${url}/requests`);
await fits(phone);
await accessible(phone, "requests");
await shoot(phone, "requests-phone");
assert.deepEqual(phone.wrong, []);

// without a script the figures are all there
const plain = await open({ javaScriptEnabled: false });
await plain.goto(`${url}/`);
assert.equal(await requests(plain), all.total.requests);

await browser.close();
