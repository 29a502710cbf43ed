// Further commands in a running container: created, started once, inspected, and forgotten some time after their end.
import type { Timer } from '../../base/clock.ts';
import { CodedError, fail, sentenceOf } from '../../base/errors.ts';
import { newHexId } from '../../base/id.ts';
import { parseSignal } from './signals.ts';
import type { AttachedStdio, ProcessSpec, ShimProcess } from '../native/contract.ts';
import type { Container } from './container.ts';
import type { ExecConfig, ExecInfo } from './contract.ts';
import { processEnv } from './launch-request.ts';
import { linkVariables } from './links.ts';
import { mergeEnv } from './merge.ts';
import { type ContainerParts, publishContainer } from './parts.ts';
import { raceAbort } from './race.ts';
import { capabilitiesOf } from './capabilities.ts';
import { confinement } from './security.ts';
import { securityOfContainer } from './security-of.ts';
import { isAlive } from './state.ts';
import { isUnframed } from './unframed.ts';

interface Exec {
  readonly id: string;
  readonly container: Container;
  readonly config: ExecConfig;
  state: 'created' | 'running' | 'exited';
  exitCode: number | undefined;
  process: ShimProcess | undefined;
}

const EXECS_MAX = 10_000;
const KEPT_MS = 5 * 60_000;
const NEVER_STARTED_MS = 60 * 60_000;

export class Execs {
  readonly #execs = new Map<string, Exec>();
  readonly #forgetting = new Map<string, Timer>();
  readonly #parts: ContainerParts;

  constructor(parts: ContainerParts) {
    this.#parts = parts;
    parts.background.abort.addEventListener('abort', () => {
      for (const timer of this.#forgetting.values()) timer.cancel();
    });
  }

  create(container: Container, config: ExecConfig): string {
    checkRunning(container);
    if (config.args.length === 0) fail('invalid', 'No exec command specified');
    if (this.#execs.size >= EXECS_MAX) fail('exhausted', `more than ${EXECS_MAX} execs are kept on this machine`);
    const id = newHexId(this.#parts.random);
    const exec: Exec = { id, container, config, state: 'created', exitCode: undefined, process: undefined };
    this.#execs.set(id, exec);
    container.execIds.add(id);
    this.#forgetLater(exec, NEVER_STARTED_MS);
    publishContainer(this.#parts, container, `exec_create: ${commandText(config)}`, { execID: id });
    return id;
  }

  info(id: string): ExecInfo {
    const { container, config, state, exitCode, process } = this.#get(id);
    return { id, containerId: container.id, config, running: state === 'running', exitCode, pid: process?.pid ?? 0 };
  }

  async start(
    id: string,
    options: { consoleSize?: { rows: number; columns: number }; detach: boolean },
  ): Promise<AttachedStdio | undefined> {
    const exec = this.#get(id);
    if (exec.state !== 'created') fail('conflict', `Error: Exec command ${id} has already run`);
    const { container, config } = exec;
    const shim = checkRunning(container);
    exec.state = 'running';
    publishContainer(this.#parts, container, `exec_start: ${commandText(config)}`, { execID: id });
    try {
      const spec = processOf(exec, this.#parts, options.consoleSize);
      exec.process = await shim.exec(spec, {
        stdin: config.stdin && !options.detach,
        execId: id,
        detached: options.detach,
      });
    } catch (error) {
      return this.#failed(exec, error, options);
    }
    const { stdin, stdout, stderr } = config;
    // Attached before its end is awaited: a quick command's output is still to be read.
    const stdio = options.detach ? undefined : await exec.process.attach({ stdin, stdout, stderr });
    this.#watch(exec, exec.process);
    return stdio;
  }

  async resize(id: string, size: { rows: number; columns: number }): Promise<void> {
    const { process, config, state } = this.#get(id);
    if (!process || state !== 'running') fail('not-found', 'no such exec');
    if (config.terminal) await process.resize(size);
  }

  async signal(id: string, signal: string): Promise<void> {
    await this.#get(id).process?.signal(parseSignal(signal));
  }

  forget(container: Container): void {
    const own = [...this.#execs.values()].filter((exec) => exec.container === container);
    for (const { id } of own) {
      this.#execs.delete(id);
      this.#forgetting.get(id)?.cancel();
      this.#forgetting.delete(id);
    }
    container.execIds.clear();
  }

  #get(id: string): Exec {
    return this.#execs.get(id) ?? fail('not-found', `No such exec instance: ${id}`);
  }

  #watch(exec: Exec, process: ShimProcess): void {
    this.#parts.background.run(`exec ${exec.id.slice(0, 12)}`, async (abort) => {
      const exit = await raceAbort(process.exited, abort);
      if (exit) this.#ended(exec, exit.exitCode);
    });
  }

  #ended(exec: Exec, exitCode: number): void {
    exec.state = 'exited';
    exec.exitCode = exitCode;
    exec.container.execIds.delete(exec.id); // the container names those alone that may still run
    publishContainer(this.#parts, exec.container, 'exec_die', { execID: exec.id, exitCode: String(exitCode) });
    this.#forgetLater(exec, KEPT_MS);
  }

  /** As Docker: not an error of the request, but text on the stream and an exit code. */
  #failed(exec: Exec, error: unknown, options: { detach: boolean }): AttachedStdio {
    const why = sentenceOf(error);
    const frame = 'OCI runtime exec failed: exec failed: unable to start container process';
    const reason = isUnframed(why) ? why : `${frame}: ${why}: unknown`;
    const isMissing = /executable file .*not found|no such file or directory/i.test(reason);
    this.#ended(exec, isMissing ? 127 : 126);
    if (options.detach) throw new CodedError('invalid', reason);
    return finishedStdio(`${reason}\r\n`);
  }

  #forgetLater(exec: Exec, ms: number): void {
    this.#forgetting.get(exec.id)?.cancel();
    const timer = this.#parts.clock.after(ms, () => {
      this.#forgetting.delete(exec.id);
      if (exec.state === 'running') return; // its end sets a new time
      this.#execs.delete(exec.id);
      exec.container.execIds.delete(exec.id);
    });
    this.#forgetting.set(exec.id, timer);
  }
}

