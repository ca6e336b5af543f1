/** One request to the board, and what its answer means. */

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
import { fromWire, isWireJob } from "./record.js";

/** With these the same request may succeed later. */
const LATER = new Set([408, 425, 429, 500, 502, 503, 504]);

/** What the board says when it does not do something; any of it may be missing in what stands in front of a board. */
export interface Problem {
  readonly status?: number;
  readonly code?: string;
  readonly title?: string;
  readonly detail?: string;
  readonly errors?: readonly Fault[];
  readonly job?: unknown;
}

/** A board at an address, asked with a token. */
export class Board {
  readonly #base: string;
  readonly #token: string;
  readonly #timeout: number;
  readonly #fetch: typeof fetch | undefined;

  /** `timeout` is in seconds, for one request and its answer. */
  constructor(url: string, token: string, timeout: number, ownFetch?: typeof fetch) {
    this.#base = `${url.replace(/\/+$/, "")}/api/v1`;
    this.#token = token;
    this.#timeout = timeout;
    this.#fetch = ownFetch;
  }

  /**
   * The JSON of the answer. `key` is sent as `Idempotency-Key`.
   * Throws `BoardUnreachable` if it may succeed later, and else `BoardRefused`.
   */
  async call(method: string, path: string, body?: unknown, key?: string): Promise<unknown> {
    const headers: Record<string, string> = { Authorization: `Bearer ${this.#token}`, Accept: "application/json" };
    if (key !== undefined) headers["Idempotency-Key"] = key;
    const init: RequestInit = { method, headers, redirect: "manual" };
    if (body !== undefined) {
      headers["Content-Type"] = "application/json";
      init.body = JSON.stringify(body);
    }
    const [answer, told] = await this.#ask(path, init);
    const json = parsed(told);
    if (!answer.ok) throw refusal(answer, json);
    if (json === undefined) throw new BoardUnreachable(`What answers at ${this.#base} is not a board.`, answer);
    return json;
  }

  async #ask(path: string, init: RequestInit): Promise<[Response, string]> {
    const timeout = new AbortController();
    const timer = setTimeout(() => timeout.abort(), this.#timeout * 1000);
    // Not every fetch that somebody put in place of the runtime's listens to a signal.
    const late = new Promise<never>((_, reject) => timeout.signal.addEventListener("abort", reject));
    try {
      // A fetch that was set aside would want its own `this`.
      const ask = this.#fetch ?? globalThis.fetch;
      const asked = ask(new URL(this.#base + path).href, { ...init, signal: timeout.signal });
      const answer = await Promise.race([asked, late]);
      return [answer, await Promise.race([answer.text(), late])];
    } catch (error) {
      const why = timeout.signal.aborted ? `no answer in ${this.#timeout} seconds` : reason(error);
      throw new BoardUnreachable(`The board cannot be reached: ${why}`, { cause: error });
    } finally {
      clearTimeout(timer);
    }
  }
}

/** The error that a problem document tells. */
export function judged(problem: Problem): BoardRefused {
  const { status = 0, code = "", errors, job } = problem;
  const message = problem.detail || problem.title || `The board answered ${status}.`;
  if (status === 409 && isWireJob(job)) {
    const kinds = { job_canceled: JobCanceled, job_timed_out: JobTimedOut } as const;
    const Kind = code in kinds ? kinds[code as keyof typeof kinds] : JobConflict;
    return new Kind(code, message, fromWire(job));
  }
  if (status === 401 || status === 403) return new Unauthorized(status, code, message);
  if (status === 404) return new JobNotFound(status, code, message);
  return new BoardRefused(status, code, message, Array.isArray(errors) ? errors : []);
}

function refusal(answer: Response, json: unknown): BoardRefused | BoardUnreachable {
  const problem: Problem = typeof json === "object" && json !== null ? json : {};
  if (!LATER.has(answer.status) && typeof problem.code === "string")
    return judged({ ...problem, status: answer.status });
  // What is not the board's own answer comes from something in front of it, and says nothing about the job.
  const told = typeof problem.detail === "string" ? `: ${problem.detail}` : ".";
  const retryAfter = seconds(answer.headers.get("Retry-After"));
  return new BoardUnreachable(`The board answered ${answer.status}${told}`, { status: answer.status, retryAfter });
}

function parsed(told: string): unknown {
  try {
    return JSON.parse(told);
  } catch {
    return undefined;
  }
}

/** `Retry-After` is a number of seconds, or a date. */
function seconds(header: string | null): number | null {
  if (header === null) return null;
  const wait = /^\s*\d+(\.\d+)?\s*$/.test(header) ? Number(header) : (Date.parse(header) - Date.now()) / 1000;
  return Number.isNaN(wait) ? null : Math.max(wait, 0);
}

/** What Node's fetch knows of a failure is in its cause. */
function reason(error: unknown): string {
  const cause = error instanceof Error && error.cause instanceof Error ? error.cause : error;
  const named = cause as { message?: unknown; code?: unknown };
  return String(named?.message || named?.code || cause);
}
