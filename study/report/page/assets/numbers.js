/** The page's data: factors, cells and metrics. */
let data = null;

const levelOf = (cell, factor) => data.factors[factor].levels[data.cells[cell].at[factor]];
const wordsOf = (cell) =>
  data.factors.map((_, factor) => levelOf(cell, factor)).join(" · ") || data.cells[cell].name;
const metricNamed = (name) => data.metrics.find((metric) => metric.name === name);

/** A number as the tables print it, in parts: mean or state, spread, marks. */
function numberParts(metric, cell) {
  const [number, spread] = metric.texts[cell].split(" ± ");
  return { number, spread: spread ? `± ${spread}` : "", marks: metric.marks[cell].join(" ") };
}

const wholeText = (metric, cell) => [metric.texts[cell], ...metric.marks[cell]].join(" ");

/**
 * The cells that share a cell's colours: all of the study, or, of errors and losses, those that were
 * measured on the same images. No number that is not among them is set beside them.
 */
const comparedWith = (metric, cell) =>
  data.cells
    .map((_, other) => other)
    .filter((other) => !metric.of_data || data.cells[other].origin === data.cells[cell].origin)
    .filter((other) => metric.values[other] !== null);

/**
 * How strongly each of these cells is coloured, 0 to 1: fully where it is best (or largest, if
 * neither is better). Logarithmic where the numbers span more than a decade. `ends` are the cells
 * with the weakest and the strongest colour.
 */
function scaleOf(metric, cells) {
  const sorted = [...cells].sort((first, second) => metric.values[first] - metric.values[second]);
  const ends = [sorted[0], sorted[sorted.length - 1]];
  const [least, most] = ends.map((cell) => metric.values[cell]);
  const logarithmic = least > 0 && most > 10 * least;
  const place = (value) => (logarithmic ? Math.log10(value) : value);
  const length = place(most) - place(least);
  const strength = (value) => {
    const share = length ? (place(value) - place(least)) / length : 0.5;
    return metric.better === "lower" ? 1 - share : share;
  };
  return { logarithmic, ends: metric.better === "lower" ? ends.reverse() : ends, strength };
}

/** The scale of each cell that has a number, made once for all cells that share it. */
function scalesOf(metric) {
  const made = new Map();
  return (cell) => {
    const key = metric.of_data ? data.cells[cell].origin : "all";
    if (!made.has(key)) made.set(key, scaleOf(metric, comparedWith(metric, cell)));
    return made.get(key);
  };
}
