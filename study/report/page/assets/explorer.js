const NONE = "none";
/** Levels that a desktop shows across without scrolling. */
const MOST_ACROSS = 9;
/** From this strength on the other ink has more contrast, in either theme. */
const OTHER_INK = 0.68;
/** The factors down and across (-1: none), the metric, and a level of each other factor. */
const chosen = { rows: 0, columns: -1, metric: "", fixed: [] };

function startExplorer(openCell) {
  const tested = metricNamed("test_error");
  chosen.metric = (tested ?? data.metrics[0])?.name;
  chosen.rows = data.factors.length > 1 ? 1 : data.factors.length - 1;
  chosen.columns = data.factors.length > 1 ? 0 : -1;
  // As the tables, the first factor across; but more levels than fit stand below each other.
  const [across, down] = data.factors.map(({ levels }) => levels.length);
  if (across > MOST_ACROSS && down < across) [chosen.rows, chosen.columns] = [0, 1];
  chosen.fixed = data.factors.map(() => 0);
  const place = byId("heat");
  place.addEventListener("click", (event) => {
    const button = event.target.closest("button[data-cell]");
    if (button) openCell(Number(button.dataset.cell), button);
  });
  place.addEventListener("keydown", moveInGrid);
  place.addEventListener("focusin", (event) => {
    if (event.target.matches("button[data-cell]")) makeCurrent(event.target);
  });
  byId("controls").addEventListener("change", (event) => {
    change(event.target);
    showControls();
    byId(event.target.id)?.focus();
    showGrid();
  });
  showControls();
  showGrid();
}

function change(select) {
  const { what, factor } = select.dataset;
  if (what === "metric") chosen.metric = select.value;
  else if (what === "fixed") chosen.fixed[Number(factor)] = Number(select.value);
  else {
    const other = what === "rows" ? "columns" : "rows";
    const value = Number(select.value);
    if (value === chosen[other]) chosen[other] = chosen[what];
    chosen[what] = value;
    if (chosen.rows < 0) [chosen.rows, chosen.columns] = [chosen.columns, -1];
  }
}

function showControls() {
  const factors = data.factors.map((factor, place) => [String(place), factor.name]);
  const axis = (what, text, choices) => {
    const select = element("select", { id: `choose-${what}`, "data-what": what });
    options(select, choices, String(chosen[what]));
    return labelled(text, select);
  };
  const controls = [metricControl()];
  if (factors.length > 1) {
    controls.push(axis("rows", "Down", factors));
    controls.push(axis("columns", "Across", [...factors, ["-1", NONE]]));
  }
  data.factors.forEach((factor, place) => {
    if (place === chosen.rows || place === chosen.columns) return;
    const select = element("select", {
      id: `choose-fixed-${place}`,
      "data-what": "fixed",
      "data-factor": place,
    });
    const levels = factor.levels.map((level, number) => [String(number), level]);
    options(select, levels, String(chosen.fixed[place]));
    controls.push(labelled(factor.name, select));
  });
  byId("controls").replaceChildren(...controls);
}

function metricControl() {
  const select = element("select", { id: "choose-metric", "data-what": "metric" });
  for (const group of new Set(data.metrics.map((metric) => metric.group))) {
    const inside = element("optgroup", { label: group });
    options(
      inside,
      data.metrics.filter((m) => m.group === group).map((m) => [m.name, m.label]),
      chosen.metric,
    );
    select.append(inside);
  }
  return labelled("Metric", select);
}

function showGrid() {
  const metric = metricNamed(chosen.metric);
  if (!metric) return;
  const scaleAt = scalesOf(metric);
  const [rows, columns] = [usedLevels(chosen.rows), usedLevels(chosen.columns)];
  const table = element("table", { className: "heat", role: "grid", "aria-label": gridLabel(metric) });
  table.classList.toggle("dense", columns.length > 7);
  const names = [chosen.rows, chosen.columns].filter((f) => f >= 0).map((f) => data.factors[f].name);
  const header = element("tr", { role: "row" });
  header.append(element("th", { className: "corner", scope: "col", textContent: names.join(" / ") }));
  for (const column of columns) {
    const text = column < 0 ? metric.label : data.factors[chosen.columns].levels[column];
    header.append(element("th", { scope: "col", textContent: text }));
  }
  table.append(element("thead", {}, header));
  const body = element("tbody");
  for (const row of rows) {
    const text = row < 0 ? data.study : data.factors[chosen.rows].levels[row];
    const line = element("tr", { role: "row" }, element("th", { scope: "row", textContent: text }));
    for (const column of columns) line.append(gridCell(metric, scaleAt, cellAt(row, column)));
    body.append(line);
  }
  table.append(body);
  byId("heat").replaceChildren(table);
  byId("heat-caption").textContent = [metric.label, ...fixedLevels()].join(", ");
  const first = table.querySelector("button");
  if (first) makeCurrent(first);
  showLegend(metric, scaleAt);
}

