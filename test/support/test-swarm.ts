// Whole nodes of one swarm in this process: real certificates, listeners, consensus and disks; tasks run on nothing.
import { mkdtemp, rm } from 'node:fs/promises';
import { createServer } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { systemClock } from '../../base/clock.ts';
import { createLog, type Log, silentLog } from '../../base/log.ts';
import { systemRandom } from '../../base/random.ts';
import { Scope } from '../../base/scope.ts';
import { SwarmNode } from '../../daemon/swarm-node.ts';
import type { ClusterControl } from '../../proto/control.ts';
import { FakeExecutor } from './fake-executor.ts';
import { until } from './until.ts';

export interface TestNode {
  readonly name: string;
  readonly node: SwarmNode;
  readonly executor: FakeExecutor;
  readonly dataRoot: string;
  readonly port: number;
  control(): ClusterControl;
  /** Stops it and starts it again from its disk, on the same "machine". */
  restart(): Promise<void>;
  stop(): Promise<void>;
}

export interface TestSwarm extends AsyncDisposable {
  readonly nodes: readonly TestNode[];
  readonly first: TestNode;
  join(role: 'worker' | 'manager'): Promise<TestNode>;
  /** A node that is in no swarm. */
  add(): Promise<TestNode>;
  rejoin(node: TestNode, role: 'worker' | 'manager'): Promise<void>;
  joinWith(node: TestNode, token: string): Promise<void>;
}

export const INIT_DEFAULTS = {
  listenAddress: '',
  dataPathAddress: '',
  dataPathPort: 0,
  defaultAddressPools: [],
  subnetSize: 0,
  forceNewCluster: false,
  autoLockManagers: false,
  availability: 'active',
  spec: {},
} as const;

/** A swarm of one manager; more join. SHOAL_TEST_LOG=debug shows what they say. */
export async function startTestSwarm(): Promise<TestSwarm> {
  await using owned = new Scope();
  let scope = owned;
  const nodes: TestNode[] = [];
  const add = async (): Promise<TestNode> => {
    const node = await aTestNode(`node${nodes.length + 1}`, scope);
    nodes.push(node);
    return node;
  };
  const first = await add();
  const address = `127.0.0.1:${first.port}`;
  await first.node.init({ ...INIT_DEFAULTS, listenAddress: address, advertiseAddress: address });
  const joinWith = async (node: TestNode, token: string): Promise<void> => {
    const own = `127.0.0.1:${node.port}`;
    await node.node.join({
      listenAddress: own,
      advertiseAddress: own,
      dataPathAddress: '',
      remoteAddresses: [address],
      joinToken: token,
      availability: 'active',
    });
  };
  const rejoin = async (node: TestNode, role: 'worker' | 'manager'): Promise<void> => {
    const { cluster } = await first.control().call('GetCluster', {});
    await joinWith(node, cluster.tokens[role]);
  };
  const join = async (role: 'worker' | 'manager'): Promise<TestNode> => {
    const node = await add();
    await rejoin(node, role);
    return node;
  };
  scope = owned.handOver();
  return { nodes, first, join, add, rejoin, joinWith, [Symbol.asyncDispose]: () => scope[Symbol.asyncDispose]() };
}

async function aTestNode(name: string, scope: Scope): Promise<TestNode> {
  const dataRoot = await mkdtemp(join(tmpdir(), 'shoal-swarm-'));
  scope.defer(() => rm(dataRoot, { recursive: true, force: true }));
  const executor = new FakeExecutor({}, name);
  const port = await freeTriple();
  const level = process.env['SHOAL_TEST_LOG'];
  const log: Log = level ? createLog({ level: 'debug', fields: { node: name } }) : silentLog;
  const open = () =>
    new SwarmNode({ dataRoot, defaultAdvertiseAddress: '', executor, clock: systemClock, random: systemRandom, log });
  let node = open();
  scope.defer(() => node[Symbol.asyncDispose]());
  return {
    name,
    get node() {
      return node;
    },
    executor,
    dataRoot,
    port,
    control: () => node.control(),
    restart: async () => {
      await node[Symbol.asyncDispose]();
      node = open();
      await node.resume();
    },
    stop: () => node[Symbol.asyncDispose](),
  };
}

/** The first of three neighbouring ports that nobody listens on. */
export async function freeTriple(): Promise<number> {
  for (;;) {
    const port = 20_000 + systemRandom.below(12_000);
    const free = await Promise.all([port, port + 1, port + 2].map(isFree));
    if (free.every(Boolean)) return port;
  }
}

async function isFree(port: number): Promise<boolean> {
  return await new Promise<boolean>((resolve) => {
    const server = createServer();
    server.once('error', () => resolve(false));
    server.listen(port, '127.0.0.1', () => server.close(() => resolve(true)));
  });
}

export async function untilReady(swarm: TestSwarm, count: number): Promise<void> {
  await until(
    `${count} nodes are ready`,
    async () => {
      const { nodes } = await swarm.first.control().call('ListNodes', { filter: {} });
      return nodes.filter((node) => node.status.state === 'ready').length === count;
    },
    { withinMs: 10_000 },
  );
}
