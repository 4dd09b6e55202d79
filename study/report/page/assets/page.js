const THEMES = { "": "Theme: system", light: "Theme: light", dark: "Theme: dark" };

function startTheme() {
  const button = byId("theme");
  const root = document.documentElement;
  const show = () => {
    button.textContent = THEMES[root.dataset.theme ?? ""];
    redraw();
  };
  button.hidden = false;
  button.addEventListener("click", () => {
    const names = Object.keys(THEMES);
    const next = names[(names.indexOf(root.dataset.theme ?? "") + 1) % names.length];
    if (next) root.dataset.theme = next;
    else delete root.dataset.theme;
    try {
      localStorage.setItem("study-theme", next);
    } catch {
      // It holds until the page is closed.
    }
    show();
  });
  matchMedia("(prefers-color-scheme: dark)").addEventListener("change", () => redraw());
  button.textContent = THEMES[root.dataset.theme ?? ""];
}

/** In print everything is open, as it cannot be opened there. */
function startPrint() {
  let opened = [];
  addEventListener("beforeprint", () => {
    opened = [...document.querySelectorAll("main details:not([open])")];
    for (const part of opened) part.open = true;
  });
  addEventListener("afterprint", () => {
    for (const part of opened) part.open = false;
  });
}

/** The section that is being read is marked in the bar. */
function startBar() {
  const links = new Map(
    [...document.querySelectorAll(".bar nav a")].map((link) => [link.hash.slice(1), link]),
  );
  const seen = new IntersectionObserver(
    (entries) => {
      for (const { target, isIntersecting } of entries) {
        if (!isIntersecting) continue;
        for (const [id, link] of links) {
          if (id === target.id) link.setAttribute("aria-current", "true");
          else link.removeAttribute("aria-current");
        }
      }
    },
    { rootMargin: "-20% 0px -75% 0px" },
  );
  for (const id of links.keys()) seen.observe(byId(id));
}

async function start() {
  startTheme();
  startPrint();
  startBar();
  try {
    data = await unpack("explorer");
  } catch {
    byId("heat").textContent =
      "This browser cannot unpack the explorer's data; the tables below have the numbers.";
    return;
  }
  startExplorer(openCell);
  startList();
  startDialog();
  openFromAddress();
  document.documentElement.dataset.ready = "true";
}

start();
