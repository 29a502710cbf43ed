// A node that is part of a swarm, while it is: its agent, its certificate's renewal, and its manager as long as the
// certificate says that it is one. Roles change here without a restart.
import { Agent } from '../agent/agent.ts';
import { askNode } from '../agent/ask-node.ts';
import { CertificateRenewal } from '../agent/certificate-renewal.ts';
import type { Executor } from '../agent/executor.ts';
import { LocalDb } from '../agent/local-db.ts';
import { Remotes } from '../agent/remotes.ts';
import { Background } from '../base/background.ts';
import type { Clock } from '../base/clock.ts';
import { CodedError, codeOf, sentenceOf } from '../base/errors.ts';
import type { Log } from '../base/log.ts';
import { Mutex } from '../base/mutex.ts';
import type { Random } from '../base/random.ts';
import { type Manager, type ManagerStart, startManager } from '../manager/manager.ts';
import type { Credentials } from '../proto/credentials.ts';
import { DEFAULT_CLUSTER_SPEC } from '../proto/defaults.ts';
import type { NodePath } from '../proto/node-path.ts';
import type { NodeId, NodeRole } from '../proto/objects.ts';
import { Channel } from '../proto/rpc.ts';
import { Managers } from '../proto/services.ts';
import type { SwarmFiles, SwarmState } from './swarm-state.ts';

export interface MemberOptions {
  readonly state: SwarmState;
  readonly credentials: Credentials;
  readonly files: SwarmFiles;
  readonly executor: Executor;
  readonly clock: Clock;
  readonly random: Random;
  readonly log: Log;
}

const JOIN_WITHIN_MS = 10_000;
const RETRY_MS = 300;
const REFUSED_RETRY_MS = 10_000;
const RETIRE_WITHIN_MS = 5_000;
const RESUME_WITHIN_MS = 5_000;
const LOCK_RETRY_MS = 1_000;

export class SwarmMember {
  readonly #options: MemberOptions;
  readonly #remotes: Remotes;
  readonly #agent: Agent;
  readonly #renewal: CertificateRenewal;
  readonly #background: Background;
  readonly #turn = new Mutex(); // starting and stopping the manager, one after the other
  #manager: Manager | undefined;
  #managerError = '';
  #lockKeeper: Background | undefined;
  #stopped = false;