/** The levels of a factor that some cell has beside the levels that are fixed; -1: no factor. */
function usedLevels(factor) {
  if (factor < 0) return [-1];
  const used = new Set(data.cells.filter(isFixed).map((cell) => cell.at[factor]));
  return [...used].sort((first, second) => first - second);
}

/** What is neither down nor across, as `norm = batch`. */
const fixedLevels = () =>
  data.factors
    .map(({ name, levels }, place) => `${name} = ${levels[chosen.fixed[place]]}`)
    .filter((_, place) => place !== chosen.rows && place !== chosen.columns);

const isFixed = ({ at }) =>
  at.every((level, f) => f === chosen.rows || f === chosen.columns || level === chosen.fixed[f]);

const cellsByPlace = once(() => new Map(data.cells.map(({ at }, cell) => [at.join(), cell])));

/** The cell at a level down and a level across; -1 if there is none. */
function cellAt(row, column) {
  const at = [...chosen.fixed];
  if (chosen.rows >= 0) at[chosen.rows] = row;
  if (chosen.columns >= 0) at[chosen.columns] = column;
  return cellsByPlace().get(at.join()) ?? -1;
}

function gridCell(metric, scaleAt, cell) {
  if (cell < 0) {
    return element("td", { role: "gridcell", className: "absent", textContent: "–" });
  }
  const { number, spread, marks } = numberParts(metric, cell);
  const value = metric.values[cell];
  const button = element(
    "button",
    {
      type: "button",
      tabIndex: -1,
      "data-cell": cell,
      "aria-label": `${wordsOf(cell)}: ${wholeText(metric, cell)} ${metric.unit}. Open this cell`,
    },
    element("b", { textContent: number }),
    spread ? element("span", { textContent: ` ${spread}` }) : null,
    marks ? element("small", { textContent: ` ${marks}` }) : null,
  );
  if (value === null) button.classList.add("unknown");
  else {
    const strength = scaleAt(cell).strength(value);
    button.style.setProperty("--t", strength.toFixed(3));
    button.classList.toggle("strong", strength > OTHER_INK);
  }
  button.classList.toggle("diverged", metric.marks[cell].some((mark) => mark.includes("diverged")));
  return element("td", { role: "gridcell" }, button);
}

const gridLabel = (metric) => `${metric.label} by cell; arrow keys move, Enter opens a cell`;

/** What the metric is and what its colours mean; of several scales side by side none is shown. */
function showLegend(metric, scaleAt) {
  const shown = data.cells.map((_, cell) => cell).filter((cell) => isFixed(data.cells[cell]));
  const scales = new Set(shown.filter((cell) => metric.values[cell] !== null).map(scaleAt));
  const better = metric.better === "none" ? "" : `, ${metric.better} is better`;
  const unit = metric.unit ? ` in ${metric.unit}` : "";
  const apart = scales.size > 1 ? " These cells are of different data or splits: colours compare only within one." : "";
  byId("metric-help").textContent = `${metric.label}${unit}${better}. ${metric.help}${apart}`;
  const legend = byId("legend");
  legend.hidden = scales.size !== 1;
  if (legend.hidden) return;
  const [{ ends, logarithmic }] = scales;
  const [weakest, strongest] = ends.map((cell) => numberParts(metric, cell).number);
  const several = new Set(data.cells.map(({ origin }) => origin).filter((each) => each !== null)).size > 1;
  const over = metric.of_data && several ? "all cells of these data" : "all cells";
  legend.replaceChildren(
    element("span", { textContent: weakest }),
    element("i", { "aria-hidden": "true" }),
    element("span", { textContent: strongest }),
    element("em", { textContent: logarithmic ? `${over}, log scale` : over }),
  );
}

function makeCurrent(button) {
  for (const other of byId("heat").querySelectorAll("button[tabindex='0']")) other.tabIndex = -1;
  button.tabIndex = 0;
}

const STEPS = { ArrowUp: [-1, 0], ArrowDown: [1, 0], ArrowLeft: [0, -1], ArrowRight: [0, 1] };

/** Arrow keys, Home and End; places without a cell are stepped over. */
function moveInGrid(event) {
  const at = event.target.closest("td");
  if (!at || event.altKey || event.ctrlKey || event.metaKey) return;
  const rows = [...byId("heat").querySelectorAll("tbody tr")].map((row) => [...row.cells].slice(1));
  const row = rows.findIndex((cells) => cells.includes(at));
  const column = rows[row].indexOf(at);
  let target = null;
  if (event.key === "Home") target = rows[row].find((cell) => cell.firstElementChild);
  else if (event.key === "End") target = rows[row].findLast((cell) => cell.firstElementChild);
  else if (STEPS[event.key]) {
    const [down, right] = STEPS[event.key];
    for (let step = 1; !target && step < rows.length + rows[row].length; step += 1) {
      const next = rows[row + down * step]?.[column + right * step];
      if (next?.firstElementChild) target = next;
    }
  } else return;
  event.preventDefault();
  target?.firstElementChild.focus();
}
