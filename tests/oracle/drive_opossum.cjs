// Drives the real opossum through scenarios in virtual time. One scenario a line of stdin:
// {"options": {...}, "calls": [[at, takes, "ok" | "error" | "filtered"], ...], "until": ms}.
// One line of stdout each: {"events": [[at, name], ...], "counts": {...}, "state": "..."}.
"use strict";
const { createRequire } = require("node:module");
const readline = require("node:readline");
const load = createRequire(process.argv[2]);
const FakeTimers = load("@sinonjs/fake-timers");
const CircuitBreaker = load("opossum");

const EVENTS = [
  "fire", "reject", "timeout", "success", "failure", "semaphoreLocked", "open", "halfOpen", "close",
];
const COUNTED = ["fires", "failures", "successes", "timeouts", "rejects", "semaphoreRejections"];

async function play({ options, calls, until }) {
  const clock = FakeTimers.install({ now: 0, toFake: ["setTimeout", "clearTimeout", "setInterval", "clearInterval", "Date"] });
  const events = [];
  try {
    const action = (takes, ends) => new Promise((resolve, reject) => {
      setTimeout(() => (ends === "ok" ? resolve() : reject(new Error(ends))), takes);
    });
    const breaker = new CircuitBreaker(action, {
      ...options,
      errorFilter: (error) => error.message === "filtered",
    });
    for (const name of EVENTS) breaker.on(name, () => events.push([Date.now(), name]));
    for (const [at, takes, ends] of calls) {
      setTimeout(() => breaker.fire(takes, ends).catch(() => {}), at);
    }
    await clock.tickAsync(until);
    const stats = breaker.stats;
    const counts = Object.fromEntries(COUNTED.map((name) => [name, stats[name]]));
    const state = breaker.opened ? "open" : breaker.halfOpen ? "halfOpen" : "closed";
    breaker.shutdown();
    return { events, counts, state };
  } finally {
    clock.uninstall();
  }
}

(async () => {
  for await (const line of readline.createInterface({ input: process.stdin })) {
    if (line) process.stdout.write(JSON.stringify(await play(JSON.parse(line))) + "\n");
  }
})();
