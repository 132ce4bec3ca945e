// Before anything is drawn: the theme that the reader chose here before, where the browser keeps it.
(function () {
  "use strict";
  try {
    const chosen = localStorage.getItem("incident-rca-theme");
    if (chosen === "light" || chosen === "dark") document.documentElement.dataset.theme = chosen;
  } catch {
    // A page opened from a file, or with storage blocked, follows the system.
  }
})();
