// This node's place in a swarm: founds, joins and leaves one, takes it up again after a restart, and gives the Engine API
// its way to the cluster. One of these per daemon; in no swarm it costs nothing.
import type { Executor } from '../agent/executor.ts';
import { enrol } from '../agent/enrolment.ts';
import { ContainerExecutor } from '../agent/container/container-executor.ts';
import type { SwarmAccess, SwarmInfo, SwarmInitRequest, SwarmJoinRequest } from '../api/deps.ts';
import type { Clock } from '../base/clock.ts';
import { invariant } from '../base/assert.ts';
import { CodedError, codeOf, fail } from '../base/errors.ts';
import type { Log } from '../base/log.ts';
import { Mutex } from '../base/mutex.ts';
import type { Random } from '../base/random.ts';
import type { ManagerStart } from '../manager/manager.ts';
import type { ClusterControl } from '../proto/control.ts';
import { Credentials } from '../proto/credentials.ts';
import type { CertificateMaterial } from '../proto/identity.ts';
import { parseJoinToken } from '../proto/join-token.ts';
import type { Runtime } from '../runtime/contract.ts';
import { foundCluster } from './found-cluster.ts';
import { swarmAddresses, withPort } from './swarm-addresses.ts';
import { SwarmMember } from './swarm-member.ts';
import { SwarmFiles, type SwarmState } from './swarm-state.ts';

export interface SwarmNodeOptions {
  readonly dataRoot: string;
  readonly runtime: Runtime;
  readonly hostname: string;
  readonly version: string;
  readonly labels: Readonly<Record<string, string>>;
  readonly defaultAdvertiseAddress: string; // '' : found out
  readonly clock: Clock;
  readonly random: Random;
  readonly log: Log;
}

/** Takes up the swarm that is on disk, if any. Disposing leaves tasks running and the membership as it is. */
export async function openSwarmNode(options: SwarmNodeOptions): Promise<SwarmNode> {
  const node = new SwarmNode({ ...options, executor: new ContainerExecutor(options) });
  await node.resume();
  return node;
}

export interface SwarmNodeDeps extends Pick<SwarmNodeOptions, 'dataRoot' | 'defaultAdvertiseAddress'> {
  readonly executor: Executor;
  readonly clock: Clock;
  readonly random: Random;
  readonly log: Log;
}

const CONNECT_WITHIN_MS = 20_000;

export class SwarmNode implements SwarmAccess, AsyncDisposable {
  readonly #deps: SwarmNodeDeps;
  readonly #files: SwarmFiles;
  readonly #turn = new Mutex(); // init, join and leave exclude each other
  #member: SwarmMember | undefined;
  #isLocked = false;
  #pending = false;

  constructor(deps: SwarmNodeDeps) {
    this.#deps = deps;
    this.#files = new SwarmFiles(deps.dataRoot, deps.random);
  }

  async resume(): Promise<void> {
    const found = await this.#files.load();
    if (!found) return;
    if (found.kind === 'locked') {
      this.#isLocked = true;
      this.#deps.log.warn('this manager is locked: it waits for the unlock key');
      return;
    }
    await this.#resumeWith(found.state, found.material);
  }

