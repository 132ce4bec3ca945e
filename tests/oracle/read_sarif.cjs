// Validates the SARIF log on stdin against the schema of SARIF 2.1.0.
// Argument: a file beside the folder of node_modules.
const { readFileSync } = require("node:fs");
const { createRequire } = require("node:module");

const beside = createRequire(process.argv[2]);
const schemas = createRequire(beside.resolve("@microsoft/jest-sarif"));
const Ajv = schemas("ajv");
const validator = new Ajv({ schemaId: "auto" });
validator.addMetaSchema(schemas("ajv/lib/refs/json-schema-draft-04.json"));
const validate = validator.compile(schemas("./schemas/sarif-2.1.0-rtm.5.json"));
if (!validate(JSON.parse(readFileSync(0, "utf8")))) throw new Error(validator.errorsText(validate.errors));
