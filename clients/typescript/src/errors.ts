/** The errors of this client: what the board may answer to a request, and why a job is to stop. */

import type { JobRecord } from "./record.js";

/** What was wrong with one field of a request: `pointer` is its place, a JSON pointer like `/max_duration`. */
export interface Fault {
  readonly pointer: string;
  readonly detail: string;
}

/** The board did not do what a request asked for. Every other error of this client is one of these. */
export class CallboardError extends Error {
  override name = "CallboardError";
}

/** Neither the arguments nor the environment say which board, or with which token. */
export class NotConfigured extends CallboardError {
  override name = "NotConfigured";
}

/** The board is away, busy or out of order: the same request may succeed later, as it is. */
export class BoardUnreachable extends CallboardError {
  override name = "BoardUnreachable";
  /** The HTTP status; null if there was no answer. */
  readonly status: number | null;
  /** Seconds after which the board wants the next request; null if it did not say. */
  readonly retryAfter: number | null;

  constructor(message: string, details: { status?: number; retryAfter?: number | null; cause?: unknown } = {}) {
    super(message, { cause: details.cause });
    this.status = details.status ?? null;
    this.retryAfter = details.retryAfter ?? null;
  }
}

/** The board understood the request and refused it; it would refuse the same request again. */
export class BoardRefused extends CallboardError {
  override name = "BoardRefused";

  /** `status` is the HTTP status, `code` the board's name for the reason, `faults` what was wrong with each field. */
  constructor(
    readonly status: number,
    readonly code: string,
    message: string,
    readonly faults: readonly Fault[] = [],
  ) {
    super([message, ...faults.map((fault) => `  ${fault.pointer || "the body"}: ${fault.detail}`)].join("\n"));
  }
}

/** The token is unknown, revoked or expired, or lacks the scope that this call needs. */
export class Unauthorized extends BoardRefused {
  override name = "Unauthorized";
}

/** There is no such job in the workspace of this token. */
export class JobNotFound extends BoardRefused {
  override name = "JobNotFound";
}

/** The job is in a status that does not allow this; `job` is the job as it stands. */
export class JobConflict extends BoardRefused {
  override name = "JobConflict";

  constructor(
    code: string,
    message: string,
    readonly job: JobRecord,
  ) {
    super(409, code, message);
  }
}

/** The job is to stop: it was canceled, or it ran past its time. */
export class JobStopped extends JobConflict {
  override name = "JobStopped";
}

/** An operator canceled the job. Let it leave the work, so that the board shows that it stopped. */
export class JobCanceled extends JobStopped {
  override name = "JobCanceled";
}

/** The job ran longer than its `maxDuration` and was failed by the board. */
export class JobTimedOut extends JobStopped {
  override name = "JobTimedOut";
}
