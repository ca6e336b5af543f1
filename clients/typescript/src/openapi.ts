// Made from the board's own openapi.json by scripts/openapi.js; change that, not this.

export interface paths {
    "/jobs": {
        parameters: {
            query?: never;
            header?: never;
            path?: never;
            cookie?: never;
        };
        /**
         * List jobs, newest first
         * @description The token needs the scope `jobs:read`.
         */
        get: operations["listJobs"];
        put?: never;
        /**
         * Enqueue a job
         * @description The token needs the scope `jobs:write`. Answers to a token without `jobs:read` leave out `result` and `error`.
         */
        post: operations["enqueueJob"];
        delete?: never;
        options?: never;
        head?: never;
        patch?: never;
        trace?: never;
    };
    "/jobs/counts": {
        parameters: {
            query?: never;
            header?: never;
            path?: never;
            cookie?: never;
        };
        /**
         * How many jobs of each status there are
         * @description The token needs the scope `jobs:read`.
         */
        get: operations["countJobs"];
        put?: never;
        post?: never;
        delete?: never;
        options?: never;
        head?: never;
        patch?: never;
        trace?: never;
    };
    "/jobs/batch": {
        parameters: {
            query?: never;
            header?: never;
            path?: never;
            cookie?: never;
        };
        get?: never;
        put?: never;
        /**
         * Report on several jobs, each judged alone
         * @description The token needs the scope `jobs:write`. A token that neither created the job nor reported it as running needs `jobs:cancel` as well to end it as canceled.
         */
        post: operations["updateJobs"];
        delete?: never;
        options?: never;
        head?: never;
        patch?: never;
        trace?: never;
    };
    "/jobs/{job_id}": {
        parameters: {
            query?: never;
            header?: never;
            path: {
                job_id: string;
            };
            cookie?: never;
        };
        /**
         * Get a job
         * @description The token needs the scope `jobs:read`.
         */
        get: operations["getJob"];
        put?: never;
        post?: never;
        delete?: never;
        options?: never;
        head?: never;
        /**
         * Report on a job; {} is a heartbeat
         * @description The token needs the scope `jobs:write`. A token that neither created the job nor reported it as running needs `jobs:cancel` as well to end it as canceled. Answers to a token without `jobs:read` leave out `result` and `error`.
         */
        patch: operations["updateJob"];
        trace?: never;
    };
    "/jobs/{job_id}/cancel": {
        parameters: {
            query?: never;
            header?: never;
            path: {
                job_id: string;
            };
            cookie?: never;
        };
        get?: never;
        put?: never;
        /**
         * Cancel a job
         * @description The token needs the scope `jobs:cancel`. Answers to a token without `jobs:read` leave out `result` and `error`.
         */
        post: operations["cancelJob"];
        delete?: never;
        options?: never;
        head?: never;
        patch?: never;
        trace?: never;
    };
    "/jobs/{job_id}/events": {
        parameters: {
            query?: never;
            header?: never;
            path: {
                job_id: string;
            };
            cookie?: never;
        };
        /**
         * The history of a job, oldest first
         * @description The token needs the scope `jobs:read`.
         */
        get: operations["listEvents"];
        put?: never;
        post?: never;
        delete?: never;
        options?: never;
        head?: never;
        patch?: never;
        trace?: never;
    };
    "/jobs/{job_id}/logs": {
        parameters: {
            query?: never;
            header?: never;
            path: {
                job_id: string;
            };
            cookie?: never;
        };
        /**
         * The lines of a job's log after a number, oldest first
         * @description The token needs the scope `jobs:read`.
         */
        get: operations["listLines"];
        put?: never;
        /**
         * Append lines to a job's log, whatever its status
         * @description The token needs the scope `jobs:write`.
         */
        post: operations["appendLines"];
        delete?: never;
        options?: never;
        head?: never;
        patch?: never;
        trace?: never;
    };
    "/jobs/{job_id}/logs.txt": {
        parameters: {
            query?: never;
            header?: never;
            path: {
                job_id: string;
            };
            cookie?: never;
        };
        /**
         * All kept lines of a job's log as text, oldest first
         * @description The token needs the scope `jobs:read`.
         */
        get: operations["showLogText"];
        put?: never;
        post?: never;
        delete?: never;
        options?: never;
        head?: never;
        patch?: never;
        trace?: never;
    };
    "/openapi.json": {
        parameters: {
            query?: never;
            header?: never;
            path?: never;
            cookie?: never;
        };
        /** This document */
        get: operations["getDocument"];
        put?: never;
        post?: never;
        delete?: never;
        options?: never;
        head?: never;
        patch?: never;
        trace?: never;
    };
}
export type webhooks = Record<string, never>;
export interface components {
    schemas: {
        /**
         * Batch
         * @description Several reports. Each is checked by itself, as a ``BatchedReport``, so that a faulty one costs no other.
         */
        Batch: {
            /** Data */
            data: components["schemas"]["BatchedReport"][];
        };
        /**
         * BatchedReport
         * @description A report among several, which names its job.
         */
        BatchedReport: {
            /** @description Where the job moves to; leave it out to report on a running job. */
            status?: components["schemas"]["JobStatus"];
            /**
             * Progress
             * @description How far the job is.
             */
            progress?: number;
            /**
             * Message
             * @description One short line for the operator; over 500 characters it is cut.
             */
            message?: string | null;
            /**
             * Result
             * @description What the job produced, or has so far; at most 256 KiB as JSON text.
             */
            result?: {
                [key: string]: unknown;
            } | null;
            /**
             * Error
             * @description Why it failed, with status failed alone; over 64 KiB it is cut.
             */
            error?: string | null;
            /**
             * Link
             * @description The runner's own page or log.
             */
            link?: string | null;
            /**
             * Runner
             * @description The host or worker that took the job; trimmed.
             */
            runner?: string | null;
            /**
             * Occurred At
             * @description When it happened, in a report or of a new job that is told late.
             */
            occurred_at?: string | null;
            /**
             * Id
             * Format: uuid
             * @description The job that is reported on.
             */
            id: string;
        };
        /**
         * JobStatus
         * @enum {string}
         */
        JobStatus: "pending" | "running" | "completed" | "failed" | "canceled";
        /**
         * LogLevel
         * @description How grave a line is, if its runner says so.
         * @enum {string}
         */
        LogLevel: "debug" | "info" | "warning" | "error";
        /**
         * NewJob
         * @description What a runner says of a job that it enqueues.
         *
         *     ``occurred_at`` tells when it was made, in a request that is sent late.
         */
        NewJob: {
            /**
             * Type
             * @description What kind of work it is, like generate-report; the board filters by it. One line, trimmed.
             */
            type: string;
            /**
             * Payload
             * @description What the job is asked to do; at most 256 KiB as JSON text.
             */
            payload?: {
                [key: string]: unknown;
            } | null;
            /**
             * Tags
             * @description Words to find the job by, each trimmed.
             */
            tags?: string[] | null;
            /**
             * Max Duration
             * @description Seconds after which the board fails a running job, for good.
             */
            max_duration?: number | null;
            /**
             * Heartbeat Timeout
             * @description Seconds of silence after which the board counts a running job as lost.
             */
            heartbeat_timeout?: number | null;
            /**
             * Parent Id
             * @description The job that this one belongs to.
             */
            parent_id?: string | null;
            /**
             * Link
             * @description The runner's own page or log.
             */
            link?: string | null;
            /**
             * Runner
             * @description The host or worker that took the job; trimmed.
             */
            runner?: string | null;
            /**
             * Occurred At
             * @description When it happened, in a report or of a new job that is told late.
             */
            occurred_at?: string | null;
        };
        /**
         * NewLine
         * @description One line for a job's log. ``at`` tells when it was written, in a report sent late; absent means now.
         */
        NewLine: {
            /**
             * Text
             * @description What the work printed; over 16 KiB it is cut.
             */
            text: string;
            /** @description How grave it is. */
            level?: components["schemas"]["LogLevel"] | null;
            /**
             * At
             * @description When it was printed, in a line that is sent late.
             */
            at?: string | null;
        };
        /**
         * NewLines
         * @description What a runner appends to a job's log.
         */
        NewLines: {
            /**
             * Lines
             * @description The lines, oldest first.
             */
            lines: components["schemas"]["NewLine"][];
        };
        /**
         * Report
         * @description What a runner says of a job that exists. A field that is null was not sent.
         *
         *     A report without fields is a heartbeat. ``occurred_at`` tells when it happened, in a report sent late.
         */
        Report: {
            /** @description Where the job moves to; leave it out to report on a running job. */
            status?: components["schemas"]["JobStatus"];
            /**
             * Progress
             * @description How far the job is.
             */
            progress?: number;
            /**
             * Message
             * @description One short line for the operator; over 500 characters it is cut.
             */
            message?: string | null;
            /**
             * Result
             * @description What the job produced, or has so far; at most 256 KiB as JSON text.
             */
            result?: {
                [key: string]: unknown;
            } | null;
            /**
             * Error
             * @description Why it failed, with status failed alone; over 64 KiB it is cut.
             */
            error?: string | null;
            /**
             * Link
             * @description The runner's own page or log.
             */
            link?: string | null;
            /**
             * Runner
             * @description The host or worker that took the job; trimmed.
             */
            runner?: string | null;
            /**
             * Occurred At
             * @description When it happened, in a report or of a new job that is told late.
             */
            occurred_at?: string | null;
        };
        Job: {
            /** Format: uuid */
            id: string;
            type: string;
            /** @enum {string} */
            status: "pending" | "running" | "completed" | "failed" | "canceled";
            payload: Record<string, never> | null;
            result: Record<string, never> | null;
            error: string | null;
            progress: number;
            /** Format: uuid */
            workspace_id: string | null;
            /** @description user:<id>, token:<id> or system */
            created_by: string;
            /** Format: date-time */
            started_at: string | null;
            /** Format: date-time */
            completed_at: string | null;
            /** Format: date-time */
            created_at: string;
            /** Format: date-time */
            updated_at: string;
            /** Format: date-time */
            canceled_at: string | null;
            canceled_by: string | null;
            /** Format: date-time */
            cancel_seen_at: string | null;
            /** Format: date-time */
            cancel_confirmed_at: string | null;
            message: string | null;
            tags: string[];
            /** Format: uri */
            link: string | null;
            runner: string | null;
            /** @enum {string|null} */
            failure_reason: "error" | "timed_out" | "lost" | null;
            max_duration: number | null;
            heartbeat_timeout: number | null;
            /** Format: date-time */
            last_seen_at: string | null;
            /** Format: uuid */
            parent_id: string | null;
        };
        EnqueuedJob: {
            /** Format: uuid */
            id: string;
            type: string;
            /** @enum {string} */
            status: "pending" | "running" | "completed" | "failed" | "canceled";
            payload: Record<string, never> | null;
            result?: Record<string, never> | null;
            error?: string | null;
            progress: number;
            /** Format: uuid */
            workspace_id: string | null;
            /** @description user:<id>, token:<id> or system */
            created_by: string;
            /** Format: date-time */
            started_at: string | null;
            /** Format: date-time */
            completed_at: string | null;
            /** Format: date-time */
            created_at: string;
            /** Format: date-time */
            updated_at: string;
            /** Format: date-time */
            canceled_at: string | null;
            canceled_by: string | null;
            /** Format: date-time */
            cancel_seen_at: string | null;
            /** Format: date-time */
            cancel_confirmed_at: string | null;
            message: string | null;
            tags: string[];
            /** Format: uri */
            link: string | null;
            runner: string | null;
            /** @enum {string|null} */
            failure_reason: "error" | "timed_out" | "lost" | null;
            max_duration: number | null;
            heartbeat_timeout: number | null;
            /** Format: date-time */
            last_seen_at: string | null;
            /** Format: uuid */
            parent_id: string | null;
        };
        ReportedJob: {
            /** Format: uuid */
            id: string;
            type: string;
            /** @enum {string} */
            status: "pending" | "running" | "completed" | "failed" | "canceled";
            result?: Record<string, never> | null;
            error?: string | null;
            progress: number;
            /** Format: uuid */
            workspace_id: string | null;
            /** @description user:<id>, token:<id> or system */
            created_by: string;
            /** Format: date-time */
            started_at: string | null;
            /** Format: date-time */
            completed_at: string | null;
            /** Format: date-time */
            created_at: string;
            /** Format: date-time */
            updated_at: string;
            /** Format: date-time */
            canceled_at: string | null;
            canceled_by: string | null;
            /** Format: date-time */
            cancel_seen_at: string | null;
            /** Format: date-time */
            cancel_confirmed_at: string | null;
            message: string | null;
            tags: string[];
            /** Format: uri */
            link: string | null;
            runner: string | null;
            /** @enum {string|null} */
            failure_reason: "error" | "timed_out" | "lost" | null;
            max_duration: number | null;
            heartbeat_timeout: number | null;
            /** Format: date-time */
            last_seen_at: string | null;
            /** Format: uuid */
            parent_id: string | null;
        };
        ListedJob: {
            /** Format: uuid */
            id: string;
            type: string;
            /** @enum {string} */
            status: "pending" | "running" | "completed" | "failed" | "canceled";
            error: string | null;
            progress: number;
            /** Format: uuid */
            workspace_id: string | null;
            /** @description user:<id>, token:<id> or system */
            created_by: string;
            /** Format: date-time */
            started_at: string | null;
            /** Format: date-time */
            completed_at: string | null;
            /** Format: date-time */
            created_at: string;
            /** Format: date-time */
            updated_at: string;
            /** Format: date-time */
            canceled_at: string | null;
            canceled_by: string | null;
            /** Format: date-time */
            cancel_seen_at: string | null;
            /** Format: date-time */
            cancel_confirmed_at: string | null;
            message: string | null;
            tags: string[];
            /** Format: uri */
            link: string | null;
            runner: string | null;
            /** @enum {string|null} */
            failure_reason: "error" | "timed_out" | "lost" | null;
            max_duration: number | null;
            heartbeat_timeout: number | null;
            /** Format: date-time */
            last_seen_at: string | null;
            /** Format: uuid */
            parent_id: string | null;
        };
        BatchedJob: {
            /** Format: uuid */
            id: string;
            type: string;
            /** @enum {string} */
            status: "pending" | "running" | "completed" | "failed" | "canceled";
            progress: number;
            /** Format: uuid */
            workspace_id: string | null;
            /** @description user:<id>, token:<id> or system */
            created_by: string;
            /** Format: date-time */
            started_at: string | null;
            /** Format: date-time */
            completed_at: string | null;
            /** Format: date-time */
            created_at: string;
            /** Format: date-time */
            updated_at: string;
            /** Format: date-time */
            canceled_at: string | null;
            canceled_by: string | null;
            /** Format: date-time */
            cancel_seen_at: string | null;
            /** Format: date-time */
            cancel_confirmed_at: string | null;
            message: string | null;
            tags: string[];
            /** Format: uri */
            link: string | null;
            runner: string | null;
            /** @enum {string|null} */
            failure_reason: "error" | "timed_out" | "lost" | null;
            max_duration: number | null;
            heartbeat_timeout: number | null;
            /** Format: date-time */
            last_seen_at: string | null;
            /** Format: uuid */
            parent_id: string | null;
        };
        MinimalJob: {
            /** Format: uuid */
            id: string;
            /** @enum {string} */
            status: "pending" | "running" | "completed" | "failed" | "canceled";
            progress: number;
            /** @description A number that grows with every change of the job. */
            version: number;
        };
        Event: {
            id: number;
            /** Format: date-time */
            at: string;
            /** @enum {string} */
            kind: "enqueued" | "moved" | "cancel_seen" | "cancel_confirmed" | "refused";
            /** @enum {string|null} */
            from: "pending" | "running" | "completed" | "failed" | "canceled" | null;
            /** @enum {string|null} */
            to: "pending" | "running" | "completed" | "failed" | "canceled" | null;
            by: string;
            message: string | null;
        };
        BatchAnswer: {
            /**
             * Format: uuid
             * @description Null where none was sent.
             */
            id: string | null;
            /** @enum {integer} */
            status: 200 | 403 | 404 | 409 | 422;
            job?: components["schemas"]["BatchedJob"] | components["schemas"]["MinimalJob"];
            problem?: components["schemas"]["BatchedProblem"];
        };
        LogLine: {
            seq: number;
            /** Format: date-time */
            at: string;
            /** @enum {string|null} */
            level: "debug" | "info" | "warning" | "error" | null;
            text: string;
            /** @description How many lines between the one asked after and this one are gone; only where some are. */
            dropped?: number;
        };
        Appended: {
            /** @description The number of the last line: read on after it. */
            next_after: number;
        };
        Problem: {
            type: string;
            title: string;
            status: number;
            detail: string;
            code: string;
            request_id: string;
            errors: {
                pointer: string;
                detail: string;
            }[];
            job?: components["schemas"]["ReportedJob"];
        };
        BatchedProblem: {
            type: string;
            title: string;
            status: number;
            detail: string;
            code: string;
            request_id: string;
            errors: {
                pointer: string;
                detail: string;
            }[];
            job?: components["schemas"]["BatchedJob"];
        };
    };
    responses: never;
    parameters: never;
    requestBodies: never;
    headers: never;
    pathItems: never;
}
export type $defs = Record<string, never>;
export interface operations {
    listJobs: {
        parameters: {
            query?: {
                /** @description Only jobs in this status; may be repeated. */
                status?: components["schemas"]["JobStatus"][];
                /** @description Only jobs of this type. */
                type?: string;
                /** @description Only jobs with this tag. */
                tag?: string;
                /** @description Only jobs created later than this. */
                created_after?: string;
                /** @description Only jobs created earlier than this. */
                created_before?: string;
                /** @description How many at most; default 50. */
                limit?: number;
                /** @description The next_cursor of the page before. */
                cursor?: string;
            };
            header?: never;
            path?: never;
            cookie?: never;
        };
        requestBody?: never;
        responses: {
            /** @description One page. */
            200: {
                headers: {
                    "X-Request-Id"?: string;
                    [name: string]: unknown;
                };
                content: {
                    "application/json": {
                        data: components["schemas"]["ListedJob"][];
                        next_cursor: string | null;
                    };
                };
            };
            /** @description No token, or a bad, expired or revoked one. */
            401: {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    "application/problem+json": components["schemas"]["Problem"];
                };
            };
            /** @description The token lacks the scope (`forbidden`), or for this one job the scope `jobs:cancel` (`missing_scope`). */
            403: {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    "application/problem+json": components["schemas"]["Problem"];
                };
            };
            /** @description Faults in the body or the query, all named in `errors`. */
            422: {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    "application/problem+json": components["schemas"]["Problem"];
                };
            };
            /** @description Too many requests, or over what the workspace may send in a day (`daily_limit`); try again after `Retry-After` seconds. */
            429: {
                headers: {
                    "Retry-After"?: number;
                    "RateLimit-Limit"?: number;
                    "RateLimit-Remaining"?: number;
                    "RateLimit-Reset"?: number;
                    [name: string]: unknown;
                };
                content: {
                    "application/problem+json": components["schemas"]["Problem"];
                };
            };
            /** @description Something went wrong on the board. */
            500: {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    "application/problem+json": components["schemas"]["Problem"];
                };
            };
            /** @description The database is away or busy; try again after `Retry-After` seconds. */
            503: {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    "application/problem+json": components["schemas"]["Problem"];
                };
            };
        };
    };
    enqueueJob: {
        parameters: {
            query?: never;
            header?: {
                /** @description The runner's own name for this request, in printable ASCII; the same again is done once, and answered again. */
                "Idempotency-Key"?: string;
                /** @description `return=minimal` asks for id, status, progress and version of a job alone. A refusal still tells of the job as it stands. */
                Prefer?: string;
            };
            path?: never;
            cookie?: never;
        };
        requestBody: {
            content: {
                "application/json": components["schemas"]["NewJob"];
            };
        };
        responses: {
            /** @description The job of an earlier request. */
            200: {
                headers: {
                    "X-Request-Id"?: string;
                    Location?: string;
                    "Idempotent-Replayed"?: string;
                    "Preference-Applied"?: string;
                    [name: string]: unknown;
                };
                content: {
                    "application/json": components["schemas"]["EnqueuedJob"] | components["schemas"]["MinimalJob"];
                };
            };
            /** @description The job. */
            201: {
                headers: {
                    "X-Request-Id"?: string;
                    Location?: string;
                    "Preference-Applied"?: string;
                    [name: string]: unknown;
                };
                content: {
                    "application/json": components["schemas"]["EnqueuedJob"] | components["schemas"]["MinimalJob"];
                };
            };
            /** @description The body is not JSON. */
            400: {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    "application/problem+json": components["schemas"]["Problem"];
                };
            };
            /** @description No token, or a bad, expired or revoked one. */
            401: {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    "application/problem+json": components["schemas"]["Problem"];
                };
            };
            /** @description The token lacks the scope (`forbidden`), or for this one job the scope `jobs:cancel` (`missing_scope`). */
            403: {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    "application/problem+json": components["schemas"]["Problem"];
                };
            };
            /** @description The body is over 1 MiB. */
            413: {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    "application/problem+json": components["schemas"]["Problem"];
                };
            };
            /** @description The body is not sent as application/json, or with a Content-Encoding other than gzip. */
            415: {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    "application/problem+json": components["schemas"]["Problem"];
                };
            };
            /** @description Faults in the body or the query, all named in `errors`. */
            422: {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    "application/problem+json": components["schemas"]["Problem"];
                };
            };
            /** @description Too many requests, or over what the workspace may send in a day (`daily_limit`); try again after `Retry-After` seconds. */
            429: {
                headers: {
                    "Retry-After"?: number;
                    "RateLimit-Limit"?: number;
                    "RateLimit-Remaining"?: number;
                    "RateLimit-Reset"?: number;
                    [name: string]: unknown;
                };
                content: {
                    "application/problem+json": components["schemas"]["Problem"];
                };
            };
            /** @description Something went wrong on the board. */
            500: {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    "application/problem+json": components["schemas"]["Problem"];
                };
            };
            /** @description The database is away or busy; try again after `Retry-After` seconds. */
            503: {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    "application/problem+json": components["schemas"]["Problem"];
                };
            };
        };
    };
    countJobs: {
        parameters: {
            query?: never;
            header?: never;
            path?: never;
            cookie?: never;
        };
        requestBody?: never;
        responses: {
            /** @description The counts. */
            200: {
                headers: {
                    "X-Request-Id"?: string;
                    [name: string]: unknown;
                };
                content: {
                    "application/json": {
                        pending: {
                            count: number;
                            capped: boolean;
                        };
                        running: {
                            count: number;
                            capped: boolean;
                        };
                        completed: {
                            count: number;
                            capped: boolean;
                        };
                        failed: {
                            count: number;
                            capped: boolean;
                        };
                        canceled: {
                            count: number;
                            capped: boolean;
                        };
                    };
                };
            };
            /** @description No token, or a bad, expired or revoked one. */
            401: {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    "application/problem+json": components["schemas"]["Problem"];
                };
            };
            /** @description The token lacks the scope (`forbidden`), or for this one job the scope `jobs:cancel` (`missing_scope`). */
            403: {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    "application/problem+json": components["schemas"]["Problem"];
                };
            };
            /** @description Faults in the body or the query, all named in `errors`. */
            422: {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    "application/problem+json": components["schemas"]["Problem"];
                };
            };
            /** @description Too many requests, or over what the workspace may send in a day (`daily_limit`); try again after `Retry-After` seconds. */
            429: {
                headers: {
                    "Retry-After"?: number;
                    "RateLimit-Limit"?: number;
                    "RateLimit-Remaining"?: number;
                    "RateLimit-Reset"?: number;
                    [name: string]: unknown;
                };
                content: {
                    "application/problem+json": components["schemas"]["Problem"];
                };
            };
            /** @description Something went wrong on the board. */
            500: {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    "application/problem+json": components["schemas"]["Problem"];
                };
            };
            /** @description The database is away or busy; try again after `Retry-After` seconds. */
            503: {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    "application/problem+json": components["schemas"]["Problem"];
                };
            };
        };
    };
    updateJobs: {
        parameters: {
            query?: never;
            header?: {
                /** @description `return=minimal` asks for id, status, progress and version of a job alone. A refusal still tells of the job as it stands. */
                Prefer?: string;
            };
            path?: never;
            cookie?: never;
        };
        requestBody: {
            content: {
                "application/json": components["schemas"]["Batch"];
            };
        };
        responses: {
            /** @description What each was answered, in the order given. */
            200: {
                headers: {
                    "X-Request-Id"?: string;
                    "Preference-Applied"?: string;
                    [name: string]: unknown;
                };
                content: {
                    "application/json": {
                        data: components["schemas"]["BatchAnswer"][];
                    };
                };
            };
            /** @description The body is not JSON. */
            400: {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    "application/problem+json": components["schemas"]["Problem"];
                };
            };
            /** @description No token, or a bad, expired or revoked one. */
            401: {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    "application/problem+json": components["schemas"]["Problem"];
                };
            };
            /** @description The token lacks the scope (`forbidden`), or for this one job the scope `jobs:cancel` (`missing_scope`). */
            403: {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    "application/problem+json": components["schemas"]["Problem"];
                };
            };
            /** @description The body is over 1 MiB. */
            413: {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    "application/problem+json": components["schemas"]["Problem"];
                };
            };
            /** @description The body is not sent as application/json, or with a Content-Encoding other than gzip. */
            415: {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    "application/problem+json": components["schemas"]["Problem"];
                };
            };
            /** @description Faults in the body or the query, all named in `errors`. */
            422: {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    "application/problem+json": components["schemas"]["Problem"];
                };
            };
            /** @description Too many requests, or over what the workspace may send in a day (`daily_limit`); try again after `Retry-After` seconds. */
            429: {
                headers: {
                    "Retry-After"?: number;
                    "RateLimit-Limit"?: number;
                    "RateLimit-Remaining"?: number;
                    "RateLimit-Reset"?: number;
                    [name: string]: unknown;
                };
                content: {
                    "application/problem+json": components["schemas"]["Problem"];
                };
            };
            /** @description Something went wrong on the board. */
            500: {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    "application/problem+json": components["schemas"]["Problem"];
                };
            };
            /** @description The database is away or busy; try again after `Retry-After` seconds. */
            503: {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    "application/problem+json": components["schemas"]["Problem"];
                };
            };
        };
    };
    getJob: {
        parameters: {
            query?: never;
            header?: never;
            path: {
                job_id: string;
            };
            cookie?: never;
        };
        requestBody?: never;
        responses: {
            /** @description The job. */
            200: {
                headers: {
                    "X-Request-Id"?: string;
                    ETag?: string;
                    [name: string]: unknown;
                };
                content: {
                    "application/json": components["schemas"]["Job"];
                };
            };
            /** @description Unchanged. */
            304: {
                headers: {
                    [name: string]: unknown;
                };
                content?: never;
            };
            /** @description No token, or a bad, expired or revoked one. */
            401: {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    "application/problem+json": components["schemas"]["Problem"];
                };
            };
            /** @description The token lacks the scope (`forbidden`), or for this one job the scope `jobs:cancel` (`missing_scope`). */
            403: {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    "application/problem+json": components["schemas"]["Problem"];
                };
            };
            /** @description There is no such job in the token's workspace. */
            404: {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    "application/problem+json": components["schemas"]["Problem"];
                };
            };
            /** @description Faults in the body or the query, all named in `errors`. */
            422: {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    "application/problem+json": components["schemas"]["Problem"];
                };
            };
            /** @description Too many requests, or over what the workspace may send in a day (`daily_limit`); try again after `Retry-After` seconds. */
            429: {
                headers: {
                    "Retry-After"?: number;
                    "RateLimit-Limit"?: number;
                    "RateLimit-Remaining"?: number;
                    "RateLimit-Reset"?: number;
                    [name: string]: unknown;
                };
                content: {
                    "application/problem+json": components["schemas"]["Problem"];
                };
            };
            /** @description Something went wrong on the board. */
            500: {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    "application/problem+json": components["schemas"]["Problem"];
                };
            };
            /** @description The database is away or busy; try again after `Retry-After` seconds. */
            503: {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    "application/problem+json": components["schemas"]["Problem"];
                };
            };
        };
    };
    updateJob: {
        parameters: {
            query?: never;
            header?: {
                /** @description `return=minimal` asks for id, status, progress and version of a job alone. A refusal still tells of the job as it stands. */
                Prefer?: string;
            };
            path: {
                job_id: string;
            };
            cookie?: never;
        };
        requestBody: {
            content: {
                "application/json": components["schemas"]["Report"];
            };
        };
        responses: {
            /** @description The job as stored. */
            200: {
                headers: {
                    "X-Request-Id"?: string;
                    "Preference-Applied"?: string;
                    [name: string]: unknown;
                };
                content: {
                    "application/json": components["schemas"]["ReportedJob"] | components["schemas"]["MinimalJob"];
                };
            };
            /** @description The body is not JSON. */
            400: {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    "application/problem+json": components["schemas"]["Problem"];
                };
            };
            /** @description No token, or a bad, expired or revoked one. */
            401: {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    "application/problem+json": components["schemas"]["Problem"];
                };
            };
            /** @description The token lacks the scope (`forbidden`), or for this one job the scope `jobs:cancel` (`missing_scope`). */
            403: {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    "application/problem+json": components["schemas"]["Problem"];
                };
            };
            /** @description There is no such job in the token's workspace. */
            404: {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    "application/problem+json": components["schemas"]["Problem"];
                };
            };
            /** @description The job's status contradicts this; `job` is the job as it stands. */
            409: {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    "application/problem+json": components["schemas"]["Problem"];
                };
            };
            /** @description The body is over 1 MiB. */
            413: {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    "application/problem+json": components["schemas"]["Problem"];
                };
            };
            /** @description The body is not sent as application/json, or with a Content-Encoding other than gzip. */
            415: {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    "application/problem+json": components["schemas"]["Problem"];
                };
            };
            /** @description Faults in the body or the query, all named in `errors`. */
            422: {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    "application/problem+json": components["schemas"]["Problem"];
                };
            };
            /** @description Too many requests, or over what the workspace may send in a day (`daily_limit`); try again after `Retry-After` seconds. */
            429: {
                headers: {
                    "Retry-After"?: number;
                    "RateLimit-Limit"?: number;
                    "RateLimit-Remaining"?: number;
                    "RateLimit-Reset"?: number;
                    [name: string]: unknown;
                };
                content: {
                    "application/problem+json": components["schemas"]["Problem"];
                };
            };
            /** @description Something went wrong on the board. */
            500: {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    "application/problem+json": components["schemas"]["Problem"];
                };
            };
            /** @description The database is away or busy; try again after `Retry-After` seconds. */
            503: {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    "application/problem+json": components["schemas"]["Problem"];
                };
            };
        };
    };
    cancelJob: {
        parameters: {
            query?: never;
            header?: never;
            path: {
                job_id: string;
            };
            cookie?: never;
        };
        requestBody?: never;
        responses: {
            /** @description The canceled job. */
            200: {
                headers: {
                    "X-Request-Id"?: string;
                    [name: string]: unknown;
                };
                content: {
                    "application/json": components["schemas"]["ReportedJob"];
                };
            };
            /** @description No token, or a bad, expired or revoked one. */
            401: {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    "application/problem+json": components["schemas"]["Problem"];
                };
            };
            /** @description The token lacks the scope (`forbidden`), or for this one job the scope `jobs:cancel` (`missing_scope`). */
            403: {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    "application/problem+json": components["schemas"]["Problem"];
                };
            };
            /** @description There is no such job in the token's workspace. */
            404: {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    "application/problem+json": components["schemas"]["Problem"];
                };
            };
            /** @description The job's status contradicts this; `job` is the job as it stands. */
            409: {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    "application/problem+json": components["schemas"]["Problem"];
                };
            };
            /** @description Faults in the body or the query, all named in `errors`. */
            422: {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    "application/problem+json": components["schemas"]["Problem"];
                };
            };
            /** @description Too many requests, or over what the workspace may send in a day (`daily_limit`); try again after `Retry-After` seconds. */
            429: {
                headers: {
                    "Retry-After"?: number;
                    "RateLimit-Limit"?: number;
                    "RateLimit-Remaining"?: number;
                    "RateLimit-Reset"?: number;
                    [name: string]: unknown;
                };
                content: {
                    "application/problem+json": components["schemas"]["Problem"];
                };
            };
            /** @description Something went wrong on the board. */
            500: {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    "application/problem+json": components["schemas"]["Problem"];
                };
            };
            /** @description The database is away or busy; try again after `Retry-After` seconds. */
            503: {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    "application/problem+json": components["schemas"]["Problem"];
                };
            };
        };
    };
    listEvents: {
        parameters: {
            query?: {
                /** @description How many at most; default 500. */
                limit?: number;
                /** @description The next_cursor of the page before. */
                cursor?: number;
            };
            header?: never;
            path: {
                job_id: string;
            };
            cookie?: never;
        };
        requestBody?: never;
        responses: {
            /** @description One page. */
            200: {
                headers: {
                    "X-Request-Id"?: string;
                    [name: string]: unknown;
                };
                content: {
                    "application/json": {
                        data: components["schemas"]["Event"][];
                        next_cursor: string | null;
                    };
                };
            };
            /** @description No token, or a bad, expired or revoked one. */
            401: {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    "application/problem+json": components["schemas"]["Problem"];
                };
            };
            /** @description The token lacks the scope (`forbidden`), or for this one job the scope `jobs:cancel` (`missing_scope`). */
            403: {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    "application/problem+json": components["schemas"]["Problem"];
                };
            };
            /** @description There is no such job in the token's workspace. */
            404: {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    "application/problem+json": components["schemas"]["Problem"];
                };
            };
            /** @description Faults in the body or the query, all named in `errors`. */
            422: {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    "application/problem+json": components["schemas"]["Problem"];
                };
            };
            /** @description Too many requests, or over what the workspace may send in a day (`daily_limit`); try again after `Retry-After` seconds. */
            429: {
                headers: {
                    "Retry-After"?: number;
                    "RateLimit-Limit"?: number;
                    "RateLimit-Remaining"?: number;
                    "RateLimit-Reset"?: number;
                    [name: string]: unknown;
                };
                content: {
                    "application/problem+json": components["schemas"]["Problem"];
                };
            };
            /** @description Something went wrong on the board. */
            500: {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    "application/problem+json": components["schemas"]["Problem"];
                };
            };
            /** @description The database is away or busy; try again after `Retry-After` seconds. */
            503: {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    "application/problem+json": components["schemas"]["Problem"];
                };
            };
        };
    };
    listLines: {
        parameters: {
            query?: {
                /** @description Only lines after this one: the next_after of the answer before. */
                after?: number;
            };
            header?: never;
            path: {
                job_id: string;
            };
            cookie?: never;
        };
        requestBody?: never;
        responses: {
            /** @description One page of lines. */
            200: {
                headers: {
                    "X-Request-Id"?: string;
                    [name: string]: unknown;
                };
                content: {
                    "application/json": {
                        data: components["schemas"]["LogLine"][];
                        /** @description The number of the last line: read on after it. */
                        next_after: number;
                    };
                };
            };
            /** @description No token, or a bad, expired or revoked one. */
            401: {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    "application/problem+json": components["schemas"]["Problem"];
                };
            };
            /** @description The token lacks the scope (`forbidden`), or for this one job the scope `jobs:cancel` (`missing_scope`). */
            403: {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    "application/problem+json": components["schemas"]["Problem"];
                };
            };
            /** @description There is no such job in the token's workspace. */
            404: {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    "application/problem+json": components["schemas"]["Problem"];
                };
            };
            /** @description Faults in the body or the query, all named in `errors`. */
            422: {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    "application/problem+json": components["schemas"]["Problem"];
                };
            };
            /** @description Too many requests, or over what the workspace may send in a day (`daily_limit`); try again after `Retry-After` seconds. */
            429: {
                headers: {
                    "Retry-After"?: number;
                    "RateLimit-Limit"?: number;
                    "RateLimit-Remaining"?: number;
                    "RateLimit-Reset"?: number;
                    [name: string]: unknown;
                };
                content: {
                    "application/problem+json": components["schemas"]["Problem"];
                };
            };
            /** @description Something went wrong on the board. */
            500: {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    "application/problem+json": components["schemas"]["Problem"];
                };
            };
            /** @description The database is away or busy; try again after `Retry-After` seconds. */
            503: {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    "application/problem+json": components["schemas"]["Problem"];
                };
            };
        };
    };
    appendLines: {
        parameters: {
            query?: never;
            header?: {
                /** @description The runner's own name for this request, in printable ASCII; the same again is done once, and answered again. */
                "Idempotency-Key"?: string;
            };
            path: {
                job_id: string;
            };
            cookie?: never;
        };
        requestBody: {
            content: {
                "application/json": components["schemas"]["NewLines"];
            };
        };
        responses: {
            /** @description How far the log goes. */
            200: {
                headers: {
                    "X-Request-Id"?: string;
                    "Idempotent-Replayed"?: string;
                    [name: string]: unknown;
                };
                content: {
                    "application/json": components["schemas"]["Appended"];
                };
            };
            /** @description The body is not JSON. */
            400: {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    "application/problem+json": components["schemas"]["Problem"];
                };
            };
            /** @description No token, or a bad, expired or revoked one. */
            401: {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    "application/problem+json": components["schemas"]["Problem"];
                };
            };
            /** @description The token lacks the scope (`forbidden`), or for this one job the scope `jobs:cancel` (`missing_scope`). */
            403: {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    "application/problem+json": components["schemas"]["Problem"];
                };
            };
            /** @description There is no such job in the token's workspace. */
            404: {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    "application/problem+json": components["schemas"]["Problem"];
                };
            };
            /** @description The body is over 1 MiB. */
            413: {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    "application/problem+json": components["schemas"]["Problem"];
                };
            };
            /** @description The body is not sent as application/json, or with a Content-Encoding other than gzip. */
            415: {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    "application/problem+json": components["schemas"]["Problem"];
                };
            };
            /** @description Faults in the body or the query, all named in `errors`. */
            422: {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    "application/problem+json": components["schemas"]["Problem"];
                };
            };
            /** @description Too many requests, or over what the workspace may send in a day (`daily_limit`); try again after `Retry-After` seconds. */
            429: {
                headers: {
                    "Retry-After"?: number;
                    "RateLimit-Limit"?: number;
                    "RateLimit-Remaining"?: number;
                    "RateLimit-Reset"?: number;
                    [name: string]: unknown;
                };
                content: {
                    "application/problem+json": components["schemas"]["Problem"];
                };
            };
            /** @description Something went wrong on the board. */
            500: {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    "application/problem+json": components["schemas"]["Problem"];
                };
            };
            /** @description The database is away or busy; try again after `Retry-After` seconds. */
            503: {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    "application/problem+json": components["schemas"]["Problem"];
                };
            };
        };
    };
    showLogText: {
        parameters: {
            query?: never;
            header?: never;
            path: {
                job_id: string;
            };
            cookie?: never;
        };
        requestBody?: never;
        responses: {
            /** @description The lines, each with its time in UTC and its level. */
            200: {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    "text/plain": string;
                };
            };
            /** @description No token, or a bad, expired or revoked one. */
            401: {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    "application/problem+json": components["schemas"]["Problem"];
                };
            };
            /** @description The token lacks the scope (`forbidden`), or for this one job the scope `jobs:cancel` (`missing_scope`). */
            403: {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    "application/problem+json": components["schemas"]["Problem"];
                };
            };
            /** @description There is no such job in the token's workspace. */
            404: {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    "application/problem+json": components["schemas"]["Problem"];
                };
            };
            /** @description Faults in the body or the query, all named in `errors`. */
            422: {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    "application/problem+json": components["schemas"]["Problem"];
                };
            };
            /** @description Too many requests, or over what the workspace may send in a day (`daily_limit`); try again after `Retry-After` seconds. */
            429: {
                headers: {
                    "Retry-After"?: number;
                    "RateLimit-Limit"?: number;
                    "RateLimit-Remaining"?: number;
                    "RateLimit-Reset"?: number;
                    [name: string]: unknown;
                };
                content: {
                    "application/problem+json": components["schemas"]["Problem"];
                };
            };
            /** @description Something went wrong on the board. */
            500: {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    "application/problem+json": components["schemas"]["Problem"];
                };
            };
            /** @description The database is away or busy; try again after `Retry-After` seconds. */
            503: {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    "application/problem+json": components["schemas"]["Problem"];
                };
            };
        };
    };
    getDocument: {
        parameters: {
            query?: never;
            header?: never;
            path?: never;
            cookie?: never;
        };
        requestBody?: never;
        responses: {
            /** @description The document. */
            200: {
                headers: {
                    "X-Request-Id"?: string;
                    [name: string]: unknown;
                };
                content: {
                    "application/json": Record<string, never>;
                };
            };
        };
    };
}
