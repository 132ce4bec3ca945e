// Prints each document of the YAML on stdin as JSON. Argument: a file in the folder of node_modules.
"use strict";
const { createRequire } = require("node:module");
const YAML = createRequire(process.argv[2])("yaml");
const documents = YAML.parseAllDocuments(require("node:fs").readFileSync(0, "utf8"));
for (const document of documents) if (document.errors.length) throw document.errors[0];
process.stdout.write(JSON.stringify(documents.map((document) => document.toJS())));
