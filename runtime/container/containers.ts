// The containers of this machine: finds the one that is meant and passes the work on.
import { fail } from '../../base/errors.ts';
import { openFormat } from '../../base/format-file.ts';
import { readLog } from '../log/json-file.ts';
import type { AttachedStdio } from '../native/contract.ts';
import { type Adopted, continueContainers, findLeftContainers } from './adopt.ts';
import type { Container } from './container.ts';
import type {
  ContainerConfig,
  ContainerInfo,
  ContainerLimits,
  Containers,
  ExecConfig,
  ExecInfo,
  LogEntry,
  LogRequest,
  NetworkAttachment,
  RestartRule,
  Stats,
} from './contract.ts';
import { createContainer } from './create.ts';
import { Execs } from './exec.ts';
import { FilesOfContainers } from './files.ts';
import { Names } from './names.ts';
import { connect, disconnect } from './connect.ts';
import { type ContainerParts, publishContainer } from './parts.ts';
import { securityWarnings } from './security.ts';
import { discardAhead } from './prepare-ahead.ts';
import { RecordFlusher, writeRecord } from './record.ts';
import { removeNow } from './remove.ts';
import { unlink } from './links.ts';
import { isAlive, isUp } from './state.ts';
import { readStats } from './stats.ts';
import { bringDown, kill, pause, restart, startByHand, stop, type StopOptions, unpause } from './stop.ts';
import { top } from './top.ts';
import { validateLimits, validateRestart } from './validate.ts';

const FORMAT = 1;
const PREFIX = /^[0-9a-f]{1,64}$/;

export class ContainerStore implements Containers {
  readonly files: FilesOfContainers;
  readonly #containers = new Map<string, Container>();
  readonly #names: Names;
  readonly #execs: Execs;
  readonly #flusher: RecordFlusher;
  readonly #parts: ContainerParts;

