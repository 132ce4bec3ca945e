// Constructs the real opossum from an exported module, and prints the options that it then has.
// Arguments: a file in the folder of node_modules, the exported module.
"use strict";
const { createRequire } = require("node:module");
const CircuitBreaker = createRequire(process.argv[2])("opossum");
const breaker = new CircuitBreaker(async () => {}, require(process.argv[3]));
const { name, volumeThreshold, warmUp } = breaker;
process.stdout.write(JSON.stringify({ ...breaker.options, name, volumeThreshold, warmUp }));
breaker.shutdown();
