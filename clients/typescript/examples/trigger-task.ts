/** A Trigger.dev task whose runs are jobs on the board. */

// docs: begin
import { Callboard } from "@callboard/client";
import { task } from "@trigger.dev/sdk";

const board = new Callboard();
const maxDuration = 300; // seconds, for Trigger.dev and for the board

export const generateReport = task({
  id: "generate-report",
  maxDuration,
  run: async (payload: { month: string }, { ctx }) => {
    // Each attempt is a job of its own.
    const key = `${ctx.run.id}:${ctx.attempt.number}`;
    const about = { payload, tags: [ctx.task.id], maxDuration, key };
    return board.withJob("generate-report", about, async (job) => {
      for (let page = 1; page <= 10; page++) {
        await writePage(payload.month, page, job.signal);
        job.progress(page * 10, `page ${page} of 10`);
      }
      return { pages: 10 };
    });
  },
});
// docs: end

/** The work: a page of the report. Stops when the signal aborts. */
async function writePage(_month: string, _page: number, signal: AbortSignal): Promise<void> {
  signal.throwIfAborted();
  await new Promise((resolve) => setTimeout(resolve, 100));
}
