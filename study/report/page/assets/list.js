const FIRST_ROWS = 200;
const sorting = { by: null, down: false, all: false };

function startList() {
  const head = element("tr");
  data.factors.forEach((factor, place) => head.append(sorter(factor.name, `f${place}`)));
  if (!data.factors.length) head.append(sorter("cell", "name"));
  for (const name of data.listed) {
    const { label, unit } = metricNamed(name);
    // "Best epoch, epochs" says a thing twice.
    const named = unit && !unit.startsWith("epoch") ? `${label}, ${unit}` : label;
    head.append(sorter(named, name, "number"));
  }
  head.append(sorter("state", "status"));
  byId("list-head").replaceChildren(head);
  byId("list-filter").addEventListener("input", showList);
  byId("list-all").addEventListener("click", () => {
    sorting.all = true;
    showList();
  });
  showList();
}

function sorter(text, key, className = "") {
  const button = element("button", { type: "button", textContent: text });
  const cell = element("th", { scope: "col", className, "data-key": key, "aria-sort": "none" }, button);
  button.addEventListener("click", () => {
    sorting.down = sorting.by === key && !sorting.down;
    sorting.by = key;
    showList();
  });
  return cell;
}

/** What a cell is sorted by: a number, or a text; null stands last either way. */
function sortValue(cell, key) {
  if (key === "status" || key === "name") return data.cells[cell][key];
  const metric = metricNamed(key);
  return metric ? metric.values[cell] : data.cells[cell].at[Number(key.slice(1))];
}

function compare(first, second) {
  const [a, b] = [sortValue(first, sorting.by), sortValue(second, sorting.by)];
  if (a === null || b === null) return (a === null) - (b === null);
  const order = typeof a === "string" ? a.localeCompare(b, "en") : a - b;
  return sorting.down ? -order : order;
}

/** Every word of the filter is in one of the cell's levels, its state or its directory's name. */
function matches(cell, words) {
  const { name, status } = data.cells[cell];
  const levels = data.factors.map((factor, place) => `${factor.name}=${levelOf(cell, place)}`);
  const text = [name, status, ...levels].join("\n").toLowerCase();
  return words.every((word) => text.includes(word));
}

function showList() {
  const words = byId("list-filter").value.toLowerCase().split(/\s+/).filter(Boolean);
  const found = data.cells.map((_, cell) => cell).filter((cell) => matches(cell, words));
  if (sorting.by) found.sort(compare);
  const shown = sorting.all ? found : found.slice(0, FIRST_ROWS);
  byId("list-body").replaceChildren(...shown.map(listRow));
  byId("list-count").textContent =
    found.length === data.cells.length ? `${found.length} cells` : `${found.length} of ${data.cells.length} cells`;
  const rest = found.length - shown.length;
  byId("list-all").hidden = rest === 0;
  byId("list-all").textContent = `Show ${rest} more`;
  for (const cell of byId("list-head").querySelectorAll("th")) {
    const own = cell.dataset.key === sorting.by;
    cell.setAttribute("aria-sort", own ? (sorting.down ? "descending" : "ascending") : "none");
  }
}

function listRow(cell) {
  const name = data.cells[cell].name;
  const open = (textContent) =>
    element("button", { type: "button", className: "link", "data-open": name, textContent });
  const levels = data.factors.map((_, place) => levelOf(cell, place));
  const [first, ...others] = levels.length ? levels : [name];
  return element(
    "tr",
    {},
    element("th", { scope: "row" }, open(first)),
    ...others.map((textContent) => element("td", { textContent })),
    ...data.listed.map((key) => listNumber(key, cell)),
    element("td", { textContent: data.cells[cell].status }),
  );
}

/** A number of the list; that a learning rate is at the edge of its grid stands beside it alone. */
function listNumber(key, cell) {
  const metric = metricNamed(key);
  const { number: text, spread } = numberParts(metric, cell);
  // Why a cell has no numbers is said once.
  const isState = text === data.cells[cell].status;
  const number = isState && key !== data.listed[0] ? "" : text;
  const marks = metric.marks[cell].filter((mark) => key === "chosen_lr" || !mark.startsWith("lr"));
  return element(
    "td",
    { className: "number" },
    number,
    spread ? element("span", { className: "spread", textContent: ` ${spread}` }) : null,
    marks.length ? element("span", { className: "marks", textContent: ` ${marks.join(" ")}` }) : null,
  );
}
