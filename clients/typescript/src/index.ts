/** Report your background jobs to a Callboard. */

export { Callboard } from "./callboard.js";
export {
  BoardRefused,
  BoardUnreachable,
  CallboardError,
  type Fault,
  JobCanceled,
  JobConflict,
  JobNotFound,
  JobStopped,
  JobTimedOut,
  NotConfigured,
  Unauthorized,
} from "./errors.js";
export type { Job } from "./job.js";
export type { CallboardOptions, ExistingJob, NewJob, Report, WorkOptions } from "./options.js";
export type { JobRecord, JobStatus, JsonObject, LogLevel } from "./record.js";
