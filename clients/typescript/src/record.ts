/** A job as the board has it. */

import type { components } from "./openapi.js";

/** A job in an answer; after a report the board leaves out its payload. */
export type WireJob = components["schemas"]["ReportedJob"] & { payload?: components["schemas"]["Job"]["payload"] };
/** What a report may say, as the board reads it. */
export type WireReport = components["schemas"]["Report"];
/** What a new job may be, as the board reads it. */
export type WireNewJob = components["schemas"]["NewJob"];

export type JobStatus = components["schemas"]["JobStatus"];
export type LogLevel = components["schemas"]["LogLevel"];
/** A payload or a result: whatever JSON has a word for, under names. */
export type JsonObject = { [name: string]: unknown };

/** The record of a job. Times are to the millisecond. What has not happened is null. */
export interface JobRecord {
  readonly id: string;
  readonly type: string;
  readonly status: JobStatus;
  /** What the job is asked to do; null as well where an answer leaves it out, as after a report. */
  readonly payload: JsonObject | null;
  readonly result: JsonObject | null;
  readonly error: string | null;
  /** Percent, 0 to 100. */
  readonly progress: number;
  readonly workspaceId: string | null;
  /** `user:<id>`, `token:<id>` or `system`, as `canceledBy`. */
  readonly createdBy: string;
  readonly startedAt: Date | null;
  readonly completedAt: Date | null;
  readonly createdAt: Date;
  readonly updatedAt: Date;
  readonly canceledAt: Date | null;
  readonly canceledBy: string | null;
  /** When the runner heard of the cancel. */
  readonly cancelSeenAt: Date | null;
  /** When the runner said that it stopped. */
  readonly cancelConfirmedAt: Date | null;
  readonly message: string | null;
  readonly tags: readonly string[];
  readonly link: string | null;
  readonly runner: string | null;
  readonly failureReason: WireJob["failure_reason"];
  /** Seconds after which the board fails a running job for good. */
  readonly maxDuration: number | null;
  /** Seconds of silence after which the board counts a running job as lost. */
  readonly heartbeatTimeout: number | null;
  readonly lastSeenAt: Date | null;
  readonly parentId: string | null;
}

/** The record of an answer. Fields that this client does not know are left out: the board may be newer. */
export function fromWire(sent: WireJob): JobRecord {
  return {
    id: sent.id,
    type: sent.type,
    status: sent.status,
    payload: sent.payload ?? null,
    result: sent.result,
    error: sent.error,
    progress: sent.progress,
    workspaceId: sent.workspace_id,
    createdBy: sent.created_by,
    startedAt: moment(sent.started_at),
    completedAt: moment(sent.completed_at),
    createdAt: new Date(sent.created_at),
    updatedAt: new Date(sent.updated_at),
    canceledAt: moment(sent.canceled_at),
    canceledBy: sent.canceled_by,
    cancelSeenAt: moment(sent.cancel_seen_at),
    cancelConfirmedAt: moment(sent.cancel_confirmed_at),
    message: sent.message,
    tags: sent.tags,
    link: sent.link,
    runner: sent.runner,
    failureReason: sent.failure_reason,
    maxDuration: sent.max_duration,
    heartbeatTimeout: sent.heartbeat_timeout,
    lastSeenAt: moment(sent.last_seen_at),
    parentId: sent.parent_id,
  };
}

/** Whether an answer's JSON is a job: what answers may be something else at the board's address. */
export function isWireJob(sent: unknown): sent is WireJob {
  return typeof sent === "object" && sent !== null && "id" in sent && "status" in sent && "created_at" in sent;
}

function moment(text: string | null): Date | null {
  return text === null ? null : new Date(text);
}
