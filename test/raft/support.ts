// For the tests of consensus: certificates, a state machine that remembers, groups of managers on the loopback interface.
import 'reflect-metadata';
import { webcrypto } from 'node:crypto';
import { mkdtemp, rm } from 'node:fs/promises';
import { createServer } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import * as x509 from '@peculiar/x509';
import { systemClock } from '../../base/clock.ts';
import { createLog, type Log, silentLog } from '../../base/log.ts';
import type { CertificateMaterial, Consensus, ConsensusOptions } from '../../manager/raft/contract.ts';
import { startConsensus } from '../../manager/raft/driver.ts';
import type { NodeId } from '../../proto/objects.ts';
import { Journal } from './journal.ts';

const ALGORITHM = { name: 'ECDSA', namedCurve: 'P-256', hash: 'SHA-256' } as const;
const DAY_MS = 86_400_000;

/** A root of trust of its own. */
export class TestAuthority {
  readonly #root: x509.X509Certificate;
  readonly #keys: webcrypto.CryptoKeyPair;
  #serial = 1;

  static async create(): Promise<TestAuthority> {
    x509.cryptoProvider.set(webcrypto as unknown as Parameters<typeof x509.cryptoProvider.set>[0]);
    const keys = await generateKeys();
    const root = await x509.X509CertificateGenerator.createSelfSigned({
      serialNumber: '01',
      name: 'CN=test root',
      ...validity(),
      signingAlgorithm: ALGORITHM,
      keys,
      extensions: [new x509.BasicConstraintsExtension(true, undefined, true)],
    });
    return new TestAuthority(root, keys);
  }

  private constructor(root: x509.X509Certificate, keys: webcrypto.CryptoKeyPair) {
    this.#root = root;
    this.#keys = keys;
  }

  async issue(nodeId: string, options: { role?: string; clusterId: string }): Promise<CertificateMaterial> {
    const keys = await generateKeys();
    this.#serial += 1;
    const certificate = await x509.X509CertificateGenerator.create({
      serialNumber: this.#serial.toString(16).padStart(4, '0'),
      subject: `CN=${nodeId}, OU=${options.role ?? 'shoal-manager'}, O=${options.clusterId}`,
      issuer: this.#root.subject,
      ...validity(),
      signingAlgorithm: ALGORITHM,
      publicKey: keys.publicKey,
      signingKey: this.#keys.privateKey,
    });
    const key = Buffer.from(await webcrypto.subtle.exportKey('pkcs8', keys.privateKey)).toString('base64');
    return {
      certificatePem: certificate.toString('pem'),
      keyPem: `-----BEGIN PRIVATE KEY-----\n${key.replace(/.{64}/g, '$&\n')}\n-----END PRIVATE KEY-----\n`,
      rootsPem: [this.#root.toString('pem')],
    };
  }
}

async function generateKeys(): Promise<webcrypto.CryptoKeyPair> {
  return webcrypto.subtle.generateKey(ALGORITHM, true, ['sign', 'verify']);
}

function validity(): { notBefore: Date; notAfter: Date } {
  const nowMs = Date.now();
  return { notBefore: new Date(nowMs - DAY_MS), notAfter: new Date(nowMs + DAY_MS) };
}

export interface TestManager {
  readonly id: NodeId;
  readonly consensus: Consensus;
  readonly journal: Journal;
  readonly options: ConsensusOptions;
}

/** Managers of one cluster in this process, each with its worker, its directory and its port. */
export class TestGroup implements AsyncDisposable {
  readonly clusterId = 'testcluster';
  readonly authority: TestAuthority;
  readonly #root: string;
  readonly #managers = new Map<string, TestManager>();
  readonly #log: Log;
  readonly #overrides: Partial<ConsensusOptions>;

  static async create(options: { log?: Log; overrides?: Partial<ConsensusOptions> } = {}): Promise<TestGroup> {
    const root = await mkdtemp(join(tmpdir(), 'shoal-raft-'));
    return new TestGroup(
      root,
      await TestAuthority.create(),
      options.log ?? (process.env['SHOAL_TEST_LOG'] ? createLog({ level: 'debug' }) : silentLog),
      options.overrides ?? {},
    );
  }

  private constructor(root: string, authority: TestAuthority, log: Log, overrides: Partial<ConsensusOptions>) {
    this.#root = root;
    this.authority = authority;
    this.#log = log;
    this.#overrides = overrides;
  }

  get managers(): TestManager[] {
    return [...this.#managers.values()];
  }

  /** The first one bootstraps, those after it are added through the leader. */
  async grow(count: number): Promise<TestManager[]> {
    for (let number = 1; number <= count; number += 1) {
      const manager = await this.start(`manager${number}`, number === 1 ? 'bootstrap' : 'join');
      if (number === 1) continue;
      const { raftAddress } = manager.options.advertise;
      await this.leader().consensus.addMember({ nodeId: manager.id, raftAddress }, {});
    }
    return this.managers;
  }

  async start(name: string, start: ConsensusOptions['start'], port?: number): Promise<TestManager> {
    const address = `127.0.0.1:${port ?? (await freePort())}`;
    const options: ConsensusOptions = {
      nodeId: name as NodeId,
      clusterId: this.clusterId,
      directory: join(this.#root, name),
      listenAddress: address,
      advertise: { raftAddress: address, joinAddress: '', controlAddress: '' },
      certificate: await this.authority.issue(name, { clusterId: this.clusterId }),
      start,
      timing: { tickMs: 50, heartbeatTicks: 2, electionTicksMin: 8, electionTicksMax: 15 },
      snapshotIntervalEntries: 10_000,
      logEntriesForSlowFollowers: 500,
      ...this.#overrides,
    };
    const journal = new Journal();
    const log = this.#log.child({ manager: name });
    const consensus = await startConsensus(options, { stateMachine: journal, clock: systemClock, log });
    const manager = { id: name as NodeId, consensus, journal, options };
    this.#managers.set(name, manager);
    return manager;
  }

  async stop(name: string): Promise<TestManager> {
    const manager = this.of(name);
    this.#managers.delete(name);
    await manager.consensus.stop();
    return manager;
  }

  async restart(name: string): Promise<TestManager> {
    const { options } = await this.stop(name);
    return this.start(name, 'restart', Number(options.listenAddress.split(':').at(-1)));
  }

  of(name: string): TestManager {
    const manager = this.#managers.get(name);
    if (!manager) throw new Error(`no manager ${name}`);
    return manager;
  }

  leader(): TestManager {
    const leader = this.managers.find(({ consensus }) => consensus.status().role === 'leader');
    if (!leader) throw new Error('no leader');
    return leader;
  }

  followers(): TestManager[] {
    return this.managers.filter(({ consensus }) => consensus.status().role === 'follower');
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await Promise.all(this.managers.map(({ consensus }) => consensus.stop()));
    await rm(this.#root, { recursive: true, force: true });
  }
}

export async function freePort(): Promise<number> {
  const server = createServer();
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  const address = server.address();
  await new Promise<void>((resolve) => server.close(() => resolve()));
  if (address === null || typeof address === 'string') throw new Error('no port');
  return address.port;
}

/** Looks again and again, for a bounded time. */
export async function until(holds: () => boolean, what: string, withinMs = 5_000): Promise<void> {
  const endMs = performance.now() + withinMs;
  while (!holds()) {
    if (performance.now() > endMs) throw new Error(`not within ${withinMs} ms: ${what}`);
    await systemClock.sleep(5);
  }
}