  async unlock(key: string): Promise<void> {
    await this.#turn.run(async () => {
      if (!this.#isLocked) {
        if (!this.#member) fail('unavailable', 'This node is not part of a swarm');
        fail('conflict', 'swarm is not locked');
      }
      const found = await this.#files.load();
      invariant(found, 'a locked node is part of a swarm');
      const material = await this.#unlocked(key);
      this.#isLocked = false;
      await this.#resumeWith(found.state, material);
      this.#deps.log.info('unlocked');
    });
  }

  async #unlocked(key: string): Promise<CertificateMaterial> {
    try {
      return await this.#files.unlock(key);
    } catch (cause) {
      if (codeOf(cause) !== 'forbidden') throw cause;
      throw new CodedError('unauthenticated', 'swarm could not be unlocked: invalid key provided');
    }
  }

  async #resumeWith(state: SwarmState, material: CertificateMaterial): Promise<void> {
    this.#member = await this.#open(state, material);
    await this.#member.resume();
  }

  info(): SwarmInfo {
    const member = this.#member;
    if (!member) {
      const state = this.#isLocked ? 'locked' : this.#pending ? 'pending' : 'inactive';
      return { state, nodeId: '', nodeAddress: '', controlAvailable: false, error: '', remoteManagers: [] };
    }
    const { advertise } = member.state;
    return {
      // A worker that looks for another manager is part of its swarm all the same.
      state: member.managerError === '' ? 'active' : 'error',
      nodeId: member.nodeId,
      nodeAddress: hostOf(advertise.joinAddress),
      controlAvailable: member.manager !== undefined,
      error: member.error,
      remoteManagers: member.managers(),
    };
  }

  control(): ClusterControl {
    if (this.#isLocked) throw new CodedError('unavailable', LOCKED);
    if (!this.#member) throw new CodedError('unavailable', NOT_IN_SWARM);
    return this.#member.manager?.control ?? fail('unavailable', NOT_A_MANAGER);
  }

  async init(request: SwarmInitRequest): Promise<string> {
    refuseUnsupported(request);
    return await this.#turn.run(async () => {
      this.#refuseIfMember();
      const addresses = swarmAddresses(request, { advertise: this.#deps.defaultAdvertiseAddress });
      const { material, start } = await foundCluster(request, addresses.advertise, this.#deps);
      const state = { ...addresses, managers: [addresses.advertise.controlAddress] };
      const unlockKey = start.kind === 'bootstrap' ? start.cluster.unlockKey : undefined;
      const member = await this.#begin(state, material, start, unlockKey);
      await this.#connected(member);
      return member.nodeId;
    });
  }

  async join(request: SwarmJoinRequest): Promise<void> {
    parseJoinToken(request.joinToken);
    const remoteAddresses = request.remoteAddresses.map(withPort);
    await this.#turn.run(async () => {
      this.#refuseIfMember();
      const addresses = swarmAddresses(
        { ...request, dataPathPort: 0 },
        { advertise: this.#deps.defaultAdvertiseAddress },
      );
      const { material, managerAddresses } = await enrol({
        remoteAddresses,
        token: request.joinToken,
        availability: request.availability,
      });
      const member = await this.#begin({ ...addresses, managers: managerAddresses }, material, { kind: 'join' });
      await this.#connected(member);
    });
  }

  async leave({ force }: { force: boolean }): Promise<void> {
    await this.#turn.run(async () => {
      if (this.#isLocked) return await this.#leaveLocked(force);
      const member = this.#member ?? fail('unavailable', 'This node is not part of a swarm');
      if (member.manager && !force) fail('unavailable', leavingSentence(member.manager.managers().length));
      await member.leave();
      this.#member = undefined;
      await this.#files.erase();
      await this.#deps.executor.clearIngress();
      this.#deps.log.info('left the swarm', { nodeId: member.nodeId });
    });
  }

  /** Nobody can be told: the certificate is locked as well. */
  async #leaveLocked(force: boolean): Promise<void> {
    if (!force) fail('unavailable', LOCKED);
    const { executor, log } = this.#deps;
    for (const taskId of executor.held()) await executor.discard(taskId);
    await this.#files.erase();
    this.#isLocked = false;
    await executor.clearIngress();
    log.info('left the swarm while locked');
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.#turn.run(async () => {
      await this.#member?.stop();
      this.#member = undefined;
    });
  }

  /** Makes the membership durable and starts it; leaves nothing behind when that fails. */
  async #begin(
    state: SwarmState,
    material: CertificateMaterial,
    start: ManagerStart,
    unlockKey?: string,
  ): Promise<SwarmMember> {
    this.#pending = true;
    let member: SwarmMember | undefined;
    try {
      await this.#files.create(state, material, unlockKey);
      member = await this.#open(state, material);
      if (new Credentials(material).identity.role === 'manager') await member.startManagerNow(start);
      member.startAgent();
      this.#member = member;
      return member;
    } catch (error) {
      await member?.stop();
      await this.#files.erase();
      throw error;
    } finally {
      this.#pending = false;
    }
  }

  async #open(state: SwarmState, material: CertificateMaterial): Promise<SwarmMember> {
    const credentials = new Credentials(material);
    return await SwarmMember.open({ ...this.#deps, files: this.#files, state, credentials });
  }

  async #connected(member: SwarmMember): Promise<void> {
    try {
      await member.connected(CONNECT_WITHIN_MS);
    } catch (cause) {
      const text =
        'Timeout was reached before node joined. The attempt to join the swarm will continue in the background. ' +
        'Use the "docker info" command to see the current swarm status of your node.';
      throw new CodedError('unavailable', text, { cause });
    }
  }

  #refuseIfMember(): void {
    if (!this.#member && !this.#isLocked) return;
    fail(
      'unavailable',
      'This node is already part of a swarm. Use "docker swarm leave" to leave this swarm and join another one.',
    );
  }
}

const LOCKED =
  'Swarm is encrypted and needs to be unlocked before it can be used. Please use "docker swarm unlock" to unlock it.';
const NOT_IN_SWARM =
  'This node is not a swarm manager. Use "docker swarm init" or "docker swarm join" to connect this node to swarm ' +
  'and try again.';
const NOT_A_MANAGER =
  "This node is not a swarm manager. Worker nodes can't be used to view or modify cluster state. Please run this " +
  'command on a manager node or promote the current node to a manager.';

function leavingSentence(managers: number): string {
  const start = 'You are attempting to leave the swarm on a node that is participating as a manager. ';
  if (managers <= 1) {
    return `${start}Removing the last manager erases all current state of the swarm. Use \`--force\` to ignore this message.`;
  }
  const left = managers - 1;
  const needed = Math.floor(managers / 2) + 1;
  if (left >= needed) {
    return `${start}Removing this node leaves ${left} managers out of ${managers}. Use \`--force\` to suppress this message.`;
  }
  return (
    `${start}Removing this node leaves ${left} managers out of ${managers}. Without a Raft quorum your swarm will be ` +
    'inaccessible. Use `--force` to suppress this message.'
  );
}

function refuseUnsupported(request: SwarmInitRequest): void {
  if (request.forceNewCluster)
    fail('not-implemented', 'making a new cluster out of one manager is not implemented yet');
  if (request.defaultAddressPools.length > 0) {
    fail('not-implemented', 'address pools are for overlay networks, which are not implemented yet');
  }
}

const hostOf = (address: string): string => address.replace(/:\d+$/, '').replace(/^\[(.*)\]$/, '$1');
