/** A runner whose board is stopped and started again around it: `node outage.js`, told by lines, tells by lines. */

import { createInterface } from "node:readline/promises";
import { Callboard } from "@callboard/client";

const lines = createInterface({ input: process.stdin })[Symbol.asyncIterator]();
const board = new Callboard({ interval: 0.05 });
const say = (told: object) => process.stdout.write(`${JSON.stringify(told)}\n`);

await board.withJob("before", async (before) => {
  before.progress(10);
  say({ id: before.id });
  await lines.next(); // The board is gone.
  for (let percent = 20; percent < 90; percent += 1) before.progress(percent, `at ${percent}`);
  before.log("while nobody listened");
  const during = await board.withJob("during", { payload: { n: 1 } }, (job) => {
    job.progress(50);
    return { n: 2, id: job.id };
  });
  say({ during });
  return { n: 1 };
});
say({ ended: Date.now() });
await lines.next(); // The board is back.
say({ told: await board.flush(30) });
process.exit();
