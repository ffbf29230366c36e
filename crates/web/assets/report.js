"use strict";
// The report file: draws its charts, moves the cursor, follows the colour scheme, and goes to a figure's line.
(async () => {
  const report = JSON.parse(document.getElementById("report").textContent);
  const at = (id) => document.getElementById(id);
  const slider = at("volume");

  const say = () => {
    const i = Number(slider.value);
    const volume = report.curve.output_tokens_per_day[i];
    const costs = report.curve.series.map((one) => [one.stack, one.monthly_usd[i]]).sort((a, b) => a[1] - b[1]);
    const text = `${Tollgate.tokens(volume)} output tokens a day: ${costs.map(([name, cost]) => `${name} ${Tollgate.usd(cost)}`).join(" · ")} a month`;
    at("volume-says").textContent = text;
    slider.setAttribute("aria-valuetext", `${text}. Cheapest: ${costs[0]?.[0] ?? "none"}`);
  };
  const curve = () => Tollgate.curve(at("chart-curve"), report, Number(slider.value));
  const charts = [];
  const add = (id, drawn) => at(id) && charts.push(() => drawn(at(id)));
  add("chart-curve", curve);
  add("chart-money", (node) => Tollgate.money(node, report));
  add("chart-tornado", (node) => Tollgate.tornado(node, report));
  add("chart-chances", (node) => Tollgate.chances(node, report));
  report.saw_teeth.forEach((_, i) => add(`chart-teeth-${i}`, (node) => Tollgate.teeth(node, report, i)));
  const drawAll = () => Promise.all(charts.map((one) => one()));

  if (slider) {
    say();
    slider.addEventListener("input", () => { say(); curve(); });
  }
  const root = document.documentElement;
  const dark = matchMedia("(prefers-color-scheme: dark)");
  const isDark = () => (root.dataset.theme ? root.dataset.theme === "dark" : dark.matches);
  at("theme").addEventListener("click", () => { root.dataset.theme = isDark() ? "light" : "dark"; drawAll(); });
  dark.addEventListener("change", drawAll);
  let before;
  addEventListener("beforeprint", () => { before = root.dataset.theme; root.dataset.theme = "light"; root.dataset.printing = "true"; drawAll(); });
  addEventListener("afterprint", async () => {
    if (before) root.dataset.theme = before; else delete root.dataset.theme;
    delete root.dataset.printing;
    await drawAll();
    for (const node of document.querySelectorAll(".chart")) window.Plotly.Plots.resize(node);
  });

  await Load.plotly();
  await drawAll();
  const go = (chart, target) => at(chart)?.on?.("plotly_click", (event) => { location.hash = target(event.points[0]); });
  const slug = (name) => name.replace(/[^A-Za-z0-9]/g, "-").toLowerCase();
  go("chart-money", (point) => `bill-${slug(point.y)}`);
  go("chart-curve", (point) => `bill-${slug(point.data.name)}`);
  go("chart-tornado", (point) => `input-${slug(point.y)}`);
  go("chart-chances", (point) => `bill-${slug(point.y)}`);
  root.dataset.ready = "true";
})();
