// The panel of settings: sliders choose a place in tables that were computed beforehand.
(function () {
  "use strict";
  const panel = document.querySelector(".panel");
  if (!panel) return;
  const data = JSON.parse(panel.querySelector("script").textContent);
  const sliders = Array.from(panel.querySelectorAll(".slider input"));
  const ways = Array.from(panel.querySelectorAll('input[name="way"]'));
  const cells = Array.from(panel.querySelectorAll("[data-tried]"));
  const format = panel.querySelector("[data-format]");
  const exported = panel.querySelector("[data-export]");
  const said = panel.querySelector("[data-export-said]");
  const SVG = "http://www.w3.org/2000/svg";

  const way = () => ways.find((one) => one.checked).value;
  // The last slider is the quickest.
  const chosen = () => sliders.reduce((place, slider, axis) => place * data.axes[axis].length + Number(slider.value), 0);

  function choose(place) {
    for (let axis = sliders.length - 1; axis >= 0; axis -= 1) {
      const size = data.axes[axis].length;
      sliders[axis].value = String(place % size);
      place = Math.floor(place / size);
    }
    show();
  }

  function show() {
    sliders.forEach(function (slider, axis) {
      const text = data.axes[axis][Number(slider.value)];
      slider.parentElement.querySelector("output").textContent = text;
      slider.setAttribute("aria-valuetext", text);
    });
    const place = chosen();
    cells.forEach(function (cell, row) {
      const told = data.rows[row];
      cell.textContent = told.values[told[way()][place]];
    });
    showFront(place);
    drawTrials(place);
    drawHeld(place);
    showExport();
  }

  const sameWorth = (one, other) =>
    data.failed[way()][one] === data.failed[way()][other] && data.refused[way()][one] === data.refused[way()][other];

  function showFront(place) {
    const front = data.front[way()];
    const number = front.findIndex((one) => sameWorth(one, place));
    panel.querySelector("[data-front-said]").textContent =
      number >= 0 ? "none beats it (" + (number + 1) + " of " + front.length + ")" : "another setting beats it";
  }

  // From where the sliders stand to the next setting that none beats, in either direction.
  function alongFront(by) {
    const place = chosen();
    const lost = data.failed[way()];
    const refused = data.refused[way()];
    const front = data.front[way()];
    const further = front.filter((one) => (by > 0 ? refused[one] < refused[place] : lost[one] < lost[place]));
    if (further.length) choose(by > 0 ? further[0] : further[further.length - 1]);
  }

  function marks(parent, name, attributes) {
    const node = document.createElementNS(SVG, name);
    for (const [key, value] of Object.entries(attributes)) node.setAttribute(key, String(value));
    parent.append(node);
    return node;
  }

  const trials = panel.querySelector(".trials");
  const LEFT = 46, RIGHT = 12, TOP = 10, BOTTOM = 24, HEIGHT = 210;
  let points = [];

  function scale(values) {
    const logs = values.map(Math.log1p);
    const low = Math.min(...logs);
    const high = Math.max(...logs);
    return (value) => (high > low ? (Math.log1p(value) - low) / (high - low) : 0.5);
  }

  function drawTrials(place) {
    const lost = data.failed[way()];
    const refused = data.refused[way()];
    const width = trials.clientWidth || 400;
    const right = scale(refused);
    const up = scale(lost);
    const x = (one) => LEFT + right(refused[one]) * (width - LEFT - RIGHT);
    const y = (one) => HEIGHT - BOTTOM - up(lost[one]) * (HEIGHT - TOP - BOTTOM);
    trials.replaceChildren();
    marks(trials, "path", { class: "frame", d: `M${LEFT - 6} ${TOP - 4}V${HEIGHT - BOTTOM + 6}H${width}` });
    const label = (text, left, top, anchor) => (marks(trials, "text", { x: left, y: top, "text-anchor": anchor }).textContent = text.toLocaleString("en-US"));
    label(Math.max(...lost), LEFT - 10, TOP + 6, "end");
    label(Math.min(...lost), LEFT - 10, HEIGHT - BOTTOM + 2, "end");
    label(Math.min(...refused), LEFT, HEIGHT - 4, "start");
    label(Math.max(...refused), width - RIGHT, HEIGHT - 4, "end");
    points = [];
    const seen = new Set();
    for (let one = 0; one < lost.length; one += 1) {
      const key = lost[one] + " " + refused[one];
      if (seen.has(key)) continue;
      seen.add(key);
      points.push([one, x(one), y(one)]);
      marks(trials, "circle", { class: "trial", cx: x(one).toFixed(1), cy: y(one).toFixed(1), r: 2.5 });
    }
    for (const one of data.front[way()]) {
      points.push([one, x(one), y(one)]);
      marks(trials, "circle", { class: "front", cx: x(one).toFixed(1), cy: y(one).toFixed(1), r: 4 });
    }
    marks(trials, "circle", { class: "chosen", cx: x(place).toFixed(1), cy: y(place).toFixed(1), r: 5.5 });
  }

  trials.addEventListener("click", function (event) {
    const box = trials.getBoundingClientRect();
    let nearest = null;
    let least = 18 * 18;
    for (const [one, x, y] of points) {
      const distance = (x - event.clientX + box.left) ** 2 + (y - event.clientY + box.top) ** 2;
      // Of the points at one place the last stands on top: the setting that none beats.
      if (distance <= least) [nearest, least] = [one, distance];
    }
    if (nearest !== null) choose(nearest);
  });

  const held = panel.querySelector(".held");
  const top = 1.1 * data.held.size;

  function curve(values) {
    let path = "";
    let last = null;
    values.forEach(function (value, step) {
      if (value !== null) {
        const y = (top - value).toFixed(1);
        path += (last === null ? "M" + step + " " + y : "V" + y) + "H" + (step + 1);
      }
      last = value;
    });
    return path;
  }

  function drawHeld(place) {
    const values = data.held.values;
    const steps = values[data.held.recorded].length;
    held.setAttribute("viewBox", "0 0 " + steps + " " + top);
    const draw = (name, path) => held.querySelector("." + name).setAttribute("d", path);
    draw("limit", "M0 " + (top - data.held.size).toFixed(1) + "H" + steps);
    draw("recorded", curve(values[data.held.recorded]));
    draw("unprotected", curve(values[data.held.unprotected]));
    draw("tried", curve(values[data.held[way()][place]]));
  }

  function exportedText() {
    const packed = data.exports[format.value];
    return packed.texts[packed[way()][chosen()]].map((line) => packed.lines[line]).join("\n");
  }

  function showExport() {
    exported.textContent = exportedText();
    said.textContent = "";
  }

  panel.querySelector("[data-copy]").addEventListener("click", function () {
    const select = function () {
      getSelection().selectAllChildren(exported);
      said.textContent = "selected: copy it with the keyboard";
    };
    // A page from a file may not be let near the clipboard.
    if (!navigator.clipboard) select();
    else navigator.clipboard.writeText(exportedText()).then(() => (said.textContent = "copied"), select);
  });
  panel.querySelector("[data-save]").addEventListener("click", function () {
    const link = document.createElement("a");
    const ending = format.selectedOptions[0].dataset.ending;
    link.href = URL.createObjectURL(new Blob([exportedText()], { type: "text/plain" }));
    link.download = "breaker-" + format.value + "." + ending;
    link.click();
    URL.revokeObjectURL(link.href);
    said.textContent = "saved as " + link.download;
  });
  for (const button of panel.querySelectorAll("[data-front]")) {
    button.addEventListener("click", () => alongFront(Number(button.dataset.front)));
  }
  for (const input of [...sliders, ...ways]) input.addEventListener("input", show);
  format.addEventListener("change", showExport);
  window.addEventListener("resize", () => drawTrials(chosen()));
  panel.hidden = false;
  choose(data.start);
})();