/** As Docker writes it in events: a blank follows the program also when nothing else does. */
const commandText = ({ args: [program = '', ...rest] }: ExecConfig): string => `${program} ${rest.join(' ')}`;

function checkRunning(container: Container): NonNullable<Container['shim']> {
  if (container.state === 'paused') {
    fail('conflict', `Container ${container.id} is paused, unpause the container before exec`);
  }
  if (!isAlive(container.state) || !container.shim) fail('conflict', `container ${container.id} is not running`);
  return container.shim;
}

function processOf(
  { container, config }: Exec,
  parts: ContainerParts,
  consoleSize: { rows: number; columns: number } | undefined,
): ProcessSpec {
  const own = container.record.config;
  const security = securityOfContainer(container, parts);
  const hostname = own.hostname || container.id.slice(0, 12);
  const variables = linkVariables(container, parts);
  const available = parts.security.availableCapabilities;
  const seccomp = config.privileged ? undefined : security.seccomp;
  return {
    args: config.args,
    env: mergeEnv(processEnv({ env: own.env, terminal: config.terminal }, hostname, variables), config.env),
    workingDirectory: config.workingDirectory || own.workingDirectory || '/',
    user: config.user || own.user,
    groups: own.groups,
    terminal: config.terminal,
    ...(consoleSize && { consoleSize }),
    capabilities: config.privileged
      ? capabilitiesOf({ privileged: true, add: [], drop: [], available })
      : security.capabilities,
    noNewPrivileges: security.noNewPrivileges,
    ...confinement(security),
    ...(seccomp && { seccomp }),
    rlimits: own.ulimits,
    oomScoreAdjustment: own.oomScoreAdjustment,
  };
}

function finishedStdio(text: string): AttachedStdio {
  return {
    output: (async function* () {
      yield await Promise.resolve({ stream: 'stdout' as const, bytes: Buffer.from(text) });
    })(),
    write: () => Promise.resolve(),
    closeStdin: () => Promise.resolve(),
    detach: () => undefined,
  };
}
