/** A job as the board has it. */

import type { components } from "./openapi.js";

/** A job in an answer; some answers leave out what may be large, or what the token may not read. */
export type WireJob = components["schemas"]["BatchedJob"] &
  Partial<Pick<components["schemas"]["Job"], "payload" | "result" | "error">>;
/** What a report may say, as the board reads it. */
export type WireReport = components["schemas"]["Report"];
/** What a new job may be, as the board reads it. */
export type WireNewJob = components["schemas"]["NewJob"];

/** `pending`, `running`, `completed`, `failed` or `canceled`. */
export type JobStatus = components["schemas"]["JobStatus"];
/** `debug`, `info`, `warning` or `error`. */
export type LogLevel = components["schemas"]["LogLevel"];
/** A payload or a result: whatever JSON has a word for, under names. */
export type JsonObject = { [name: string]: unknown };

/** A job as the board has it. Times are exact to the millisecond. What has not happened is null. */
export interface JobRecord {
  readonly id: string;
  readonly type: string;
  readonly status: JobStatus;
  /** What the job is asked to do; null as well where an answer leaves it out, as after a report. */
  readonly payload: JsonObject | null;
  /** What the job produced, or has produced so far; null as well where an answer leaves it out. */
  readonly result: JsonObject | null;
  /** Why the job failed, with a stack where the runner sent one; null as well where it is left out, as `result`. */
  readonly error: string | null;
  /** Percent, 0 to 100. */
  readonly progress: number;
  readonly workspaceId: string | null;
  /** `user:<id>`, `token:<id>` or `system`, as in `canceledBy`. */
  readonly createdBy: string;
  readonly startedAt: Date | null;
  /** When the job completed or failed. */
  readonly completedAt: Date | null;
  readonly createdAt: Date;
  readonly updatedAt: Date;
  readonly canceledAt: Date | null;
  readonly canceledBy: string | null;
  /** When the runner learned of the cancel. */
  readonly cancelSeenAt: Date | null;
  /** When the runner reported that it stopped. */
  readonly cancelConfirmedAt: Date | null;
  /** One line of what the job does now. */
  readonly message: string | null;
  readonly tags: readonly string[];
  /** The address of a page about the job. */
  readonly link: string | null;
  /** The name of the worker. */
  readonly runner: string | null;
  /** Why a failed job failed: by an error of its own, out of time, or lost. */
  readonly failureReason: WireJob["failure_reason"];
  /** Seconds after which the board fails a running job for good. */
  readonly maxDuration: number | null;
  /** Seconds of silence after which the board counts a running job as lost. */
  readonly heartbeatTimeout: number | null;
  readonly lastSeenAt: Date | null;
  /** The job that this one belongs to. */
  readonly parentId: string | null;
}

/** Convert the job of an answer. Fields that this client does not know are left out, because the board may be newer. */
export function toJobRecord(json: WireJob): JobRecord {
  return {
    id: json.id,
    type: json.type,
    status: json.status,
    payload: json.payload ?? null,
    result: json.result ?? null,
    error: json.error ?? null,
    progress: json.progress,
    workspaceId: json.workspace_id,
    createdBy: json.created_by,
    startedAt: parseDate(json.started_at),
    completedAt: parseDate(json.completed_at),
    createdAt: new Date(json.created_at),
    updatedAt: new Date(json.updated_at),
    canceledAt: parseDate(json.canceled_at),
    canceledBy: json.canceled_by,
    cancelSeenAt: parseDate(json.cancel_seen_at),
    cancelConfirmedAt: parseDate(json.cancel_confirmed_at),
    message: json.message,
    tags: json.tags,
    link: json.link,
    runner: json.runner,
    failureReason: json.failure_reason,
    maxDuration: json.max_duration,
    heartbeatTimeout: json.heartbeat_timeout,
    lastSeenAt: parseDate(json.last_seen_at),
    parentId: json.parent_id,
  };
}

/** Return whether JSON is a job. What answers at the board's address may be something else. */
export function isWireJob(json: unknown): json is WireJob {
  return typeof json === "object" && json !== null && "id" in json && "status" in json && "created_at" in json;
}

function parseDate(text: string | null): Date | null {
  return text === null ? null : new Date(text);
}
