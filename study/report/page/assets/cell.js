const loadDetails = once(() => unpack("details"));
const PROBE_FIRST = ["activation_variance", "gradient_variance", "dead_fraction"];
const HEADLINE = ["test_error", "val_error", "train_error", "chosen_lr", "best_epoch", "wall_seconds"];
let redraw = () => {};

/** Opens a cell; `opener` is focused again when it is closed. */
async function openCell(cell, opener = document.activeElement) {
  const dialog = byId("cell");
  dialog.opener = opener;
  byId("cell-title").textContent = wordsOf(cell);
  byId("cell-name").textContent = data.cells[cell].name;
  byId("cell-body").replaceChildren(headline(cell));
  if (!dialog.open) dialog.showModal();
  byId("cell-scroll").scrollTop = 0;
  history.replaceState(null, "", `#cell=${encodeURIComponent(data.cells[cell].name)}`);
  const details = (await loadDetails())[data.cells[cell].name];
  if (byId("cell-name").textContent === data.cells[cell].name) showDetails(details);
}

function startDialog() {
  const dialog = byId("cell");
  byId("cell-close").addEventListener("click", () => dialog.close());
  // A click beside the panel reaches the dialog itself.
  dialog.addEventListener("click", (event) => event.target === dialog && dialog.close());
  dialog.addEventListener("close", () => {
    history.replaceState(null, "", location.pathname + location.search);
    redraw = () => {};
    dialog.opener?.focus();
  });
  document.addEventListener("click", (event) => {
    const link = event.target.closest("[data-open]");
    if (!link) return;
    const cell = data.cells.findIndex(({ name }) => name === link.dataset.open);
    if (cell >= 0) openCell(cell, link);
  });
}

