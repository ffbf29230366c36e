"use strict";
// Charts of a report. Every number is the engine's: nothing is computed here but positions and shares of what is shown.
const Tollgate = (() => {
  const css = (name) => getComputedStyle(document.documentElement).getPropertyValue(name).trim();
  const colour = (at) => css(`--s${(at % 8) + 1}`);
  const dashes = ["solid", "dash", "dot", "dashdot", "longdash"];
  const usd = (x) => (x < 0 ? "−$" : "$") + Math.abs(x).toLocaleString("en-US", { maximumFractionDigits: Math.abs(x) < 10 ? 2 : 0 });
  const tokens = (x) => (x >= 1e9 ? `${+(x / 1e9).toPrecision(4)}B` : x >= 1e6 ? `${+(x / 1e6).toPrecision(4)}M` : Math.round(x).toLocaleString("en-US"));
  // The end of a long name tells more than its beginning.
  const short = (node, name) => (narrow(node) && name.length > 20 ? `…${name.slice(-19)}` : name);
  // The library reads tags in text; a name may be whatever a client called its model.
  const plain = (name) => name.replace(/&/g, "&amp;").replace(/</g, "&lt;").replace(/>/g, "&gt;");
  const narrow = (node) => node.clientWidth < 560;

  const layout = (node, more) => {
    const axis = { gridcolor: css("--line"), zerolinecolor: css("--soft"), linecolor: css("--line"), automargin: true };
    const titled = (one) => ({ ...axis, ...one, ...(one?.title && { title: { font: { size: 13, color: css("--soft") }, ...one.title } }) });
    return {
      // on paper the node has its width by data-printing; the library would take the window's
      ...(document.documentElement.dataset.printing ? { width: node.clientWidth, autosize: false } : { autosize: true }),
      paper_bgcolor: css("--page"), plot_bgcolor: css("--page"),
      font: { family: "system-ui, sans-serif", size: 13, color: css("--ink") },
      margin: { l: narrow(node) ? 50 : 70, r: 15, t: 15, b: 50 },
      separators: ".,",
      legend: { orientation: "h", x: 0, y: 1.02, yanchor: "bottom" },
      hoverlabel: { bgcolor: css("--card"), bordercolor: css("--line"), font: { color: css("--ink") } },
      ...more,
      xaxis: titled(more.xaxis), yaxis: titled(more.yaxis),
    };
  };
  const config = { responsive: true, displaylogo: false, displayModeBar: false };
  const draw = (node, traces, more) => window.Plotly.react(node, traces, layout(node, more), config);
  const upright = (x, label, dash, at) => ({
    line: { type: "line", x0: x, x1: x, yref: "paper", y0: 0, y1: 1, line: { color: css("--soft"), width: 1.5, dash } },
    note: label && { x: Math.log10(x), yref: "paper", y: 0.99 - 0.07 * at, yanchor: "top", text: label, showarrow: false, xanchor: "left", font: { size: 12, color: css("--soft") }, bgcolor: css("--page") },
  });

  // Volumes that are marked on the curve: this scenario's, and where each own stack begins to win and wins for good.
  const marks = (report) => {
    const found = [{ x: report.workload.output_tokens_per_day, label: "now", dash: "dot" }];
    for (const edge of report.break_even) {
      const shared = edge.like_for_like ? ", like for like" : "";
      if (edge.first_win) found.push({ x: edge.first_win, label: `${edge.stack} beats ${edge.against}${shared}`, dash: "dash" });
      if (edge.last_loss > edge.first_win) found.push({ x: edge.last_loss, dash: "longdash" });
    }
    return found.sort((a, b) => a.x - b.x);
  };

  function curve(node, report, cursor) {
    const { output_tokens_per_day: x, series } = report.curve;
    const traces = series.map((one, at) => ({
      x, y: one.monthly_usd, name: one.stack, mode: "lines", line: { color: colour(at), width: 2.5, dash: dashes[at % 5] },
      hovertemplate: `%{fullData.name}: $%{y:,.0f} a month<extra></extra>`,
    }));
    let labels = 0;
    const lines = marks(report).map((mark) => upright(mark.x, mark.label, mark.dash, mark.label ? labels++ % 8 : 0));
    if (cursor != null) lines.push({ line: { ...upright(x[cursor], "", "solid", 0).line, name: "cursor" } });
    return draw(node, traces, {
      hovermode: "x unified",
      shapes: lines.map((one) => one.line), annotations: narrow(node) ? [] : lines.map((one) => one.note).filter(Boolean),
      xaxis: { type: "log", title: { text: "output tokens a day" }, exponentformat: "B" },
      yaxis: { type: "log", title: { text: "USD a month" }, tickprefix: "$", exponentformat: "B" },
    });
  }

  function money(node, report) {
    const stacks = report.stacks.filter((stack) => stack.money.length);
    const groups = [...new Set(stacks.flatMap((stack) => stack.money.map((share) => share.group)))];
    const traces = groups.map((group, at) => ({
      type: "bar", orientation: "h", name: group, marker: { color: colour(at), pattern: { shape: ["", "/", ".", "x", "-"][at % 5], fgopacity: 0.5 } },
      y: stacks.map((stack) => stack.name),
      x: stacks.map((stack) => stack.money.find((share) => share.group === group)?.usd ?? 0),
      hovertemplate: `%{y}, ${group}: $%{x:,.2f} a month<extra></extra>`,
    }));
    return draw(node, traces, { barmode: "relative", xaxis: { title: { text: "USD a month" }, tickprefix: "$" }, yaxis: { autorange: "reversed" } });
  }

  // The winner's margin with every input at its stated value, where the bars begin. `margin_usd` is that of the means.
  const stated = (report) => {
    const cost = ({ monthly_usd: usd }) => usd?.point ?? Infinity;
    const others = report.stacks.filter((stack) => stack.feasible && stack.name !== report.winner.name);
    const own = report.stacks.find((stack) => stack.name === report.winner.name);
    return own && others.length ? Math.min(...others.map(cost)) - cost(own) : 0;
  };

  function tornado(node, report) {
    const bars = report.tornado.slice(0, 12);
    const middle = stated(report);
    const side = (at) => ({
      type: "bar", orientation: "h", name: at === "low" ? "low value" : "high value", marker: { color: colour(at === "low" ? 0 : 1), pattern: { shape: at === "low" ? "" : "/" } },
      y: bars.map((bar) => bar.input), base: middle,
      x: bars.map((bar) => bar[`margin_${at}_usd`] - middle),
      customdata: bars.map((bar) => [bar[at], bar.unit, bar[`margin_${at}_usd`], plain(bar.input)]),
      hovertemplate: "%{customdata[3]} = %{customdata[0]:,.6~g} %{customdata[1]}: margin $%{customdata[2]:,.0f} a month<extra></extra>",
    });
    return draw(node, [side("low"), side("high")], {
      barmode: "overlay", xaxis: { title: { text: narrow(node) ? "margin, USD a month" : `margin of ${report.winner.name} in USD a month; below 0 another wins` }, tickprefix: "$", zeroline: true, zerolinewidth: 2 },
      yaxis: { autorange: "reversed", tickfont: { size: 12 }, tickvals: bars.map((bar) => bar.input), ticktext: bars.map((bar) => plain(short(node, bar.input))) },
    });
  }

  function chances(node, report) {
    const stacks = report.stacks.filter((stack) => stack.probability_cheapest != null);
    return draw(node, [{
      type: "bar", orientation: "h", marker: { color: stacks.map((_, at) => colour(at)) },
      y: stacks.map((stack) => stack.name), x: stacks.map((stack) => stack.probability_cheapest),
      text: stacks.map((stack) => `${(stack.probability_cheapest * 100).toFixed(1)}%`), textposition: "auto",
      hovertemplate: "%{y}: cheapest in %{x:.1%} of the draws<extra></extra>",
    }], { showlegend: false, xaxis: { range: [0, 1], tickformat: ".0%", title: { text: narrow(node) ? "share of draws" : "share of draws in which it is the cheapest" } }, yaxis: { autorange: "reversed" } });
  }

  function teeth(node, report, at) {
    const one = report.saw_teeth[at];
    const line = (y, name, which) => ({
      x: one.output_tokens_per_day, y, name, mode: "lines", line: { color: colour(which), width: 2, dash: dashes[which] },
      hovertemplate: "%{fullData.name}: $%{y:.4f} per million output tokens<extra></extra>",
    });
    const edges = [["first win", one.first_win], ["last loss", one.last_loss]].filter(([label, x]) => label === "first win" || x > one.first_win);
    return draw(node, [line(one.stack_usd_per_million_output, one.stack, 0), line(one.against_usd_per_million_output, one.against, 1)], {
      hovermode: "x unified",
      shapes: edges.map(([, x]) => upright(x, "", "dash", 0).line),
      annotations: edges.map(([label, x], i) => ({ ...upright(x, `${label}: ${tokens(x)}`, "dash", i).note, x })),
      xaxis: { title: { text: "output tokens a day" }, exponentformat: "B" },
      yaxis: { title: { text: "USD per M output" }, tickprefix: "$" },
    });
  }

  return { css, plain, draw, curve, money, tornado, chances, teeth, usd, tokens };
})();
