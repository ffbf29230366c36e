// Drives a report file in Chromium with the network off. Usage: node report.mjs FILE SCREENSHOTS. Prints one JSON object.
import { createRequire } from "node:module";
import { pathToFileURL } from "node:url";
import { readFileSync } from "node:fs";
import { chromium } from "playwright-core";

const [file, shots] = process.argv.slice(2);
const axe = readFileSync(createRequire(import.meta.url).resolve("axe-core/axe.min.js"), "utf8");
const browser = await chromium.launch({ executablePath: process.env.CHROMIUM ?? "/usr/bin/chromium", args: ["--no-sandbox"] });
const found = { console: [], requests: [] };

async function open(options) {
  const context = await browser.newContext({ offline: true, ...options });
  const page = await context.newPage();
  page.on("console", (message) => ["error", "warning"].includes(message.type()) && found.console.push(message.text()));
  page.on("pageerror", (error) => found.console.push(String(error)));
  page.on("request", (request) => !request.url().startsWith("file:") && !request.url().startsWith("blob:") && !request.url().startsWith("data:") && found.requests.push(request.url()));
  await page.goto(pathToFileURL(file).href);
  await page.waitForFunction(() => document.documentElement.dataset.ready === "true");
  return page;
}

async function serious(page) {
  await page.evaluate(axe);
  const { violations } = await page.evaluate(() => window.axe.run());
  return violations.filter((one) => ["serious", "critical"].includes(one.impact)).map((one) => `${one.id}: ${one.nodes.map((node) => node.target.join(" ")).slice(0, 5).join(", ")}`);
}

const desktop = await open({ viewport: { width: 1280, height: 900 }, colorScheme: "light" });
found.charts = await desktop.$$eval(".chart", (nodes) => nodes.map((node) => [node.id, node.querySelectorAll(".trace").length]));
found.legend = await desktop.$eval("#chart-curve .legend", (node) => node.getBoundingClientRect().bottom <= node.closest(".chart").querySelector(".nsewdrag").getBoundingClientRect().top);
found.axeLight = await serious(desktop);
await desktop.screenshot({ path: `${shots}/report-desktop-light.png`, fullPage: true });

// The slider by keyboard: what it says and where the cursor stands follow.
const cursor = () => desktop.$eval("#chart-curve", (node) => node.layout.shapes.find((shape) => shape.name === "cursor").x0);
const before = { says: await desktop.textContent("#volume-says"), at: await cursor() };
await desktop.focus("#volume");
for (let i = 0; i < 5; i++) await desktop.keyboard.press("ArrowRight");
found.slider = { before, after: { says: await desktop.textContent("#volume-says"), at: await cursor() } };

// Hover over the middle of the curve.
await desktop.locator("#chart-curve").scrollIntoViewIfNeeded();
const box = await desktop.locator("#chart-curve .nsewdrag").first().boundingBox();
await desktop.mouse.move(box.x + box.width / 2, box.y + box.height / 2);
await desktop.waitForSelector("#chart-curve .hoverlayer .legend, #chart-curve .hoverlayer .hovertext");
found.hover = (await desktop.textContent("#chart-curve .hoverlayer")).trim();

// A figure leads to its line.
await desktop.click("#verdict a");
found.target = await desktop.evaluate(() => ({ hash: location.hash, lines: document.querySelectorAll(`${location.hash} tbody tr`).length }));

// The other colour scheme.
const paper = () => desktop.$eval("#chart-curve .bg, #chart-curve .main-svg", (node) => getComputedStyle(node).background + node.style.background);
const light = await paper();
await desktop.click("#theme");
await desktop.waitForFunction((was) => { const node = document.querySelector("#chart-curve .bg, #chart-curve .main-svg"); return getComputedStyle(node).background + node.style.background !== was; }, light);
found.axeDark = await serious(desktop);
await desktop.evaluate(() => scrollTo(0, 0));
await desktop.screenshot({ path: `${shots}/report-desktop-dark.png`, fullPage: true });

found.reached = [...found.requests];
// Page code cannot reach out or run other scripts: the policy holds.
found.policy = await desktop.evaluate(() => new Promise((done) => {
  const blocked = [];
  document.addEventListener("securitypolicyviolation", (event) => { blocked.push(event.effectiveDirective); });
  const script = document.createElement("script");
  script.textContent = "window.foreign = true";
  document.head.append(script);
  const image = new Image();
  image.src = "https://example.com/x.png";
  image.onerror = () => setTimeout(() => done({ blocked, foreign: window.foreign === true }), 0);
}));
found.console = found.console.filter((text) => !text.includes("Content Security Policy") || !/example\.com|inline script/.test(text));

const phone = await open({ viewport: { width: 390, height: 844 }, deviceScaleFactor: 2, isMobile: true, colorScheme: "dark" });
found.overflow = await phone.evaluate(() => document.documentElement.scrollWidth - document.documentElement.clientWidth);
found.axePhone = await serious(phone);
await phone.screenshot({ path: `${shots}/report-phone-dark.png`, fullPage: true });

const plain = await (await browser.newContext({ javaScriptEnabled: false, offline: true })).newPage();
await plain.goto(pathToFileURL(file).href);
found.withoutScript = await plain.locator("tbody tr").count();
const printed = await open({ viewport: { width: 1000, height: 1400 } });
await printed.emulateMedia({ media: "print" });
await printed.pdf({ path: `${shots}/report.pdf`, format: "A4" });
await browser.close();
console.log(JSON.stringify(found));
