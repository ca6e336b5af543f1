/** What the board may answer instead of what was asked for, and what a job is told when it is to stop. */

import type { JobRecord } from "./record.js";

/** What was wrong with one field of a request: `pointer` is its place, a JSON pointer like `/max_duration`. */
export interface Fault {
  readonly pointer: string;
  readonly detail: string;
}

/** The board did not do what it was asked. Every other error of this client is one of these. */
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
  /** Seconds after which the board asked to be asked again; null if it did not say. */
  readonly retryAfter: number | null;

  constructor(message: string, about: { status?: number; retryAfter?: number | null; cause?: unknown } = {}) {
    super(message, { cause: about.cause });
    this.status = about.status ?? null;
    this.retryAfter = about.retryAfter ?? null;
  }
}

/** The board understood and said no; the same request would be refused again. */
export class BoardRefused extends CallboardError {
  override name = "BoardRefused";

  /** `status` is the HTTP status, `code` the board's word for it, `faults` what was wrong with each field. */
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

/** The job is in a status that does not allow this; `job` is the record as it stands. */
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

/** An operator canceled the job. Let it leave the work: the board is told that it stopped. */
export class JobCanceled extends JobStopped {
  override name = "JobCanceled";
}

/** The job ran longer than its `maxDuration` and was failed by the board. */
export class JobTimedOut extends JobStopped {
  override name = "JobTimedOut";
}
