// A browser that looks at the dashboard as a person would, without a network, and writes down what must not happen.

import assert from "node:assert/strict";
import { readFileSync } from "node:fs";
import { createRequire } from "node:module";

import { chromium } from "playwright-core";

export const [url, shots] = process.argv.slice(2);
export const DESKTOP = { width: 1280, height: 800 };
export const PHONE = { width: 390, height: 844 };

const axe = readFileSync(createRequire(import.meta.url).resolve("axe-core/axe.min.js"), "utf8");

export const browser = await chromium.launch({
  executablePath: process.env.CHROMIUM ?? "/usr/bin/chromium",
  // as root in a container; no name resolves but the loopback address, so nothing can come from outside
  args: ["--no-sandbox", "--host-resolver-rules=MAP * ~NOTFOUND, EXCLUDE 127.0.0.1"],
});

/** A page whose `wrong` lists errors, blocked content and requests to elsewhere. */
export async function open(options = {}) {
  const context = await browser.newContext({ viewport: DESKTOP, acceptDownloads: true, ...options });
  const page = await context.newPage();
  page.wrong = [];
  page.on("console", (said) => said.type() === "error" && page.wrong.push(said.text()));
  page.on("pageerror", (error) => page.wrong.push(String(error)));
  page.on("request", (request) => {
    const to = request.url();
    if (!to.startsWith(url) && !to.startsWith("data:") && !to.startsWith(`blob:${url}`)) page.wrong.push(`asked ${to}`);
  });
  await page.addInitScript(() => {
    addEventListener("securitypolicyviolation", (event) => console.error(`policy: ${event.violatedDirective} ${event.blockedURI}`));
  });
  return page;
}

/** No serious finding of axe, in both colour schemes. */
export async function accessible(page, where) {
  for (const colorScheme of ["light", "dark"]) {
    await page.emulateMedia({ colorScheme });
    const found = await page.evaluate(`${axe}; axe.run(document)`);
    const serious = found.violations.filter(({ impact }) => impact === "serious" || impact === "critical");
    const said = serious.map((one) => `${one.id}: ${one.nodes.map((node) => node.html).join(" | ")}`);
    assert.deepEqual(said, [], `${where}, ${colorScheme}`);
  }
}

/** Pictures in both colour schemes, for people to look at. */
export async function shoot(page, name) {
  for (const colorScheme of ["light", "dark"]) {
    await page.emulateMedia({ colorScheme });
    await page.waitForTimeout(300); // the charts repaint for the new scheme
    await page.screenshot({ path: `${shots}/${name}-${colorScheme}.png`, fullPage: true });
  }
}

/** Nothing sticks out to the right. */
export async function fits(page) {
  assert.equal(await page.evaluate(() => document.documentElement.scrollWidth), page.viewportSize().width);
}

export const text = (page, what) => page.locator(what).innerText();
