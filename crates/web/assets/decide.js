"use strict";
// The page Decide. The server computes: each change is a question to POST /api/v1/tco, and what comes back is drawn. What is
// asked stands in the address, so that a link shows others the same.
(() => {
  const root = document.querySelector(".decide");
  if (!root) return;
  const at = (id) => document.getElementById(id);
  const controls = at("controls");

  // ── levers: what can be moved, where its value stands in a report, and the change that it makes to the scenario ──

  const inputs = (report, fits) => report.inputs.filter(fits);
  const stackOf = (name, end) => name.slice("stacks.".length, -end.length);
  const shares = (end) => ({
    value: (report) => inputs(report, ({ name }) => name.startsWith("stacks.") && name.endsWith(end))[0]?.value,
    patch: (share, report) => ({
      stacks: Object.fromEntries(inputs(report, ({ name }) => name.startsWith("stacks.") && name.endsWith(end))
        .map(({ name }) => [stackOf(name, end), { [end.slice(1)]: share }])),
    }),
  });
  const rents = (report) => report.stacks.filter(({ kind }) => kind === "self-hosted").flatMap(({ name }) => {
    const priced = inputs(report, (input) => input.unit === "$/GPU-hour" && input.name.startsWith(`stacks.${name} `));
    return priced.length === 1 ? [[name, priced[0].value]] : []; // a mix of terms has no one price
  });
  const items = (report) => inputs(report, ({ name, unit }) => name.startsWith("overhead.") && unit === "$/year");
  const log = (span) => (base) => ({ low: base / span, high: base * span, log: true });
  const line = (low, high) => (base) => ({ low: Math.min(low, base), high: Math.max(high, base) });
  const percent = (share) => `${+(share * 100).toFixed(1)}%`;
  const figure = (x) => x.toLocaleString("en-US", { maximumFractionDigits: x < 10 ? 2 : x < 100 ? 1 : 0 });
  const LEVERS = {
    requests: { value: (report) => report.workload.requests_per_day, patch: (n) => ({ workload: { requests_per_day: n } }), range: log(1000), says: figure },
    peak: { value: (report) => report.workload.peak_to_mean, patch: (n) => ({ workload: { peak_to_mean: n } }), range: line(1, 10), says: (n) => `${figure(n)} ×` },
    growth: { value: (report) => report.workload.growth_per_month, patch: (n) => ({ workload: { growth_per_month: n } }), range: line(-0.1, 0.3), says: percent },
    routed: { ...shares(".share_of_requests"), range: line(0, 1), says: percent },
    turned_down: { ...shares(".second_pass_share"), range: line(0, 1), says: percent },
    gpu: {
      value: (report) => rents(report)[0]?.[1],
      patch: (usd, report) => ({ stacks: Object.fromEntries(rents(report).map(([name]) => [name, { usd_per_gpu_hour: usd }])) }),
      range: log(8), says: (usd) => `$${usd.toFixed(2)}`,
    },
    overhead: {
      value: (report) => (rents(report).length ? items(report).reduce((sum, item) => sum + item.value, 0) / 12 : undefined),
      patch: (usd) => ({ overhead: { preset: null, "people and services": { usd_per_month: usd } } }),
      range: (base) => ({ low: 0, high: Math.max(50_000, base * 2) }), says: (usd) => Tollgate.usd(usd),
    },
  };
  const STEPS = 1000;
  const toValue = ({ low, high, log: isLog }, step) => {
    const part = step / STEPS;
    const value = isLog ? low * (high / low) ** part : low + (high - low) * part;
    return Number(value.toPrecision(3));
  };
  const toStep = ({ low, high, log: isLog }, value) => {
    const part = isLog ? Math.log(value / low) / Math.log(high / low) : (value - low) / (high - low);
    return Math.round(Math.min(1, Math.max(0, part)) * STEPS);
  };

  // ── state: what is asked ──

  const state = { from: "7d", prices: "catalogue", risk: false, moved: new Map() };
  let base = null; // the report without changes
  let shown = null; // the report on the page

  const readAddress = () => {
    const asked = new URLSearchParams(location.search);
    const known = (name) => [...at(name).options].some((option) => option.value === asked.get(name));
    for (const name of ["from", "prices"]) if (asked.has(name) && known(name)) state[name] = asked.get(name);
    state.risk = asked.get("risk") === "default";
    for (const name of Object.keys(LEVERS)) {
      const value = Number(asked.get(name));
      if (asked.has(name) && Number.isFinite(value)) state.moved.set(name, value);
    }
    at("from").value = state.from;
    at("prices").value = state.prices;
    at("risk").checked = state.risk;
  };
  const writeAddress = () => {
    const asked = new URLSearchParams({ from: state.from });
    if (state.prices !== "catalogue") asked.set("prices", state.prices);
    if (state.risk) asked.set("risk", "default");
    for (const [name, value] of state.moved) asked.set(name, String(value));
    history.replaceState(null, "", `?${asked}`);
  };

  const merged = (into, change) => {
    for (const [key, value] of Object.entries(change)) {
      if (value && typeof value === "object") merged((into[key] ??= {}), value);
      else into[key] = value;
    }
    return into;
  };
  const question = (changed) => {
    const option = at("from").selectedOptions[0];
    const asked = option.dataset.scenario
      ? { scenario: option.dataset.scenario, title: option.textContent.trim() }
      : { from_ledger: state.from, title: `Ledger, ${option.textContent.trim().toLowerCase()}` };
    asked.prices = [state.prices];
    if (!changed) return asked;
    if (state.risk) asked.risk = "default";
    asked.patch = {};
    for (const [name, value] of state.moved) merged(asked.patch, LEVERS[name].patch(value, base));
    return asked;
  };
  const post = async (asked) => {
    const answer = await fetch("/api/v1/tco", { method: "POST", headers: { "content-type": "application/json" }, body: JSON.stringify(asked) });
    if (answer.ok) return answer;
    const { error } = await answer.json();
    throw Object.assign(new Error(error.message), error);
  };

  // ── the levers on the page ──

  const showLevers = () => {
    for (const [name, lever] of Object.entries(LEVERS)) {
      const stands = lever.value(base);
      at(`lever-${name}`).hidden = stands === undefined;
      if (stands === undefined) { state.moved.delete(name); continue; }
      lever.scale = lever.range(stands);
      showLever(name);
    }
    for (const group of controls.querySelectorAll("fieldset")) group.hidden = !group.querySelector(".lever:not([hidden]), select");
  };
  const showLever = (name) => {
    const lever = LEVERS[name];
    const stands = lever.value(base);
    const value = state.moved.get(name) ?? stands;
    const slider = at(name);
    slider.value = toStep(lever.scale, value);
    slider.setAttribute("aria-valuetext", lever.says(value));
    at(`${name}-says`).textContent = lever.says(value);
    at(`${name}-was`).textContent = state.moved.has(name) ? `was ${lever.says(stands)}` : "";
    at("reset").hidden = state.moved.size === 0;
  };

  // ── drawing ──

  const el = (tag, attributes, ...children) => {
    const node = document.createElement(tag);
    for (const [name, value] of Object.entries(attributes ?? {})) if (value != null && value !== false) node.setAttribute(name, value);
    node.append(...children.filter((child) => child != null));
    return node;
  };
  const { usd, tokens } = Tollgate;
  const unit = (x) => (x == null ? "–" : Math.abs(x) >= 1000 ? usd(x) : x < 0 ? `−${unit(-x)}` : `$${x.toFixed(x < 0.1 ? 4 : 2)}`);
  const share = (x) => `${(x * 100).toFixed(1)}%`;
  const number = (text) => el("td", { class: "n" }, text);
  const fill = (id, label, head, rows) => {
    const columns = head.map((name, i) => el("th", { scope: "col", class: i > 0 && !name.startsWith(" ") ? "n" : null }, name.trim()));
    at(id).replaceChildren(el("table", null, el("caption", { class: "hidden" }, label), el("thead", null, el("tr", null, ...columns)), el("tbody", null, ...rows)));
  };

  const verdict = (report) => {
    const { name, margin_usd: margin, runner_up: next, probability } = report.winner;
    if (!name) {
      at("verdict").replaceChildren(el("strong", null, "No stack is feasible."));
      return;
    }
    const cost = report.stacks.find((stack) => stack.name === name).monthly_usd;
    at("verdict").replaceChildren(
      el("span", { class: "big" }, el("strong", null, name), " is the cheapest at ", el("strong", null, usd(cost.mean)), report.risk ? " a month in the mean" : " a month"),
      el("span", { class: "soft" }, [
        next && `${usd(margin)} less than ${next}`,
        probability != null && `cheapest in ${share(probability)} of ${report.risk.draws.toLocaleString("en-US")} draws`,
        report.stacks.every((stack) => stack.quality == null) && "money alone, not how good the answers are",
        `${figure(report.workload.requests_per_day)} requests and ${tokens(report.workload.output_tokens_per_day)} output tokens a day`,
      ].filter(Boolean).join(" · ")),
    );
  };

  const stacks = (report) => {
    const risky = report.risk != null;
    const rows = report.stacks.map((stack) => {
      const best = stack.name === report.winner.name;
      const head = el("th", { scope: "row" }, stack.name, best ? el("span", { class: "badge best" }, "cheapest") : null, el("small", null, `${stack.kind}: ${stack.what}`));
      if (!stack.feasible || !stack.monthly_usd) return el("tr", null, head, el("td", { class: "wrap", colspan: risky ? 4 : 2 }, `not feasible: ${stack.why}`));
      return el("tr", { class: best ? "best" : null }, head, number(usd(stack.monthly_usd.mean)),
        risky ? number(`${usd(stack.monthly_usd.p10)} – ${usd(stack.monthly_usd.p90)}`) : null, risky ? number(share(stack.probability_cheapest ?? 0)) : null, number(unit(stack.usd_per_million_output)));
    });
    const head = ["Stack", risky ? "Mean a month" : "USD a month", ...(risky ? ["10% to 90%", "Cheapest in"] : []), "Per M output tokens"];
    fill("stacks", "The stacks", head, rows);
  };

  const edgeWords = (report) => {
    const edge = report.break_even.find(({ against }) => against === report.winner.name) ?? report.break_even.find(({ stack }) => stack === report.winner.name);
    if (!edge) return "Both axes are logarithmic; the dotted line is this traffic.";
    const now = `this traffic has ${tokens(edge.volume_now)}`;
    if (edge.none_because) return `${edge.stack} never beats ${edge.against}: ${edge.none_because}. The dotted line is this traffic.`;
    return `${edge.stack} begins to beat ${edge.against} at ${tokens(edge.first_win ?? edge.output_tokens_per_day)} output tokens a day; ${now} (dotted line). Both axes are logarithmic.`;
  };

  const edges = (report) => {
    at("edges-section").hidden = report.break_even.length === 0;
    fill("edges", "Where own GPUs begin to win", ["Own stack", "Begins to win", "Wins for good", "GPU-hour below", " Now"], report.break_even.map((edge) => {
      const head = el("th", { scope: "row" }, edge.stack, el("small", null, `against ${edge.against}${edge.like_for_like ? `, ${edge.like_for_like}` : ""}`));
      const now = el("td", { class: "wrap" }, edge.now_because);
      if (edge.none_because) return el("tr", null, head, el("td", { class: "wrap", colspan: 3 }, `never: ${edge.none_because}`), now);
      const last = edge.last_loss == null ? "–" : tokens(Math.max(edge.last_loss, edge.first_win));
      return el("tr", null, head, number(edge.first_win == null ? "–" : tokens(edge.first_win)), number(last), number(unit(edge.usd_per_gpu_hour)), now);
    }));
  };

  const bills = (report) => at("bills").replaceChildren(...report.stacks.filter((stack) => stack.lines.length).map((stack) => {
    const rows = stack.lines.map((one) => el("tr", null,
      el("th", { scope: "row" }, one.label), number(usd(one.usd)), el("td", { class: "wrap" }, one.how), el("td", { class: "wrap" }, one.as_of ? `${one.source}, ${one.as_of}` : one.source),
      el("td", null, el("span", { class: `basis-${one.basis}` }, one.basis))));
    const head = ["For", "USD a month", "How", "Source", "Basis"].map((name, i) => el("th", { scope: "col", class: i === 1 ? "n" : null }, name));
    return el("details", null, el("summary", null, `${stack.name}, ${usd(stack.monthly_usd.point)} a month${report.risk ? " with every input as stated" : ""}`),
      el("div", { class: "scroll", tabindex: 0, role: "region", "aria-label": `Bill of ${stack.name}` }, el("table", null, el("thead", null, el("tr", null, ...head)), el("tbody", null, ...rows))));
  }));

  const draw = async (report) => {
    shown = report;
    verdict(report);
    stacks(report);
    edges(report);
    bills(report);
    at("curve-says").textContent = edgeWords(report);
    at("notes").replaceChildren(...report.warnings.map((text) => el("li", null, text)));
    at("notes-count").textContent = `Notes (${report.warnings.length})`;
    at("notes-count").parentElement.hidden = report.warnings.length === 0;
    at("chances-section").hidden = report.risk == null;
    at("tornado-section").hidden = report.tornado.length === 0;
    await paint();
  };
  const paint = () => shown && Promise.all([
    Tollgate.curve(at("curve"), shown), Tollgate.money(at("money"), shown),
    shown.risk && Tollgate.chances(at("chances"), shown), shown.tornado.length && Tollgate.tornado(at("tornado"), shown),
  ]);

  // ── one question at a time: while one is under way the next waits, and only the latest is asked ──

  let busy = false;
  let again = false;
  const update = async (fresh) => {
    if (fresh) base = null;
    writeAddress();
    if (busy) { again = true; return; }
    busy = true;
    root.setAttribute("aria-busy", "true");
    do {
      again = false;
      try {
        if (!base) {
          const from = at("from").value;
          const report = await (await post(question(false))).json();
          if (from !== state.from) { again = true; continue; }
          base = report;
          showLevers();
        }
        await draw(state.risk || state.moved.size ? await (await post(question(true))).json() : base);
        at("trouble").hidden = true;
        root.dataset.state = "answered";
      } catch (error) {
        trouble(error);
      }
    } while (again);
    busy = false;
    root.setAttribute("aria-busy", "false");
  };

  const trouble = (error) => {
    const empty = error.code === "no_traffic";
    root.dataset.state = empty ? "empty" : "failed";
    const example = at("from").querySelector("[data-scenario]").value;
    at("trouble").hidden = false;
    at("trouble").classList.toggle("bad", !empty);
    at("trouble").replaceChildren(...(empty
      ? [`The ledger holds no answered request in this time, so there is nothing to decide on yet. Send traffic through the gateway, or `, el("a", { href: `?from=${example}` }, "look at an example"), "."]
      : (error.problems ?? [{ path: "", message: error.message, hint: "" }]).map(({ path, message, hint }) => el("p", null, [path && `${path} `, message, hint && ` – ${hint}`].filter(Boolean).join("")))));
  };

  // ── events ──

  for (const name of Object.keys(LEVERS)) {
    at(name).addEventListener("input", () => {
      if (!base) return;
      const lever = LEVERS[name];
      const step = Number(at(name).value);
      if (step === toStep(lever.scale, lever.value(base))) state.moved.delete(name);
      else state.moved.set(name, toValue(lever.scale, step));
      const stays = at(name).value;
      showLever(name);
      at(name).value = stays; // rounding must not pull the thumb away from the pointer
      update();
    });
  }
  for (const name of ["from", "prices"]) at(name).addEventListener("change", () => { state[name] = at(name).value; state.moved.clear(); update(true); });
  at("risk").addEventListener("change", () => { state.risk = at("risk").checked; update(); });
  at("reset").addEventListener("click", () => { if (!base) return; state.moved.clear(); showLevers(); update(); at("from").focus(); });
  controls.addEventListener("submit", (event) => event.preventDefault());

  const save = async (format, name) => {
    const answer = await post({ ...question(true), format });
    const link = el("a", { href: URL.createObjectURL(await answer.blob()), download: name });
    link.click();
    URL.revokeObjectURL(link.href);
  };
  at("save-html").addEventListener("click", () => save("html", "tollgate-tco.html").catch(trouble));
  at("save-json").addEventListener("click", () => save("json", "tollgate-tco.json").catch(trouble));
  matchMedia("(prefers-color-scheme: dark)").addEventListener("change", paint);

  readAddress();
  update(true);
})();
