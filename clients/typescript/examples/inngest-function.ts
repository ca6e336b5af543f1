/** An Inngest function with a step that is a job on the board. */

// docs: begin
import { Callboard } from "@callboard/client";
import { Inngest, NonRetriableError } from "inngest";

const board = new Callboard();
export const inngest = new Inngest({ id: "shop" });

export const generateReport = inngest.createFunction(
  { id: "generate-report", triggers: { event: "shop/month.ended" } },
  async ({ event, step, runId, attempt }) => {
    // Inngest calls this function again for each step: a job belongs
    // inside of one. Each attempt at it is a job of its own.
    const options = {
      payload: event.data,
      key: `${runId}:${attempt}`,
      // What an operator canceled is not to be tried again.
      createStopError: (reason: Error) => new NonRetriableError(reason.message),
    };
    return step.run("write-report", () =>
      board.withJob("generate-report", options, async (job) => {
        for (let page = 1; page <= 10; page++) {
          await writePage(event.data.month, page, job.signal);
          job.progress(page * 10, `page ${page} of 10`);
        }
        return { pages: 10 };
      }),
    );
  },
);
// docs: end

/** The work: a page of the report. Stops when the signal aborts. */
async function writePage(_month: string, _page: number, signal: AbortSignal): Promise<void> {
  signal.throwIfAborted();
  await new Promise((resolve) => setTimeout(resolve, 100));
}