  private constructor(
    options: MemberOptions,
    agentParts: { db: LocalDb; memory: Awaited<ReturnType<LocalDb['load']>> },
  ) {
    const { credentials, files, state, random, log } = options;
    this.#options = options;
    this.#background = new Background({
      onFailure: (name, error) => log.error('a part of the node failed', { name, error }),
    });
    this.#remotes = new Remotes({
      random,
      addresses: agentParts.memory.managers.length > 0 ? agentParts.memory.managers : state.managers,
      preferred: () => (this.#manager ? state.advertise.controlAddress : undefined),
    });
    this.#renewal = new CertificateRenewal({
      ...options,
      remotes: this.#remotes,
      save: (material) => files.saveMaterial(material),
    });
    this.#agent = new Agent({
      ...options,
      ...agentParts,
      remotes: this.#remotes,
      dataAddress: state.dataAddress,
      dataPort: state.dataPort,
      askNode,
      onRole: (role) => this.#onRole(role),
    });
    credentials.onChange(() => this.#background.run('role', () => this.#followRole()));
  }

  static async open(options: MemberOptions): Promise<SwarmMember> {
    const db = new LocalDb({ directory: options.files.agentDirectory, clock: options.clock, log: options.log });
    return new SwarmMember(options, { db, memory: await db.load() });
  }

  get nodeId(): NodeId {
    return this.#options.credentials.identity.nodeId;
  }

  get role(): NodeRole {
    return this.#options.credentials.identity.role;
  }

  get state(): SwarmState {
    return this.#options.state;
  }

  get manager(): Manager | undefined {
    return this.#manager;
  }

  /** This node's manager can not work; '' when it does or need not. */
  get managerError(): string {
    return this.#managerError;
  }

  /** What keeps this node from doing its part; '' when nothing does. */
  get error(): string {
    return this.#managerError || (this.#manager ? '' : this.#agent.state.error);
  }

  /** How this node reaches those that it has to do with. */
  paths(): readonly NodePath[] {
    return this.#agent.paths();
  }

  managers(): readonly { readonly nodeId: string; readonly address: string }[] {
    return this.#manager?.managers() ?? this.#remotes.addresses().map((address) => ({ nodeId: '', address }));
  }

  /** For the first manager of a cluster and for one that joins: rejects when that fails. */
  async startManagerNow(start: ManagerStart): Promise<void> {
    await this.#turn.run(() => this.#startManager(start));
  }

  /** Takes up what was left, in the background where it may take long. */
  startAgent(): void {
    this.#agent.start();
    this.#background.run('certificate renewal', (abort) => this.#renewal.run(abort));
  }

  /** After a restart of the daemon. Waits a while for the manager, so that whoever finds the daemon ready finds it too. */
  async resume(): Promise<void> {
    this.startAgent();
    if (this.#options.credentials.identity.role !== 'manager') return;
    const started = this.#turn.run(() => this.#persist({ kind: 'restart' }));
    this.#background.run('manager', () => started);
    using deadline = this.#options.clock.deadline(undefined, RESUME_WITHIN_MS);
    const late = new Promise<void>((resolve) => deadline.signal.addEventListener('abort', () => resolve()));
    await Promise.race([started.catch(() => undefined), late]); // its failure is the background's
  }

  /** Resolves when a manager has taken this node's session; rejects after `withinMs`. */
  async connected(withinMs: number): Promise<void> {
    const { clock } = this.#options;
    using deadline = clock.deadline(this.#background.abort, withinMs);
    while (this.#agent.state.connectedTo === undefined) {
      if (deadline.signal.aborted) throw new CodedError('unavailable', this.#agent.state.error);
      await clock.sleep(10);
    }
  }

  /** Leaves tasks running and the state on disk: the daemon stops. */
  async stop(): Promise<void> {
    this.#stopped = true;
    await this.#background.stop();
    await this.#agent.stop();
    await this.#turn.run(() => this.#stopManager());
  }

  /** Ends everything that this node does for its swarm. */
  async leave(): Promise<void> {
    this.#stopped = true;
    await this.#retire();
    await this.#background.stop();
    await this.#agent.stopAndRemoveTasks();
    await this.#turn.run(() => this.#stopManager());
  }

  async #retire(): Promise<void> {
    const { clock, log } = this.#options;
    if (!this.#manager || this.#manager.managers().length <= 1) return;
    using deadline = clock.deadline(undefined, RETIRE_WITHIN_MS);
    try {
      await this.#manager.retire(deadline.signal);
    } catch (error) {
      log.warn('this manager leaves without having been taken out of the raft group', { error });
    }
  }

  #onRole(role: NodeRole): void {
    if (role !== this.#options.credentials.identity.role) this.#renewal.renewNow();
  }

  /** The certificate decides whether this node is a manager. */
  async #followRole(): Promise<void> {
    await this.#turn.run(async () => {
      const { role } = this.#options.credentials.identity;
      if (role === 'manager' && !this.#manager) await this.#persist({ kind: 'join' });
      if (role !== 'worker') return;
      if (this.#manager) await this.#stopManager();
      await this.#options.files.open();
    });
  }

  async #persist(start: ManagerStart): Promise<void> {
    while (!this.#stopped && this.#options.credentials.identity.role === 'manager') {
      try {
        await this.#startManager(start);
        return;
      } catch (error) {
        this.#managerError = sentenceOf(error);
        this.#options.log.error('this node can not work as a manager yet', { error });
        // What is refused is not better in a moment, but somebody may make it so.
        const pauseMs = codeOf(error) === 'forbidden' ? REFUSED_RETRY_MS : RETRY_MS;
        await this.#options.clock.sleep(pauseMs, { abort: this.#background.abort });
      }
    }
  }

  async #startManager(start: ManagerStart): Promise<void> {
    const { state, credentials, files, log } = this.#options;
    const { nodeId, clusterId } = credentials.identity;
    const { raft } = DEFAULT_CLUSTER_SPEC;
    const manager = await startManager({
      ...this.#options,
      nodeId,
      clusterId,
      directory: files.raftDirectory,
      nodeKeys: files.nodeKeys,
      addresses: state.advertise,
      listen: state.listen,
      start,
      consensus: { timing: raft, ...raft },
      onRemoved: () => this.#background.run('removed', () => this.#onRemoved()),
    });
    try {
      if (start.kind === 'join') await this.#joinRaft(manager.logId);
    } catch (error) {
      await manager[Symbol.asyncDispose]();
      throw error;
    }
    this.#manager = manager;
    this.#managerError = '';
    this.#lockKeeper = new Background({
      onFailure: (name, error) => log.error('a part of the node failed', { name, error }),
    });
    this.#lockKeeper.run('lock', (abort) => this.#keepLock(manager, abort));
    log.info('manager started', { nodeId, how: start.kind });
  }

  /** The disk of a manager is locked with the key that the cluster has now. */
  async #keepLock(manager: Manager, abort: AbortSignal): Promise<void> {
    const { files, clock, log } = this.#options;
    for await (const unlockKey of manager.unlockKeys(abort)) {
      for (;;) {
        try {
          await files.lock(unlockKey, (how) => manager.rekey(how));
          break;
        } catch (error) {
          log.error('the disk could not be sealed as the swarm wants it', { error });
          await clock.sleep(LOCK_RETRY_MS, { abort });
        }
      }
    }
  }

  /** Asks the other managers, one after the other, to make this one a member. */
  async #joinRaft(logId: string): Promise<void> {
    const { state, credentials, clock } = this.#options;
    const { advertise } = state;
    const request = { nodeId: this.nodeId, logId, ...advertise };
    let last: unknown = new CodedError('unavailable', 'no other manager is known');
    for (const address of this.#remotes.addresses()) {
      if (address === advertise.controlAddress) continue;
      using channel = new Channel(address, credentials.channelCredentials());
      try {
        await channel.call(Managers.Join, request, { withinMs: JOIN_WITHIN_MS, abort: this.#background.abort });
        return;
      } catch (error) {
        last = error;
        await clock.sleep(RETRY_MS, { abort: this.#background.abort });
      }
    }
    throw last;
  }

  async #onRemoved(): Promise<void> {
    await this.#turn.run(async () => {
      if (this.#stopped || !this.#manager) return;
      this.#options.log.info('this node is no manager any more', { nodeId: this.nodeId });
      await this.#stopManager();
      this.#renewal.renewNow();
    });
  }

  async #stopManager(): Promise<void> {
    const [manager, lockKeeper] = [this.#manager, this.#lockKeeper];
    this.#manager = undefined;
    this.#lockKeeper = undefined;
    await manager?.[Symbol.asyncDispose](); // first, as the keeper may be waiting for its log
    await lockKeeper?.stop();
  }
}
