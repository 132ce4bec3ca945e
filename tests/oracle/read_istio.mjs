// Validates each resource of a JSON list on stdin against the schemas of Istio's own CRDs.
// Argument: the folder of node_modules.
import { readFileSync } from "node:fs";
import { pathToFileURL } from "node:url";

const folder = `${process.argv[2]}/@kubernetes-models/istio/networking.istio.io/v1/index.js`;
const known = await import(pathToFileURL(folder));
for (const resource of JSON.parse(readFileSync(0, "utf8"))) {
  const { apiVersion, kind, ...rest } = resource;
  const read = new known[kind](rest);
  read.validate();
  if (read.apiVersion !== apiVersion) throw new Error(`${kind} is of ${read.apiVersion}`);
}
