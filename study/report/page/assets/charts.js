const loadCharts = once(async () => {
  const text = await unpackText("library");
  document.head.append(element("script", { textContent: text }));
  return window.Plotly;
});

/** A colour of the style sheet as it is in the present theme: `rgb(11, 95, 149)`. */
function inkOf(name) {
  const sample = element("i", { hidden: true });
  sample.style.color = `var(${name})`;
  document.body.append(sample);
  const ink = getComputedStyle(sample).color;
  sample.remove();
  return ink;
}

/** Draws a chart; where a browser cannot unpack the library, a line of text stands for it. */
async function draw(place, traces, { x = {}, y = {}, label }) {
  place.setAttribute("role", "img");
  place.setAttribute("aria-label", label);
  const axis = {
    gridcolor: inkOf("--rule"),
    linecolor: inkOf("--edge"),
    zeroline: false,
    showline: true,
    ticks: "outside",
    tickcolor: inkOf("--edge"),
    ticklen: 4,
    automargin: true,
    fixedrange: true,
  };
  const title = (text) => ({ text, font: { size: 12 }, standoff: 8 });
  const layout = {
    font: { family: getComputedStyle(document.body).fontFamily, size: 12, color: inkOf("--muted") },
    paper_bgcolor: "transparent",
    plot_bgcolor: "transparent",
    margin: { l: 44, r: 10, t: 8, b: 36 },
    height: 260,
    showlegend: true,
    legend: { orientation: "h", y: 1.02, yanchor: "bottom", x: 0, font: { size: 12 } },
    hovermode: "x unified",
    hoverlabel: { bgcolor: inkOf("--paper"), bordercolor: inkOf("--edge"), font: { size: 12 } },
    xaxis: { ...axis, showgrid: false, ...x, title: title(x.title) },
    yaxis: { ...axis, ...y, title: title(y.title) },
  };
  try {
    const plotly = await loadCharts();
    await plotly.react(place, traces, layout, { displayModeBar: false, responsive: true });
  } catch {
    place.textContent = "This browser cannot unpack the charts; the report's figures/ has them.";
  }
}

/** A line with its band: three traces, of which the middle one has a name. */
function banded(x, [mean, low, high], name, ink, dash = "solid") {
  const line = { color: ink, width: 2, dash };
  const mode = mean.filter((value) => value !== null).length < 12 ? "lines+markers" : "lines";
  const shown = { x, y: mean, name, mode, line, marker: { size: 5, color: ink }, type: "scatter" };
  if (low.every((value) => value === null)) return [shown];
  const edge = { x, mode: "lines", line: { width: 0 }, hoverinfo: "skip", showlegend: false };
  return [
    { ...edge, y: high },
    { ...edge, y: low, fill: "tonexty", fillcolor: faded(ink) },
    shown,
  ];
}

const faded = (ink) => ink.replace(/^rgb\((.*)\)$/, "rgba($1, 0.17)");

function drawCurves(place, curves, quantity, unit) {
  const name = quantity === "error" ? `error${unit ? `, ${unit}` : ""}` : "loss";
  return draw(
    place,
    [
      ...banded(curves.epochs, curves[`train_${quantity}`], "training", inkOf("--second"), "dash"),
      ...banded(curves.epochs, curves[`val_${quantity}`], "validation", inkOf("--accent")),
    ],
    {
      x: { title: "epoch" },
      y: { title: name, rangemode: "tozero" },
      label: `Training and validation ${quantity} by epoch`,
    },
  );
}

function drawRates(place, rates, unit) {
  const diverged = rates.lr.map((_, at) => at).filter((at) => rates.diverged[at]);
  const crosses = (errors, ink) => ({
    x: diverged.map((at) => rates.lr[at]),
    y: diverged.map((at) => errors[0][at]),
    mode: "markers",
    type: "scatter",
    hoverinfo: "skip",
    showlegend: false,
    marker: { size: 10, symbol: "x-thin-open", color: inkOf(ink), line: { width: 2 } },
  });
  return draw(
    place,
    [
      ...banded(rates.lr, rates.test_error, "test", inkOf("--second"), "dash"),
      ...banded(rates.lr, rates.val_error, "validation", inkOf("--accent")),
      {
        x: [rates.chosen],
        y: [rates.val_error[0][rates.lr.indexOf(rates.chosen)]],
        name: "chosen",
        mode: "markers",
        type: "scatter",
        hoverinfo: "skip",
        marker: { size: 12, symbol: "circle-open", color: inkOf("--accent"), line: { width: 2 } },
      },
      crosses(rates.test_error, "--second"),
      crosses(rates.val_error, "--accent"),
    ],
    {
      x: { title: "learning rate", type: "log", tickvals: rates.lr, ticktext: rates.lr.map(String) },
      y: { title: `error${unit ? `, ${unit}` : ""}`, rangemode: "tozero" },
      label: "Validation and test error by learning rate",
    },
  );
}

function drawProbe(place, [start, end], steps, [name, unit]) {
  const layers = (start ?? end).map((_, layer) => layer + 1);
  const known = [...(start ?? []), ...(end ?? [])].filter((value) => value !== null);
  const wide = Math.min(...known) > 0 && Math.max(...known) > 100 * Math.min(...known);
  const trace = (y, text, ink, dash, symbol) => ({
    x: layers, y, name: text, mode: "lines+markers", type: "scatter",
    line: { color: ink, width: 2, dash }, marker: { size: 7, symbol, color: ink },
  });
  const traces = [];
  if (start) traces.push(trace(start, "at initialization", inkOf("--second"), "dash", "circle-open"));
  if (end) traces.push(trace(end, `after ${steps[1]} updates`, inkOf("--accent"), "solid", "circle"));
  return draw(place, traces, {
    x: { title: "layer", dtick: layers.length > 12 ? null : 1, range: [0.7, layers.length + 0.3] },
    y: {
      title: unit || " ",
      ...(wide ? { type: "log", dtick: 1, exponentformat: "power" } : { type: "linear" }),
      ...(unit === "%" ? { rangemode: "tozero" } : {}),
    },
    label: `${name} by layer, at initialization and at the end`,
  });
}
