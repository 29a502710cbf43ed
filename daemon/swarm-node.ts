// This node's place in a swarm: founds, joins and leaves one, takes it up again after a restart, and gives the Engine API
// its way to the cluster. One of these per daemon; in no swarm it costs nothing.
import type { Executor } from '../agent/executor.ts';
import { enrol } from '../agent/enrolment.ts';
import { ContainerExecutor } from '../agent/container/container-executor.ts';
import type { SwarmAccess, SwarmInfo, SwarmInitRequest, SwarmJoinRequest, SwarmRestoreRequest } from '../api/deps.ts';
import type { Clock } from '../base/clock.ts';
import { invariant } from '../base/assert.ts';
import { CodedError, codeOf, fail } from '../base/errors.ts';
import type { Log } from '../base/log.ts';
import { Mutex } from '../base/mutex.ts';
import type { Random } from '../base/random.ts';
import { systemDisk } from '../base/system-disk.ts';
import type { ManagerStart } from '../manager/manager.ts';
import { openBackup, seedFromBackup, seizeLog } from '../manager/take-over.ts';
import type { ClusterControl } from '../proto/control.ts';
import { Credentials } from '../proto/credentials.ts';
import type { CertificateMaterial } from '../proto/identity.ts';
import { parseJoinToken } from '../proto/join-token.ts';
import type { NodePath } from '../proto/node-path.ts';
import type { ClusterId, NodeId } from '../proto/objects.ts';
import type { Runtime } from '../runtime/contract.ts';
import { foundCluster, managerFromBackup } from './found-cluster.ts';
import { swarmAddresses, withPort } from './swarm-addresses.ts';
import { SwarmMember } from './swarm-member.ts';
import { leavingSentence, LOCKED, NOT_A_MANAGER, NOT_IN_SWARM } from './swarm-sentences.ts';
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
  readonly opened = Promise.resolve(); // who has one has awaited that
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

  paths(): readonly NodePath[] {
    return this.#member?.paths() ?? [];
  }

  control(): ClusterControl {
    if (this.#isLocked) throw new CodedError('unavailable', LOCKED);
    if (!this.#member) throw new CodedError('unavailable', NOT_IN_SWARM);
    return this.#member.manager?.control ?? fail('unavailable', NOT_A_MANAGER);
  }

  async init(request: SwarmInitRequest): Promise<string> {
    refuseUnsupported(request);
    return await this.#turn.run(async () => {
      if (request.forceNewCluster && (this.#member || this.#isLocked)) return await this.#beginAnew(request);
      this.#refuseIfMember();
      const addresses = swarmAddresses(request, { advertise: this.#deps.defaultAdvertiseAddress });
      const { material, start } = await foundCluster(request, addresses.advertise, this.#deps);
      const state = { ...addresses, managers: [addresses.advertise.controlAddress] };
      const unlockKey = start.kind === 'bootstrap' ? start.cluster.unlockKey : undefined;
      const member = await this.#begin(state, material, start, { unlockKey });
      await this.#connected(member);
      return member.nodeId;
    });
  }

  /** The majority is lost for good: this manager goes on alone with all that its log holds. */
  async #beginAnew(request: SwarmInitRequest): Promise<string> {
    if (this.#isLocked || !this.#member) throw new CodedError('unavailable', LOCKED);
    const former = this.#member;
    if (former.role !== 'manager') fail('unavailable', NOT_A_MANAGER);
    const state = this.#addressesAnew(former.state, request);
    const material = await this.#files.material();
    await former.stop();
    this.#member = undefined;
    let member: SwarmMember | undefined;
    try {
      const { clusterId } = new Credentials(material).identity;
      await seizeLog(this.#raftDirectory(clusterId, former.nodeId), state.advertise.raftAddress);
      await this.#files.saveState(state);
      member = await this.#open(state, material);
      await member.startManagerNow({ kind: 'take-over' });
    } catch (error) {
      await member?.stop();
      await this.#resumeWith(former.state, material);
      throw error;
    }
    member.startAgent();
    this.#member = member;
    this.#deps.log.warn('this manager goes on as the only one of its swarm', { nodeId: member.nodeId });
    await this.#connected(member);
    return member.nodeId;
  }

  /** What is not said stays: clients send the default listen address unasked. */
  #addressesAnew(state: SwarmState, request: SwarmInitRequest): SwarmState {
    if (request.advertiseAddress === '') return state;
    const addresses = swarmAddresses(request, { advertise: this.#deps.defaultAdvertiseAddress });
    return { ...addresses, managers: [addresses.advertise.controlAddress] };
  }

  #raftDirectory(clusterId: ClusterId, nodeId: NodeId) {
    const { random } = this.#deps;
    return { disk: systemDisk(this.#files.raftDirectory), random, clusterId, nodeId, nodeKeys: this.#files.nodeKeys };
  }

  async restore(request: SwarmRestoreRequest, file: Uint8Array): Promise<string> {
    return await this.#turn.run(async () => {
      this.#refuseIfMember();
      const addresses = swarmAddresses(
        { ...request, dataPathAddress: '', dataPathPort: 0 },
        { advertise: this.#deps.defaultAdvertiseAddress },
      );
      const backup = await openBackup(file, { unlockKey: request.unlockKey, clock: this.#deps.clock });
      const { id: clusterId, unlockKey } = backup.cluster;
      const { material, nodeId, start } = await managerFromBackup(backup.cluster, addresses.advertise, this.#deps);
      const state = { ...addresses, managers: [addresses.advertise.controlAddress] };
      const prepare = (): Promise<void> =>
        seedFromBackup(this.#raftDirectory(clusterId, nodeId), backup, addresses.advertise.raftAddress);
      const member = await this.#begin(state, material, start, { unlockKey, prepare });
      await this.#connected(member);
      return member.nodeId;
    });
  }

  backup(abort: AbortSignal): AsyncIterable<Uint8Array> {
    if (this.#isLocked) throw new CodedError('unavailable', LOCKED);
    if (!this.#member) throw new CodedError('unavailable', NOT_IN_SWARM);
    return (this.#member.manager ?? fail('unavailable', NOT_A_MANAGER)).backup(abort);
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
    more: Parameters<SwarmFiles['create']>[2] = {},
  ): Promise<SwarmMember> {
    this.#pending = true;
    let member: SwarmMember | undefined;
    try {
      await this.#files.create(state, material, more);
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

function refuseUnsupported(request: SwarmInitRequest): void {
  if (request.defaultAddressPools.length > 0) {
    fail('not-implemented', 'address pools are for overlay networks, which are not implemented yet');
  }
}

const hostOf = (address: string): string => address.replace(/:\d+$/, '').replace(/^\[(.*)\]$/, '$1');
