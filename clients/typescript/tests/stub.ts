/** A server in a board's place that answers as a test wants it to. */

import { createServer, type ServerResponse } from "node:http";
import type { AddressInfo } from "node:net";
import type { TestContext } from "node:test";

/** A request as the stub received it. */
export interface StubRequest {
  readonly method: string;
  readonly path: string;
  readonly key: string | undefined;
  readonly body: Record<string, unknown> | null;
  /** In milliseconds. */
  readonly at: number;
}

/** A job in an answer. */
export const JOB = {
  id: "0193a000-0000-7000-8000-000000000001",
  status: "running",
  created_at: "2026-11-24T12:00:00Z",
};

/**
 * Start a stub for one test; return its address and the requests that it received. `answer` is called with each request
 * and its number, from 0.
 */
export async function startStub(
  t: TestContext,
  answer: (response: ServerResponse, request: StubRequest, number: number) => void,
) {
  const requests: StubRequest[] = [];
  const server = createServer(async (incoming, response) => {
    let text = "";
    for await (const part of incoming) text += String(part);
    const request = {
      method: incoming.method ?? "",
      path: incoming.url ?? "",
      key: incoming.headers["idempotency-key"] as string | undefined,
      body: text ? (JSON.parse(text) as Record<string, unknown>) : null,
      at: performance.now(),
    };
    requests.push(request);
    answer(response, request, requests.length - 1);
  });
  await new Promise<void>((resolve) => server.listen(0, "127.0.0.1", resolve));
  t.after(() => {
    server.closeAllConnections();
    server.close();
  });
  return { url: `http://127.0.0.1:${(server.address() as AddressInfo).port}`, requests };
}

/** Answer a request with JSON. */
export function respond(
  response: ServerResponse,
  status: number,
  body: object = JOB,
  headers: Record<string, string> = {},
) {
  response.writeHead(status, { "Content-Type": "application/json", ...headers }).end(JSON.stringify(body));
}
