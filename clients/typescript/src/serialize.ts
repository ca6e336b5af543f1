/** Whatever a job holds, as JSON that the board takes: a report must never fail for what is in it. */

import type { JsonObject } from "./record.js";

/** Levels of lists and objects that are kept; the board takes a hundred, the report itself among them. */
const DEEPEST = 90;
/** Values that are kept of one payload or result: the same object in many places is told in each of them. */
const MOST = 100_000;
/** Characters of a message that are sent. */
const MESSAGE_LIMIT = 500;
/** Characters of an error that are sent, from its beginning: there a stack says what it was. */
const ERROR_LIMIT = 60_000;
/** Errors of a chain of causes that are told. */
const CAUSES = 5;

/** The text without what no JSON document and no database may hold: lone surrogates and NUL. */
export function text(value: string): string {
  return value.replace(/[\0\p{Surrogate}]/gu, "\ufffd");
}

/** The name as an `Idempotency-Key`: as it is, or what stands for it where a header cannot hold it. */
export async function keyOf(name: string): Promise<string> {
  if (/^[ -~]{1,200}$/.test(name)) return name;
  const digest = await crypto.subtle.digest("SHA-256", new TextEncoder().encode(name));
  return Array.from(new Uint8Array(digest), (byte) => byte.toString(16).padStart(2, "0")).join("");
}

/** One line for the operator, cut to what the board keeps. */
export function messageText(value: string): string {
  return text(String(value).slice(0, MESSAGE_LIMIT));
}

/** Percent as the board takes them: whole, from 0 to 100. Of what is no number, undefined. */
export function percentage(value: number): number | undefined {
  return Number.isNaN(value) ? undefined : Math.trunc(Math.max(0, Math.min(100, value)));
}

/** An object as it is, as far as JSON has words for it; null for null; anything else as `{ value: … }`. */
export function plainObject(value: unknown): JsonObject | null {
  const sent = plain(value, [], { values: MOST });
  if (sent === undefined || sent === null) return null;
  return typeof sent === "object" && !Array.isArray(sent) ? (sent as JsonObject) : { value: sent };
}

/** Whether a value is an object of names and values, and not an instance of a class. */
export function isPlain(value: unknown): value is JsonObject {
  if (typeof value !== "object" || value === null || Array.isArray(value)) return false;
  const prototype: unknown = Object.getPrototypeOf(value);
  // Also the objects of another realm have a prototype without one.
  return prototype === null || Object.getPrototypeOf(prototype) === null;
}

/** What an operator reads of a failure: the stack of what was thrown, and of what caused it. */
export function errorText(thrown: unknown): string {
  const told: string[] = [];
  for (let cause = thrown; cause !== undefined && cause !== null && told.length < CAUSES; ) {
    told.push(oneError(cause));
    cause = isError(cause) ? cause.cause : undefined;
  }
  const all = text(told.join("\n\nCaused by: ") || `Thrown: ${String(thrown)}`);
  if (all.length <= ERROR_LIMIT) return all;
  return text(`${all.slice(0, ERROR_LIMIT)}\n… ${all.length - ERROR_LIMIT} characters left out …`);
}

function oneError(thrown: unknown): string {
  try {
    if (!isError(thrown)) return `Thrown: ${isPlain(thrown) ? JSON.stringify(plainObject(thrown)) : String(thrown)}`;
    const named = `${thrown.name}: ${thrown.message}`;
    const stack = thrown.stack ?? "";
    // A stack holds the name and the message as they were when the error was made.
    return stack.includes(thrown.message) && stack ? stack : `${named}\n${stack}`.trimEnd();
  } catch {
    return "Thrown: something that cannot be read.";
  }
}

/** Whether it is an error, of this realm or another. */
function isError(value: unknown): value is Error {
  return typeof value === "object" && value !== null && "stack" in value && "message" in value && "name" in value;
}

/**
 * `within` are the objects around the value, so that a circle ends; `left` counts values, so that whatever refers to one
 * object from many places ends too. Undefined is what JSON leaves out.
 */
function plain(value: unknown, within: readonly object[], left: { values: number }): unknown {
  left.values -= 1;
  switch (typeof value) {
    case "string":
      return text(value);
    case "number":
      return Number.isFinite(value) ? value : String(value);
    case "bigint":
      return String(value);
    case "boolean":
      return value;
    case "object":
      return value === null ? null : plainInside(value, within, left);
    default:
      return undefined;
  }
}

function plainInside(value: object, within: readonly object[], left: { values: number }): unknown {
  const name = `<${value.constructor?.name ?? "Object"}>`;
  // Bytes are nothing to read, and may be many.
  if (left.values <= 0 || within.length >= DEEPEST || within.includes(value) || ArrayBuffer.isView(value)) return name;
  const around = [...within, value];
  try {
    if (value instanceof Date && Number.isNaN(value.getTime())) return String(value);
    if ("toJSON" in value && typeof value.toJSON === "function") return plain(value.toJSON(), around, left);
    if (Array.isArray(value) || value instanceof Set)
      return [...value].map((each) => plain(each, around, left) ?? null);
    if (isError(value)) return oneError(value);
    const entries = value instanceof Map ? [...value] : Object.entries(value);
    const kept = entries.map(([key, inner]) => [text(String(key)), plain(inner, around, left)] as const);
    return Object.fromEntries(kept.filter(([, inner]) => inner !== undefined));
  } catch {
    return name;
  }
}
