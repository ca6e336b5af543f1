// Writes src/openapi.ts anew: `node scripts/openapi.js < openapi.json`, with what GET /api/v1/openapi.json answers.
import { readFileSync, writeFileSync } from "node:fs";
import openapiTS, { astToString } from "openapi-typescript";

const document = JSON.parse(readFileSync(0, "utf8"));
const header = "// Made from the board's own openapi.json by scripts/openapi.js; change that, not this.\n\n";
const target = process.argv[2] ?? new URL("../src/openapi.ts", import.meta.url);
writeFileSync(target, header + astToString(await openapiTS(document)));
