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
 * How strongly each cell is coloured, 0 to 1, over all cells of the study: fully where it is best
 * (or largest, if neither is better). Logarithmic where the numbers span more than a decade.
 */
function scaleOf(metric) {
  const known = metric.values.filter((value) => value !== null);
  const logarithmic = Math.min(...known) > 0 && Math.max(...known) > 10 * Math.min(...known);
  const place = (value) => (logarithmic ? Math.log10(value) : value);
  const low = place(Math.min(...known));
  const length = place(Math.max(...known)) - low;
  const strength = (value) => {
    const share = length ? (place(value) - low) / length : 0.5;
    return metric.better === "lower" ? 1 - share : share;
  };
  return { logarithmic, known, strength };
}
