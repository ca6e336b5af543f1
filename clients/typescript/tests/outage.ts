/** A runner whose board is stopped and started again: it writes a line of JSON at each step, and reads one to go on. */

import { createInterface } from "node:readline/promises";
import { Callboard } from "@callboard/client";

const lines = createInterface({ input: process.stdin })[Symbol.asyncIterator]();
const board = new Callboard({ interval: 0.05 });
const write = (message: object) => process.stdout.write(`${JSON.stringify(message)}\n`);

await board.withJob("before", async (before) => {
  before.progress(10);
  write({ id: before.id });
  await lines.next(); // The board is gone.
  for (let percent = 20; percent < 90; percent += 1) before.progress(percent, `at ${percent}`);
  before.log("while nobody listened");
  const during = await board.withJob("during", { payload: { n: 1 } }, (job) => {
    job.progress(50);
    return { n: 2, id: job.id };
  });
  write({ during });
  return { n: 1 };
});
write({ ended: Date.now() });
await lines.next(); // The board is back.
write({ flushed: await board.flush(30) });
process.exit();
