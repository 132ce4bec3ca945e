// Tables that can be sorted by their columns, and lists that can be filtered.
(function () {
  "use strict";

  function valueOf(row, column) {
    const cell = row.cells[column];
    return "value" in cell.dataset ? Number(cell.dataset.value) : cell.textContent.trim();
  }

  function compare(a, b) {
    if (typeof a === "number" && typeof b === "number") return a - b;
    return String(a).localeCompare(String(b), "en");
  }

  function sort(table, header, column) {
    const isNumber = header.classList.contains("num");
    const was = header.getAttribute("aria-sort");
    // Numbers begin with the largest, which is what one looks for.
    const first = isNumber ? "descending" : "ascending";
    const second = isNumber ? "ascending" : "descending";
    const way = was === first ? second : first;
    for (const other of table.tHead.rows[0].cells) other.removeAttribute("aria-sort");
    header.setAttribute("aria-sort", way);
    const body = table.tBodies[0];
    const sign = way === "ascending" ? 1 : -1;
    const rows = Array.from(body.rows);
    rows.sort((a, b) => sign * compare(valueOf(a, column), valueOf(b, column)));
    body.append(...rows);
  }

  for (const table of document.querySelectorAll("table.sortable")) {
    Array.from(table.tHead.rows[0].cells).forEach(function (header, column) {
      if (header.textContent === "Evidence") return;
      const button = document.createElement("button");
      button.type = "button";
      button.append(...header.childNodes);
      header.append(button);
      button.addEventListener("click", () => sort(table, header, column));
    });
  }

  for (const form of document.querySelectorAll(".filter")) {
    const list = document.getElementById(form.dataset.filters);
    const rows = Array.from(list.tBodies ? list.tBodies[0].rows : list.children);
    const words = form.querySelector("[data-words]");
    const system = form.querySelector("[data-system]");
    const key = form.querySelector("[data-key]");
    const count = form.querySelector("[data-count]");
    const texts = new Map(rows.map((row) => [row, row.textContent.toLowerCase()]));

    const filter = function () {
      const wanted = words.value.toLowerCase().split(/\s+/).filter(Boolean);
      let shown = 0;
      for (const row of rows) {
        const fits =
          wanted.every((word) => texts.get(row).includes(word)) &&
          (!system || !system.value || row.dataset.system === system.value) &&
          (!key || !key.checked || "isKey" in row.dataset);
        row.hidden = !fits;
        if (fits) shown += 1;
      }
      count.textContent = shown + " of " + rows.length;
    };
    form.addEventListener("input", filter);
    list.addEventListener("reveal", function () {
      words.value = "";
      if (system) system.value = "";
      if (key) key.checked = false;
      filter();
    });
    form.hidden = false;
    filter();
  }
})();