function openFromAddress() {
  const name = decodeURIComponent(location.hash.match(/^#cell=(.+)$/)?.[1] ?? "");
  const cell = data.cells.findIndex((each) => each.name === name);
  if (cell >= 0) openCell(cell);
}

function headline(cell) {
  const list = element("dl", { className: "headline" });
  for (const metric of HEADLINE.map(metricNamed).filter(Boolean)) {
    const { number, spread, marks } = numberParts(metric, cell);
    const value = element("dd", {}, element("b", { textContent: number }));
    const rest = [spread, metric.unit, marks].filter(Boolean).join(" ");
    if (rest) value.append(element("span", { textContent: ` ${rest}` }));
    list.append(element("div", {}, element("dt", { textContent: metric.label }), value));
  }
  return list;
}

function showDetails(details) {
  const body = byId("cell-body");
  if (!details) {
    body.append(element("p", { className: "quiet", textContent: "This cell is not finished." }));
    return;
  }
  const charts = element("div", { className: "charts" });
  body.append(charts);
  const unit = metricNamed("test_error")?.unit ?? "";
  const draws = [];
  if (details.curves) draws.push(curvesChart(charts, details.curves, unit));
  if (details.rates?.lr.length > 1) draws.push(ratesChart(charts, details.rates, unit));
  if (details.probes) draws.push(probesChart(charts, details.probes));
  if (details.filters) charts.append(filtersPicture(details.filters));
  if (!charts.children.length) charts.remove();
  body.append(commands(details), replicas(details), configuration(details));
  redraw = () => draws.forEach((again) => again());
  redraw();
}

/** A titled chart with a note and perhaps a control; returns its place. */
function chartCard(parent, title, note, control = null) {
  const place = element("div", { className: "chart" });
  const head = element("div", { className: "chart-head" }, element("h3", { textContent: title }));
  if (control) head.append(control);
  const texts = note ? [element("p", { className: "note", textContent: note })] : [];
  parent.append(element("section", { className: "chart-card" }, head, place, ...texts));
  return place;
}

const seedsText = (number, diverged) => {
  if (diverged) return `median of ${number} seeds, of which ${diverged} diverged, so no interval`;
  return number > 1 ? `mean of ${number} seeds, band: 95 % t interval, cut where no error can be` : "one seed, no interval";
};

function curvesChart(parent, curves, unit) {
  const select = element("select", { "aria-label": "Quantity of the curves" });
  options(select, [["error", "error"], ["loss", "loss"]], "error");
  const note = `At the chosen learning rate; ${seedsText(curves.seeds, curves.diverged)}. Training: running means.`;
  const place = chartCard(parent, "Learning curves", note, select);
  const show = () => drawCurves(place, curves, select.value, unit);
  select.addEventListener("change", show);
  return show;
}

function ratesChart(parent, rates, unit) {
  const lost = rates.lr.filter((_, place) => rates.diverged[place]);
  const gone = lost.length ? ` A cross is the median where replicas diverged (${lost.join(", ")}).` : "";
  const note = `Mean over seeds, band: 95 % t interval, cut where no error can be. The circle is what validation chose.${gone}`;
  const place = chartCard(parent, "Learning rates", note);
  return () => drawRates(place, rates, unit);
}

function probesChart(parent, probes) {
  const names = Object.keys(probes.taken);
  const select = element("select", { "aria-label": "Probe" });
  const first = PROBE_FIRST.find((name) => names.includes(name)) ?? names[0];
  options(select, names.map((name) => [name, data.probes[name][0]]), first);
  const last = probes.diverged ? " At the end the median, since replicas diverged." : "";
  const note = `Mean over seeds at the chosen learning rate.${last}`;
  const place = chartCard(parent, "By layer", note, select);
  const show = () => {
    drawProbe(place, probes.taken[select.value], probes.steps, data.probes[select.value]);
  };
  select.addEventListener("change", show);
  return show;
}

function filtersPicture({ png, shown, of, size }) {
  const picture = element("img", {
    src: png, width: size[0], height: size[1], alt: `${shown} of ${of} first-layer filters`,
  });
  const which = shown === of ? `All ${of}` : `${shown} of ${of}`;
  const note = `${which}, of the first seed; each on its own scale, grey is 0.`;
  return element(
    "section",
    { className: "chart-card filters" },
    element("div", { className: "chart-head" }, element("h3", { textContent: "First-layer filters" })),
    picture,
    element("p", { className: "note", textContent: note }),
  );
}

function commands(details) {
  const rows = [["Train it again and compare", details.command]];
  if (details.trained_by) rows.push(["Trained by", details.trained_by]);
  const lines = rows.map(([text, line]) =>
    element("div", { className: "command" }, element("span", { textContent: text }), codeLine(line)),
  );
  return element("section", { className: "commands" }, ...lines);
}

function codeLine(text) {
  const copy = element("button", { type: "button", className: "copy", textContent: "Copy" });
  copy.addEventListener("click", async () => {
    try {
      await navigator.clipboard.writeText(text);
      copy.textContent = "Copied";
    } catch {
      getSelection().selectAllChildren(copy.previousElementSibling);
    }
  });
  return element("div", { className: "line" }, element("code", { textContent: text }), copy);
}

function replicas(details) {
  const names = ["seed", "learning rate", "state", "best epoch", "train error", "val error", "test error"];
  const head = element("tr", {}, ...names.map((textContent) => element("th", { scope: "col", textContent })));
  const rows = details.replicas.map((row) =>
    element("tr", {}, ...row.map((textContent) => element("td", { textContent }))),
  );
  const table = element("table", { className: "plain" }, element("thead", {}, head), element("tbody", {}, ...rows));
  return folded(`Replicas (${rows.length})`, element("div", { className: "scroll" }, table));
}

function configuration(details) {
  if (details.config) return folded("Configuration", element("pre", { textContent: details.config }));
  const text = details.factors.map(([name, level]) => `${name}: ${level}`).join("\n");
  return folded("Levels", element("pre", { textContent: text }));
}

const folded = (title, ...content) =>
  element("details", { className: "fold" }, element("summary", { textContent: title }), ...content);
