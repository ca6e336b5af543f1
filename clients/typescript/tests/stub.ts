/** Something at a board's address that answers as a test wants it to. */

import { createServer, type ServerResponse } from "node:http";
import type { AddressInfo } from "node:net";
import type { TestContext } from "node:test";

export interface Asked {
  readonly method: string;
  readonly path: string;
  readonly key: string | undefined;
  readonly body: Record<string, unknown> | null;
  /** In milliseconds. */
  readonly at: number;
}

/** A job as a board would tell it. */
export const JOB = {
  id: "0193a000-0000-7000-8000-000000000001",
  status: "running",
  created_at: "2026-11-24T12:00:00Z",
};

/** Its address and what it was asked; `answer` is called with each request and its number, from 0. */
export async function stub(t: TestContext, answer: (to: ServerResponse, asked: Asked, number: number) => void) {
  const asked: Asked[] = [];
  const server = createServer(async (request, response) => {
    let text = "";
    for await (const part of request) text += String(part);
    const one = {
      method: request.method ?? "",
      path: request.url ?? "",
      key: request.headers["idempotency-key"] as string | undefined,
      body: text ? (JSON.parse(text) as Record<string, unknown>) : null,
      at: performance.now(),
    };
    asked.push(one);
    answer(response, one, asked.length - 1);
  });
  await new Promise<void>((resolve) => server.listen(0, "127.0.0.1", resolve));
  t.after(() => {
    server.closeAllConnections();
    server.close();
  });
  return { url: `http://127.0.0.1:${(server.address() as AddressInfo).port}`, asked };
}

export function says(to: ServerResponse, status: number, body: object = JOB, headers: Record<string, string> = {}) {
  to.writeHead(status, { "Content-Type": "application/json", ...headers }).end(JSON.stringify(body));
}
