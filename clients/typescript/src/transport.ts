/** One request to the board, and the error that its answer means. */

import {
  BoardRefused,
  BoardUnreachable,
  type Fault,
  JobCanceled,
  JobConflict,
  JobNotFound,
  JobTimedOut,
  Unauthorized,
} from "./errors.js";
import { isWireJob, toJobRecord } from "./record.js";

/** HTTP statuses after which the same request may succeed later. */
const RETRYABLE_STATUSES = new Set([408, 425, 429, 500, 502, 503, 504]);

/**
 * The code of a 429 which says that the workspace has sent what it may send today: to wait for the next day with one
 * report would hold back all others.
 */
export const DAILY_LIMIT = "daily_limit";

/** The board's problem document (RFC 9457). Any part may be missing where a proxy answers in the board's place. */
export interface Problem {
  readonly status?: number;
  readonly code?: string;
  readonly title?: string;
  readonly detail?: string;
  readonly errors?: readonly Fault[];
  readonly job?: unknown;
}

/** Sends requests to one board with one token. */
export class Transport {
  readonly #base: string;
  readonly #token: string;
  readonly #timeout: number;
  readonly #fetch: typeof fetch | undefined;

  /** `timeout` is in seconds, for one request and its answer. `ownFetch` replaces the runtime's own `fetch`. */
  constructor(url: string, token: string, timeout: number, ownFetch?: typeof fetch) {
    this.#base = `${url.replace(/\/+$/, "")}/api/v1`;
    this.#token = token;
    this.#timeout = timeout;
    this.#fetch = ownFetch;
  }

  /**
   * Send a request and return the JSON of its answer. `key` is sent as `Idempotency-Key`.
   * Throws `BoardUnreachable` if the same request may succeed later, and else `BoardRefused`.
   */
  async call(method: string, path: string, body?: unknown, key?: string): Promise<unknown> {
    const headers: Record<string, string> = { Authorization: `Bearer ${this.#token}`, Accept: "application/json" };
    if (key !== undefined) headers["Idempotency-Key"] = key;
    const init: RequestInit = { method, headers, redirect: "manual" };
    if (body !== undefined) {
      headers["Content-Type"] = "application/json";
      init.body = JSON.stringify(body);
    }
    const [response, text] = await this.#fetchText(path, init);
    const json = parseJson(text);
    if (!response.ok) throw createResponseError(response, json);
    if (json === undefined) throw new BoardUnreachable(`What answers at ${this.#base} is not a board.`, response);
    return json;
  }

  async #fetchText(path: string, init: RequestInit): Promise<[Response, string]> {
    const timeout = new AbortController();
    const timer = setTimeout(() => timeout.abort(), this.#timeout * 1000);
    // Not every fetch that somebody put in place of the runtime's listens to a signal.
    const aborted = new Promise<never>((_, reject) => timeout.signal.addEventListener("abort", reject));
    try {
      // Called as a method of this class, the runtime's fetch would refuse its `this`.
      const send = this.#fetch ?? globalThis.fetch;
      const request = send(new URL(this.#base + path).href, { ...init, signal: timeout.signal });
      const response = await Promise.race([request, aborted]);
      return [response, await Promise.race([response.text(), aborted])];
    } catch (error) {
      const reason = timeout.signal.aborted ? `no answer in ${this.#timeout} seconds` : describeCause(error);
      throw new BoardUnreachable(`The board cannot be reached: ${reason}`, { cause: error });
    } finally {
      clearTimeout(timer);
    }
  }
}

/** Create the error that a problem document stands for. */
export function createRefusal(problem: Problem): BoardRefused {
  const { status = 0, code = "", errors, job } = problem;
  const message = problem.detail || problem.title || `The board answered ${status}.`;
  if (status === 409 && isWireJob(job)) {
    const kinds = { job_canceled: JobCanceled, job_timed_out: JobTimedOut } as const;
    const Kind = code in kinds ? kinds[code as keyof typeof kinds] : JobConflict;
    return new Kind(code, message, toJobRecord(job));
  }
  // A scope that is missing for one job closes nothing else to the token.
  if (status === 401 || (status === 403 && code !== "missing_scope")) return new Unauthorized(status, code, message);
  if (status === 404) return new JobNotFound(status, code, message);
  return new BoardRefused(status, code, message, Array.isArray(errors) ? errors : []);
}

function createResponseError(response: Response, json: unknown): BoardRefused | BoardUnreachable {
  const { status } = response;
  const problem: Problem = typeof json === "object" && json !== null ? json : {};
  const isTransient = RETRYABLE_STATUSES.has(status) && problem.code !== DAILY_LIMIT;
  if (!isTransient && typeof problem.code === "string") return createRefusal({ ...problem, status });
  // What is not the board's own answer comes from something in front of it, and says nothing about the job.
  const detail = typeof problem.detail === "string" ? `: ${problem.detail}` : ".";
  const retryAfter = parseRetryAfter(response.headers.get("Retry-After"));
  return new BoardUnreachable(`The board answered ${status}${detail}`, { status, retryAfter });
}

function parseJson(text: string): unknown {
  try {
    return JSON.parse(text);
  } catch {
    return undefined;
  }
}

/** Parse a `Retry-After` header, a number of seconds or a date, into seconds; null if there is none to read. */
function parseRetryAfter(header: string | null): number | null {
  if (header === null) return null;
  const seconds = /^\s*\d+(\.\d+)?\s*$/.test(header) ? Number(header) : (Date.parse(header) - Date.now()) / 1000;
  return Number.isNaN(seconds) ? null : Math.max(seconds, 0);
}

function describeCause(error: unknown): string {
  // What Node's fetch knows of a failure is in its cause.
  const cause = error instanceof Error && error.cause instanceof Error ? error.cause : error;
  const { message, code } = (cause ?? {}) as { message?: unknown; code?: unknown };
  return String(message || code || cause);
}