  private constructor(parts: Omit<ContainerParts, 'find'>) {
    this.#parts = { ...parts, find: (reference) => this.#find(reference) };
    this.#names = new Names(parts.random);
    this.#execs = new Execs(this.#parts);
    this.files = new FilesOfContainers(this.#parts);
    this.#flusher = new RecordFlusher(parts);
  }

  /** Knows what the last daemon left; nothing may be changed before `takeOver` is through. */
  static async open(
    parts: Omit<ContainerParts, 'find'>,
  ): Promise<{ containers: ContainerStore; left: readonly Adopted[] }> {
    await openFormat(parts.containersRoot, FORMAT);
    const store = new ContainerStore(parts);
    const left = await findLeftContainers(store.#parts);
    parts.background.run('spread folders', () => parts.native.spread([parts.containersRoot, parts.runRoot]));
    for (const { container } of left) store.#keep(container);
    return { containers: store, left };
  }

  /** What has to be restarted comes up in the background. */
  takeOver(left: readonly Adopted[]): Promise<void> {
    return continueContainers(this.#parts, left);
  }

  /** What the daemon has to have done before it goes. */
  flush(): Promise<void> {
    return this.#flusher.flush();
  }

  #keep(container: Container): void {
    this.#names.take(container.record.name, container.id);
    this.#containers.set(container.id, container);
    void container.waiters.on('removed').then(() => this.#drop(container));
  }

  #drop(container: Container): void {
    this.#containers.delete(container.id);
    this.#names.release(container.record.name, container.id);
    this.#execs.forget(container);
  }

  #find(reference: string): Container {
    const name = reference.replace(/^\//, '');
    const exact = this.#containers.get(name) ?? this.#containers.get(this.#names.owner(name) ?? '');
    if (exact) return exact;
    const matches = PREFIX.test(name) ? [...this.#containers.values()].filter(({ id }) => id.startsWith(name)) : [];
    if (matches.length > 1) fail('invalid', `multiple IDs found with provided prefix: ${reference}`);
    return matches[0] ?? fail('not-found', `No such container: ${reference}`);
  }

  async create(config: ContainerConfig): Promise<{ id: string; warnings: readonly string[] }> {
    const container = await createContainer(config, this.#parts, this.#names);
    this.#keep(container);
    this.#flusher.later(container.folders.directory);
    return {
      id: container.id,
      warnings: [...this.#warnings(config), ...securityWarnings(config, this.#parts.security)],
    };
  }

  #warnings({ limits }: ContainerConfig): string[] {
    const { abilities } = this.#parts.cgroups;
    const lacks = (what: string): string => `Your kernel does not support ${what} or the cgroup is not mounted.`;
    const asksForWeight = (limits.blockIoWeight ?? 0) > 0 || limits.blockIo?.some(({ kind }) => kind === 'weight');
    return [
      ...(limits.memoryBytes > 0 && !abilities.swapIsAccounted
        ? [`${lacks('swap limit capabilities')} Memory limited without swap.`]
        : []),
      ...(asksForWeight && !abilities.blockIoWeightFile ? [`${lacks('Block I/O weight')} Weight discarded.`] : []),
      ...(limits.oomKillDisable && !abilities.oomCanBeDisabled
        ? ['Your kernel does not support OomKillDisable. OomKillDisable discarded.']
        : []),
      ...(limits.memorySwappiness !== undefined && !abilities.oomCanBeDisabled
        ? [`${lacks('memory swappiness capabilities,')} Memory swappiness discarded.`]
        : []),
    ];
  }

  get(reference: string): ContainerInfo {
    return this.#find(reference).info();
  }

  list(): readonly ContainerInfo[] {
    return [...this.#containers.values()].map((container) => container.info());
  }

  async start(reference: string): Promise<void> {
    const container = this.#find(reference);
    await container.lock
      .run(() => startByHand(container, this.#parts))
      .catch(async (error: unknown) => {
        await this.#removeIfAsked(container);
        throw error;
      });
  }

  /** One that was to be removed at its exit is also removed when it does not come up. */
  async #removeIfAsked(container: Container): Promise<void> {
    if (!container.record.config.autoRemove || isUp(container.state) || container.isBeingRemoved) return;
    await container.lock.run(() => removeNow(container, this.#parts, { volumes: true }));
  }

  async stop(reference: string, options: StopOptions): Promise<void> {
    await stop(this.#find(reference), this.#parts, options);
  }

  async kill(reference: string, signal: string): Promise<void> {
    await kill(this.#find(reference), this.#parts, { signal });
  }

  async restart(reference: string, options: StopOptions): Promise<void> {
    await restart(this.#find(reference), this.#parts, options);
  }

  async pause(reference: string): Promise<void> {
    const container = this.#find(reference);
    await container.lock.run(() => pause(container, this.#parts));
  }

  async unpause(reference: string): Promise<void> {
    const container = this.#find(reference);
    await container.lock.run(() => unpause(container, this.#parts));
  }

  async rename(reference: string, name: string): Promise<void> {
    const container = this.#find(reference);
    await container.lock.run(async () => {
      const oldName = container.record.name;
      if (name.replace(/^\//, '') === '') fail('invalid', 'Neither old nor new names may be empty');
      if (name.replace(/^\//, '') === oldName)
        fail('invalid', 'Renaming a container with the same name as its current name');
      const taken = this.#names.take(name, container.id);
      const record = { ...container.record, name: taken, config: { ...container.record.config, name: taken } };
      try {
        await writeRecord(container.folders.directory, record);
      } catch (error) {
        this.#names.release(taken, container.id);
        throw error;
      }
      container.record = record;
      this.#names.release(oldName, container.id);
      publishContainer(this.#parts, container, 'rename', { oldName: `/${oldName}` });
    });
  }

  async connect(reference: string, attachment: NetworkAttachment): Promise<void> {
    const container = this.#find(reference);
    await container.lock.run(() => connect(container, this.#parts, attachment));
  }

  async disconnect(reference: string, network: string): Promise<void> {
    const container = this.#find(reference);
    await container.lock.run(() => disconnect(container, this.#parts, network));
  }

  async unlink(reference: string, alias: string): Promise<void> {
    const container = this.#find(reference);
    await container.lock.run(async () => {
      await discardAhead(container);
      await unlink(container, this.#parts, alias);
    });
  }

  async remove(reference: string, options: { force: boolean; volumes: boolean }): Promise<void> {
    const container = this.#find(reference);
    if (container.isBeingRemoved) fail('conflict', `removal of container ${reference} is already in progress`);
    if (isUp(container.state)) {
      if (!options.force) {
        const advice =
          container.state === 'paused'
            ? ' and must be unpaused first'
            : ': stop the container before removing or force remove';
        fail(
          'conflict',
          `cannot remove container "/${container.record.name}": container is ${container.state}${advice}`,
        );
      }
      container.isBeingRemoved = true;
      await this.#killForRemoval(container);
    }
    container.isBeingRemoved = true;
    await container.lock.run(() => removeNow(container, this.#parts, { volumes: options.volumes }));
  }

  async #killForRemoval(container: Container): Promise<void> {
    try {
      await bringDown(container, this.#parts, { signal: 'SIGKILL' });
    } catch (error) {
      container.isBeingRemoved = isUp(container.state) ? false : container.isBeingRemoved;
      if (isUp(container.state)) throw error;
    }
  }

  wait(
    reference: string,
    condition: 'not-running' | 'next-exit' | 'removed',
    abort: AbortSignal,
  ): Promise<{ exitCode: number; error: string }> {
    const container = this.#find(reference);
    const { exitCode, error } = container.status;
    if (condition === 'not-running' && !isUp(container.state)) return Promise.resolve({ exitCode, error });
    return container.waiters.on(condition === 'removed' ? 'removed' : 'exit', abort);
  }

  async attach(
    reference: string,
    options: { stdin: boolean; stdout: boolean; stderr: boolean },
  ): Promise<AttachedStdio> {
    const container = this.#find(reference);
    if (container.state === 'paused')
      fail('conflict', `container ${container.id} is paused, unpause the container before attach`);
    const stdin = options.stdin && container.record.config.openStdin;
    const stdio = await container.attachPoint.attach({ ...options, stdin });
    publishContainer(this.#parts, container, 'attach');
    return stdio;
  }

  async resize(reference: string, size: { rows: number; columns: number }): Promise<void> {
    const container = this.#find(reference);
    container.consoleSize = size;
    if (!isAlive(container.state) || !container.shim) fail('conflict', `container ${container.id} is not running`);
    // Without a terminal there is nothing to resize, and clients ask all the same.
    if (container.record.config.terminal) await container.shim.resize(size);
    publishContainer(this.#parts, container, 'resize', { height: String(size.rows), width: String(size.columns) });
  }

  logs(reference: string, request: LogRequest, abort: AbortSignal): AsyncIterable<LogEntry> {
    const container = this.#find(reference);
    const { logPath } = container.info();
    if (logPath === '') fail('not-implemented', 'configured logging driver does not support reading');
    const follow = request.follow ? { finished: container.finished.signal, clock: this.#parts.clock } : undefined;
    return readLog({ ...request, path: logPath, follow }, abort);
  }

  async top(
    reference: string,
    psArgs: string,
  ): Promise<{ titles: readonly string[]; processes: readonly (readonly string[])[] }> {
    const container = this.#find(reference);
    if (!isAlive(container.state)) fail('conflict', `container ${container.id} is not running`);
    publishContainer(this.#parts, container, 'top');
    return top(await this.#parts.cgroups.processes(container.id, container.record.config.cgroupParent), psArgs);
  }

  async stats(reference: string): Promise<Stats> {
    const container = this.#find(reference);
    if (!isAlive(container.state)) fail('conflict', `container ${container.id} is not running`);
    return readStats(container, this.#parts.cgroups, this.#parts.clock.nowMs());
  }

  async update(reference: string, change: { limits: Partial<ContainerLimits>; restart?: RestartRule }): Promise<void> {
    const container = this.#find(reference);
    await container.lock.run(async () => {
      if (container.isBeingRemoved) fail('conflict', 'container is marked for removal and cannot be "update"');
      const { config } = container.record;
      const limits = { ...config.limits, ...change.limits };
      validateLimits(limits, this.#parts);
      if (change.restart) validateRestart(change.restart);
      if (change.restart && change.restart.name !== 'no' && config.autoRemove) {
        fail('invalid', 'Restart policy cannot be updated because AutoRemove is enabled for the container');
      }
      await discardAhead(container); // it was made with the old limits
      if (isAlive(container.state)) await this.#parts.cgroups.update(container.id, limits, config.cgroupParent);
      const record = { ...container.record, config: { ...config, limits, restart: change.restart ?? config.restart } };
      await writeRecord(container.folders.directory, record);
      container.record = record;
      publishContainer(this.#parts, container, 'update');
    });
  }

  execCreate(reference: string, config: ExecConfig): Promise<string> {
    return Promise.resolve().then(() => this.#execs.create(this.#find(reference), config));
  }

  execGet(execId: string): ExecInfo {
    return this.#execs.info(execId);
  }

  execStart(
    execId: string,
    options: { consoleSize?: { rows: number; columns: number }; detach: boolean },
  ): Promise<AttachedStdio | undefined> {
    return this.#execs.start(execId, options);
  }

  execResize(execId: string, size: { rows: number; columns: number }): Promise<void> {
    return this.#execs.resize(execId, size);
  }
}
