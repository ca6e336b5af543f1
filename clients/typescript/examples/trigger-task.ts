/** A Trigger.dev task whose runs are jobs on the board. */

// docs: begin
import { Callboard } from "@callboard/client";
import { AbortTaskRunError, task } from "@trigger.dev/sdk";

const board = new Callboard();
const maxDuration = 300; // seconds, for Trigger.dev and for the board

export const generateReport = task({
  id: "generate-report",
  maxDuration,
  run: async (payload: { month: string }, { ctx }) => {
    const options = {
      payload,
      tags: [ctx.task.id],
      maxDuration,
      // Each attempt is a job of its own.
      key: `${ctx.run.id}:${ctx.attempt.number}`,
      // What an operator canceled is not to be tried again.
      createStopError: (reason: Error) => new AbortTaskRunError(reason.message),
    };
    return board.withJob("generate-report", options, async (job) => {
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
