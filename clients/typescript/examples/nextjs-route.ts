/** A Next.js route handler, app/reports/route.ts, whose work is a job on the board. */

// docs: begin
import { Callboard, JobCanceled } from "@callboard/client";
import type { NextRequest } from "next/server";

const board = new Callboard();

// Seconds. Next.js wants the number itself here, not a name for it.
export const maxDuration = 300;

export async function POST(request: NextRequest): Promise<Response> {
  const payload: { month: string } = await request.json();
  const options = { payload, maxDuration };
  try {
    const work = board.withJob("generate-report", options, async (job) => {
      for (let page = 1; page <= 10; page++) {
        await writePage(payload.month, page, job.signal);
        job.progress(page * 10, `page ${page} of 10`);
      }
      return { pages: 10 };
    });
    return Response.json(await work);
  } catch (error) {
    if (!(error instanceof JobCanceled)) throw error;
    return Response.json({ canceled: true }, { status: 409 });
  }
}
// docs: end

/** The work: a page of the report. Stops when the signal aborts. */
async function writePage(_month: string, _page: number, signal: AbortSignal): Promise<void> {
  signal.throwIfAborted();
  await new Promise((resolve) => setTimeout(resolve, 100));
}
