/** The built module needs nothing but what is standard on the web. */

import assert from "node:assert/strict";
import { readdir, readFile } from "node:fs/promises";
import { test } from "node:test";
import vm from "node:vm";
import type * as client from "@callboard/client";
import { getVariable } from "./board.js";

const DIST = new URL("../../dist/", import.meta.url);

/** Build one script of the module, because Node loads modules into another context only behind a flag. */
async function buildScript(): Promise<string> {
  const left = (await readdir(DIST)).filter(
    (name) => name.endsWith(".js") && !["index.js", "openapi.js"].includes(name),
  );
  const sources = new Map<string, string>();
  for (const name of left) sources.set(name, await readFile(new URL(name, DIST), "utf8"));
  const ordered: string[] = [];
  const visit = (name: string) => {
    const source = sources.get(name);
    if (source === undefined) return;
    sources.delete(name);
    for (const [, needed] of source.matchAll(/from "\.\/(.+?)"/g)) visit(needed ?? "");
    const exported = [...source.matchAll(/^export (?:async )?(?:const|class|function) (\w+)/gm)].map(
      ([, word]) => word,
    );
    const body = source.replace(/^import .*?;$/gms, "").replace(/^export (?!\{)/gm, "");
    ordered.push(`const { ${exported.join(", ")} } = (() => {\n${body}\nreturn { ${exported.join(", ")} };\n})();`);
  };
  for (const name of left) visit(name);
  return `${ordered.join("\n")}\n({ Callboard, JobCanceled, NotConfigured });`;
}

const STANDARD = { fetch, AbortController, URL, setTimeout, clearTimeout, crypto };

test("it runs where there is nothing but web standards", async () => {
  const script = await buildScript();
  const context = vm.createContext({ ...STANDARD });
  const { Callboard, JobCanceled, NotConfigured } = vm.runInContext(script, context) as typeof client;
  await assert.rejects(new Callboard().enqueueJob("x"), NotConfigured);
  assert.equal(await new Callboard().withJob("x", () => 1), 1);
  const board = new Callboard({ url: getVariable("CALLBOARD_URL"), token: getVariable("CALLBOARD_TOKEN") });
  let id = "";
  await board.withJob("edge", (job) => {
    id = job.id ?? "";
    job.progress(40, "on the edge");
    return { done: true };
  });
  const record = await board.getJobStatus(id);
  assert.deepEqual(
    [record.status, { ...record.result }, record.message, record.runner],
    ["completed", { done: true }, "on the edge", null],
  );
  // A job that only listens keeps no process alive; this one is to go on.
  const alive = setInterval(() => undefined, 1000);
  const work = board.withJob("edge", { heartbeatTimeout: 1 }, async (job) => {
    await board.cancelJob(job.id ?? "");
    await new Promise((_, reject) => job.signal.addEventListener("abort", () => reject(job.signal.reason)));
  });
  await assert.rejects(work, JobCanceled).finally(() => clearInterval(alive));
});

test("it needs no package, and no module of Node", async () => {
  for (const name of await readdir(DIST)) {
    if (!name.endsWith(".js")) continue;
    const source = await readFile(new URL(name, DIST), "utf8");
    for (const [, from] of source.matchAll(/\bfrom "(.+?)"|\brequire\(|\bimport\(/g)) assert.match(from ?? "", /^\.\//);
  }
  const { dependencies } = JSON.parse(await readFile(new URL("../package.json", DIST), "utf8")) as {
    dependencies?: object;
  };
  assert.equal(dependencies, undefined);
});
