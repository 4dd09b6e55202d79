const byId = (id) => document.getElementById(id);

/** An element with properties (those with a dash as attributes) and children; texts stay texts. */
function element(name, properties = {}, ...children) {
  const made = document.createElement(name);
  for (const [key, value] of Object.entries(properties)) {
    if (value === null || value === undefined || value === false) continue;
    if (key.includes("-") || key === "role") made.setAttribute(key, value);
    else made[key] = value;
  }
  made.append(...children.filter((child) => child !== null));
  return made;
}

/** The text that an element carries as base64 of gzip. */
async function unpackText(id) {
  const binary = atob(byId(`${id}-data`).textContent);
  const bytes = Uint8Array.from(binary, (character) => character.charCodeAt(0));
  const stream = new Blob([bytes]).stream().pipeThrough(new DecompressionStream("gzip"));
  return new Response(stream).text();
}

const unpack = async (id) => JSON.parse(await unpackText(id));

/** A function that is called once, whose later callers get the first answer. */
function once(make) {
  let made;
  return () => (made ??= make());
}

function options(select, choices, chosen) {
  select.replaceChildren(
    ...choices.map(([value, text]) =>
      element("option", { value, textContent: text, selected: value === chosen }),
    ),
  );
}

/** A select under its label. */
function labelled(text, select) {
  return element("label", { className: "choice" }, element("span", { textContent: text }), select);
}
