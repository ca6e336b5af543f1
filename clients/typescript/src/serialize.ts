/** Whatever a job holds, as JSON that the board takes: a report must never fail because of what is in it. */

import type { JsonObject } from "./record.js";

/** Levels of lists and objects that are kept; the board takes a hundred, the report itself among them. */
const MAX_DEPTH = 90;
/** Values that are kept of one payload or result: the same object in many places is written out in each of them. */
const MAX_VALUES = 100_000;
/** Characters of a message that are sent. */
const MAX_MESSAGE_LENGTH = 500;
/** Characters of an error that are sent, from its beginning: there a stack says what it was. */
const MAX_ERROR_LENGTH = 60_000;
/** Errors of a chain of causes that are sent. */
const MAX_CAUSES = 5;

/** Replace what no JSON document and no database may hold: lone surrogates and NUL. */
export function cleanText(value: string): string {
  return value.replace(/[\0\p{Surrogate}]/gu, "\ufffd");
}

/** Return a name as an `Idempotency-Key`: as it is, or its hash where a header cannot hold it. */
export async function toIdempotencyKey(name: string): Promise<string> {
  if (/^[ -~]{1,200}$/.test(name)) return name;
  const digest = await crypto.subtle.digest("SHA-256", new TextEncoder().encode(name));
  return Array.from(new Uint8Array(digest), (byte) => byte.toString(16).padStart(2, "0")).join("");
}

/** Cut a message to what the board keeps. */
export function serializeMessage(value: string): string {
  return cleanText(String(value).slice(0, MAX_MESSAGE_LENGTH));
}

/** Round percent down to a whole number from 0 to 100, as the board takes them; undefined for what is no number. */
export function serializePercent(value: number): number | undefined {
  return Number.isNaN(value) ? undefined : Math.trunc(Math.max(0, Math.min(100, value)));
}

/** Serialize an object as far as JSON has words for it; null for null, and anything else as `{ value: … }`. */
export function serializeObject(value: unknown): JsonObject | null {
  const json = serializeValue(value, [], { values: MAX_VALUES });
  if (json === undefined || json === null) return null;
  return typeof json === "object" && !Array.isArray(json) ? (json as JsonObject) : { value: json };
}

/** Return whether a value is an object of names and values, and not an instance of a class. */
export function isPlainObject(value: unknown): value is JsonObject {
  if (typeof value !== "object" || value === null || Array.isArray(value)) return false;
  const prototype: unknown = Object.getPrototypeOf(value);
  // Also the objects of another realm have a prototype without one.
  return prototype === null || Object.getPrototypeOf(prototype) === null;
}

/** Serialize what was thrown, with its stack and those of its causes, for an operator to read. */
export function serializeError(thrown: unknown): string {
  const parts: string[] = [];
  for (let cause = thrown; cause !== undefined && cause !== null && parts.length < MAX_CAUSES; ) {
    parts.push(serializeWithoutCause(cause));
    cause = isError(cause) ? cause.cause : undefined;
  }
  const text = cleanText(parts.join("\n\nCaused by: ") || `Thrown: ${String(thrown)}`);
  if (text.length <= MAX_ERROR_LENGTH) return text;
  return cleanText(`${text.slice(0, MAX_ERROR_LENGTH)}\n… ${text.length - MAX_ERROR_LENGTH} characters left out …`);
}

function serializeWithoutCause(thrown: unknown): string {
  try {
    if (!isError(thrown)) {
      return `Thrown: ${isPlainObject(thrown) ? JSON.stringify(serializeObject(thrown)) : String(thrown)}`;
    }
    const title = `${thrown.name}: ${thrown.message}`;
    const stack = thrown.stack ?? "";
    // A stack holds the name and the message as they were when the error was made.
    return stack.includes(thrown.message) && stack ? stack : `${title}\n${stack}`.trimEnd();
  } catch {
    return "Thrown: something that cannot be read.";
  }
}

/** Return whether a value is an error, of this realm or another. */
function isError(value: unknown): value is Error {
  return typeof value === "object" && value !== null && "stack" in value && "message" in value && "name" in value;
}

/**
 * Serialize a value; undefined for what JSON leaves out. `ancestors` are the objects around the value, so that a circle
 * ends; `budget` counts values, so that whatever refers to one object from many places ends too.
 */
function serializeValue(value: unknown, ancestors: readonly object[], budget: { values: number }): unknown {
  budget.values -= 1;
  switch (typeof value) {
    case "string":
      return cleanText(value);
    case "number":
      return Number.isFinite(value) ? value : String(value);
    case "bigint":
      return String(value);
    case "boolean":
      return value;
    case "object":
      return value === null ? null : serializeContents(value, ancestors, budget);
    default:
      return undefined;
  }
}

function serializeContents(value: object, ancestors: readonly object[], budget: { values: number }): unknown {
  const name = `<${value.constructor?.name ?? "Object"}>`;
  if (budget.values <= 0 || ancestors.length >= MAX_DEPTH || ancestors.includes(value)) return name;
  // Bytes are nothing to read, and may be many.
  if (ArrayBuffer.isView(value)) return name;
  const inner = [...ancestors, value];
  try {
    if (value instanceof Date && Number.isNaN(value.getTime())) return String(value);
    if ("toJSON" in value && typeof value.toJSON === "function") return serializeValue(value.toJSON(), inner, budget);
    if (Array.isArray(value) || value instanceof Set) {
      return [...value].map((item) => serializeValue(item, inner, budget) ?? null);
    }
    if (isError(value)) return serializeWithoutCause(value);
    const entries = value instanceof Map ? [...value] : Object.entries(value);
    const fields = entries.map(([key, item]) => [cleanText(String(key)), serializeValue(item, inner, budget)] as const);
    return Object.fromEntries(fields.filter(([, item]) => item !== undefined));
  } catch {
    return name;
  }
}
