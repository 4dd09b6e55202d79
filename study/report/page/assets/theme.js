(() => {
  // Before anything is painted, so that the page does not change colours once it is there.
  try {
    const chosen = localStorage.getItem("study-theme");
    if (chosen === "light" || chosen === "dark") document.documentElement.dataset.theme = chosen;
  } catch {
    // Storage may be forbidden to files; then the system's theme it is.
  }
})();
