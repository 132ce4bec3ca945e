// The timelines: zooming shows a part of what is drawn already; pointing tells the values and the
// evidence of an instant. All places are steps from the start of a chart.
(function () {
  "use strict";
  const ROWS = 6;
  // So many steps, and a rate is read step by step.
  const FINE_STEPS = 300;
  const MOST_TICKS = 9;
  const EDGE = 0.03;

  function setUp(chart) {
    const data = JSON.parse(chart.querySelector("script").textContent);
    const steps = data.steps;
    const plots = chart.querySelector(".plots");
    const scaled = Array.from(chart.querySelectorAll("svg.scaled"));
    const cursors = Array.from(chart.querySelectorAll(".cursor"));
    const picked = Array.from(chart.querySelectorAll(".picked"));
    const outputs = Array.from(chart.querySelectorAll(".keys output"));
    const ticks = Array.from(chart.querySelectorAll(".tick"));
    const phases = Array.from(chart.querySelectorAll(".phase"));
    const presets = Array.from(chart.querySelectorAll("[data-from]")).filter((b) => b.tagName === "BUTTON");
    const readout = chart.querySelector(".readout");
    let from = 0;
    let to = steps;
    let at = null;
    let held = false;

    const percent = (place) => (100 * (place - from)) / (to - from) + "%";
    const clamp = (place) => Math.max(0, Math.min(steps, place));

    function show(start, end) {
      const least = Math.min(steps, 8);
      const length = Math.max(least, Math.min(steps, end - start));
      from = Math.max(0, Math.min(steps - length, start));
      to = from + length;
      for (const svg of scaled) svg.setAttribute("viewBox", from + " 0 " + (to - from) + " 100");
      for (const phase of phases) {
        const begin = Math.max(from, Number(phase.dataset.from));
        const end = Math.min(to, Number(phase.dataset.to));
        phase.classList.toggle("off", end <= begin);
        phase.setAttribute("x", percent(begin));
        phase.setAttribute("width", Math.max(0, (100 * (end - begin)) / (to - from)) + "%");
      }
      placeTicks();
      chart.classList.toggle("fine", to - from <= FINE_STEPS);
      for (const button of presets) {
        const is = near(from, button.dataset.from) && near(to, button.dataset.to);
        button.setAttribute("aria-pressed", String(is));
      }
      chart.querySelector('[data-zoom="out"]').disabled = to - from >= steps;
      chart.querySelector('[data-zoom="all"]').disabled = to - from >= steps;
      chart.querySelector('[data-zoom="in"]').disabled = to - from <= least;
      if (at !== null) point(at);
    }

    function near(place, other) {
      return Math.abs(place - Number(other)) < 1e-6 * steps;
    }

    function placeTicks() {
      const inside = ticks.filter((tick) => Number(tick.dataset.at) >= from && Number(tick.dataset.at) <= to);
      const byLevel = new Map();
      for (const tick of inside) byLevel.set(tick.dataset.level, (byLevel.get(tick.dataset.level) || 0) + 1);
      const room = Math.min(MOST_TICKS, Math.floor(scaled[0].clientWidth / 62));
      let level = "0";
      for (const [name, number] of byLevel) if (number <= room && Number(name) > Number(level)) level = name;
      for (const tick of ticks) {
        const place = Number(tick.dataset.at);
        const share = (place - from) / (to - from);
        // One at the very edge would be cut.
        tick.classList.toggle("off", tick.dataset.level !== level || share < EDGE || share > 1 - EDGE);
        tick.setAttribute("x", percent(place));
      }
    }

    function zoom(times) {
      const middle = at !== null && at >= from && at <= to ? at : (from + to) / 2;
      const length = (to - from) * times;
      const share = (middle - from) / (to - from);
      show(middle - share * length, middle + (1 - share) * length);
    }

    function timeOf(place) {
      const text = new Date(data.start_ms + place * data.step_seconds * 1000).toISOString();
      const day = text.slice(0, 10);
      return (day === data.day ? "" : day.slice(5) + " ") + text.slice(11, 19) + " UTC";
    }

    function valueAt(line, step) {
      const every = chart.classList.contains("fine") ? 1 : line.every;
      const first = Math.floor(step / every) * every;
      const values = line.values.slice(first, first + every).filter((value) => value !== null);
      if (!values.length) return "not recorded";
      const value = values.reduce((sum, one) => sum + one, 0) / values.length;
      const digits = value >= 100 ? 0 : value >= 10 ? 1 : 2;
      const text = value.toLocaleString("en-US", { maximumFractionDigits: digits });
      return (line.at_least.includes(step) ? "≥ " : "") + text;
    }

    function point(place) {
      at = Math.max(0, Math.min(steps - 1, place));
      const step = Math.floor(at);
      plots.classList.add("pointed");
      for (const cursor of cursors) {
        cursor.setAttribute("x1", String(at));
        cursor.setAttribute("x2", String(at));
      }
      outputs.forEach((output, number) => (output.textContent = valueAt(data.lines[number], step)));
      readout.querySelector("[data-time]").textContent = timeOf(step);
      const phase = data.phases.find((one) => at >= one[1] && at < one[2]);
      readout.querySelector("[data-phase]").textContent = phase ? "phase: " + phase[0] : "";
      // What is within a few dots of the cursor is meant too.
      const slack = Math.max(0.5, (3 * (to - from)) / (scaled[0].clientWidth || 1));
      showEvents(slack);
      showEvidence(slack);
    }

    function touches(start, end, slack) {
      return at >= start - slack && at <= end + slack;
    }

    function showEvents(slack) {
      const items = data.events
        .filter((event) => touches(event[1], event[2], slack))
        .map(function (event) {
          const item = document.createElement("li");
          item.textContent = event[0];
          return item;
        });
      readout.querySelector("[data-events]").replaceChildren(...items);
    }

    function showEvidence(slack) {
      const found = data.evidence.filter((one) => touches(one[1], one[2], slack));
      // What is told of this instant comes before what is told of a long time.
      found.sort((a, b) => a[2] - a[1] - (b[2] - b[1]));
      const rows = found.slice(0, ROWS).map(function (one) {
        const row = document.createElement("li");
        const source = document.getElementById("e-" + one[0]);
        for (const part of source.querySelectorAll(".line, .seen, .where")) row.append(part.cloneNode(true));
        return row;
      });
      readout.querySelector("[data-rows]").replaceChildren(...rows);
      const more = found.length - rows.length;
      readout.querySelector("[data-more]").textContent = more > 0 ? more + " more pieces of evidence are about this time" : "";
    }

    function hold(is) {
      held = is;
      readout.querySelector("[data-hint]").textContent = is ? "Held. Click the chart again, or press Escape, to let go." : "";
    }

    function placeOf(event) {
      const box = scaled[0].getBoundingClientRect();
      return clamp(from + ((event.clientX - box.left) / box.width) * (to - from));
    }

    let pressed = null;
    plots.addEventListener("pointermove", function (event) {
      if (!event.target.closest(".plot")) return;
      const place = placeOf(event);
      if (pressed !== null) pick(pressed, place);
      else if (!held && event.pointerType !== "touch") point(place);
    });
    plots.addEventListener("pointerdown", function (event) {
      if (event.button === 0 && event.target.closest(".plot")) pressed = placeOf(event);
    });
    document.addEventListener("pointerup", function (event) {
      if (pressed === null) return;
      const start = Math.min(pressed, placeOf(event));
      const end = Math.max(pressed, placeOf(event));
      const dots = ((end - start) / (to - from)) * scaled[0].clientWidth;
      pressed = null;
      pick(0, 0);
      if (dots > 6) show(start, end);
      else {
        hold(!held || event.pointerType === "touch");
        point(start);
      }
    });
    document.addEventListener("pointercancel", function () {
      pressed = null;
      pick(0, 0);
    });

    function pick(start, end) {
      for (const rect of picked) {
        rect.setAttribute("x", String(Math.min(start, end)));
        rect.setAttribute("width", String(Math.abs(end - start)));
      }
    }

    function move(by) {
      const place = at === null ? (from + to) / 2 : at + by;
      hold(true);
      at = Math.max(0, Math.min(steps - 1, place));
      if (at < from || at > to) show(at - (to - from) / 2, at + (to - from) / 2);
      point(at);
    }

    plots.addEventListener("keydown", function (event) {
      if (event.ctrlKey || event.metaKey || event.altKey) return;
      // A key moves by a dot of the screen, or by a step where these are wider.
      const one = Math.max(1, Math.round((2 * (to - from)) / (scaled[0].clientWidth || 1)));
      const keys = {
        ArrowLeft: () => move(event.shiftKey ? -10 * one : -one),
        ArrowRight: () => move(event.shiftKey ? 10 * one : one),
        Home: () => move(-steps),
        End: () => move(steps),
        "+": () => zoom(0.5),
        "=": () => zoom(0.5),
        "-": () => zoom(2),
        0: () => show(0, steps),
        Escape: () => hold(false),
      };
      if (!keys[event.key]) return;
      event.preventDefault();
      keys[event.key]();
    });
    for (const button of presets) {
      button.addEventListener("click", () => show(Number(button.dataset.from), Number(button.dataset.to)));
    }
    const zooms = { in: () => zoom(0.5), out: () => zoom(2), all: () => show(0, steps) };
    for (const button of chart.querySelectorAll("[data-zoom]")) {
      button.addEventListener("click", zooms[button.dataset.zoom]);
    }
    window.addEventListener("resize", placeTicks);
    chart.querySelector(".chart-tools").hidden = false;
    readout.hidden = false;
    show(0, steps);
    point(data.begin);
  }

  document.querySelectorAll(".chart").forEach(setUp);
})();
