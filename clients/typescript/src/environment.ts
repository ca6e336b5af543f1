/** What the runtime says of itself, where there is a `process`; elsewhere nothing, and nothing fails. */

interface Process {
  readonly env?: Record<string, string | undefined>;
  readonly pid?: number;
}

function readProcess<T>(read: (process: Process) => T | undefined): T | undefined {
  try {
    const { process } = globalThis as { process?: Process };
    return process && read(process);
  } catch {
    // Some runtimes have an environment that one is not allowed to read.
    return undefined;
  }
}

/** Return a variable of the environment; undefined where there is none, or it is empty. */
export function getVariable(name: string): string | undefined {
  return readProcess((process) => process.env?.[name]?.trim()) || undefined;
}

/** Return the name of a job's runner unless somebody chose one: host and process, as far as they are known. */
export function getDefaultRunner(): string | undefined {
  const pid = readProcess((process) => process.pid);
  const host = getVariable("HOSTNAME") ?? "node";
  return pid === undefined ? undefined : `${host}:${pid}`.slice(0, 200);
}

/** Write a warning to the console, as far as there is one. */
export function warnOnConsole(message: string): void {
  globalThis.console?.warn(`callboard: ${message}`);
}
