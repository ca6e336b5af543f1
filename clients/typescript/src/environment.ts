/** What the runtime says of itself, where there is a `process`; elsewhere nothing, and nothing fails. */

interface Process {
  readonly env?: Record<string, string | undefined>;
  readonly pid?: number;
}

function ofProcess<T>(read: (process: Process) => T | undefined): T | undefined {
  try {
    const { process } = globalThis as { process?: Process };
    return process && read(process);
  } catch {
    // Some runtimes have an environment that one is not allowed to read.
    return undefined;
  }
}

/** A variable of the environment; undefined where there is none, or it is empty. */
export function variable(name: string): string | undefined {
  return ofProcess((process) => process.env?.[name]?.trim()) || undefined;
}

/** What a job's runner is called unless somebody says otherwise: host and process, as far as they are known. */
export function ownName(): string | undefined {
  const pid = ofProcess((process) => process.pid);
  const host = variable("HOSTNAME") ?? "node";
  return pid === undefined ? undefined : `${host}:${pid}`.slice(0, 200);
}

/** Tell whoever runs this, as far as there is a console. */
export function warnOnConsole(message: string): void {
  globalThis.console?.warn(`callboard: ${message}`);
}
