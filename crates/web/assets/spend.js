"use strict";
// The chart of the page Spend. Everything else on the page is HTML and works without this.
(() => {
  // An empty choice filters nothing: left out, so that the address is short enough to share.
  document.querySelector("form.filters")?.addEventListener("formdata", ({ formData }) => {
    for (const [name, value] of [...formData]) if (value === "") formData.delete(name);
  });

  // A colour is a name's identity: it comes from the name, so that a filter does not repaint what is left. Where two names
  // want the same colour, the later one takes the next that is free.
  const colours = (names) => {
    const taken = new Set();
    return new Map([...names].sort().map((name) => {
      let slot = [...name].reduce((hash, letter) => (hash * 31 + letter.codePointAt(0)) >>> 0, 0) % 8;
      for (let tries = 0; taken.has(slot) && tries < 8; tries++) slot = (slot + 1) % 8;
      taken.add(slot);
      return [name, `--s${slot + 1}`];
    }));
  };

  const traces = (series) => {
    const named = colours(series.lines.filter((line) => !line.other).map((line) => line.label));
    const last = series.times.length - 1;
    return series.lines.map((line) => ({
      type: "bar", name: Tollgate.plain(line.label), x: series.times,
      y: line.cost_usd.map(Number), // dollars as numbers only here: a pixel needs no pico-dollar
      customdata: line.cost_usd.map((usd, at) => [usd, line.requests[at], line.unknown_cost[at] ? `, and ${line.unknown_cost[at]} calls of unknown price` : ""]),
      hovertemplate: "%{fullData.name}, %{x}: $%{customdata[0]}%{customdata[2]}<br>%{customdata[1]} requests<extra></extra>",
      marker: {
        color: Tollgate.css(line.other ? "--soft" : named.get(line.label)),
        pattern: { shape: series.times.map((_, at) => (series.unfinished && at === last ? "/" : "")) },
      },
    }));
  };

  const show = async (node) => {
    const answer = await fetch(node.dataset.src);
    const series = await answer.json();
    if (!answer.ok) throw new Error(series.error.message);
    const day = (date) => new Date(`${date}T00:00Z`).toLocaleDateString("en-GB", { day: "numeric", month: "short", timeZone: "UTC" });
    const short = (time) => (series.bucket === "hour" ? time.slice(11, 16) : day(time));
    const step = Math.ceil(series.times.length / (node.clientWidth < 560 ? 5 : 12));
    const ticks = series.times.filter((_, at) => at % step === 0);
    const paint = () => Tollgate.draw(node, traces(series), {
      barmode: "stack", bargap: 0.15, showlegend: true,
      xaxis: { type: "category", showgrid: false, tickvals: ticks, ticktext: ticks.map(short) },
      yaxis: { tickprefix: "$", rangemode: "tozero", exponentformat: "none" },
    });
    await paint();
    matchMedia("(prefers-color-scheme: dark)").addEventListener("change", paint);
    node.dataset.drawn = "true";
  };

  for (const node of document.querySelectorAll(".plot[data-src]")) {
    show(node).catch((error) => {
      node.textContent = `The chart could not be drawn: ${error.message}. The figures are in the table below.`;
      node.dataset.drawn = "failed";
    });
  }
})();
