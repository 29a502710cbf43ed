import assert from 'node:assert/strict';
import { createServer } from 'node:net';
import { askNode } from '../../agent/ask-node.ts';
import { Paths } from '../../agent/paths.ts';
import { silentLog } from '../../base/log.ts';
import { ManualClock } from '../../base/manual-clock.ts';
import { seededRandom } from '../../base/random.ts';

const STEP_MS = 10;

/** Nodes that answer unless they are cut off; a question to one of those ends when its time is over. */
class World implements Disposable {
  readonly clock = new ManualClock();
  readonly cut = new Set<string>();
  readonly asked: string[] = [];
  readonly changes: string[] = [];
  peers: string[];
  returns = 0;
  underWay = 0;
  mostUnderWay = 0;
  readonly paths: Paths;

  constructor(nodes: number) {
    this.peers = Array.from({ length: nodes }, (_, at) => `192.0.2.${at + 1}`);
    this.paths = new Paths({
      clock: this.clock,
      random: seededRandom(1),
      log: silentLog,
      ask: (address, _port, withinMs) => this.#ask(address, withinMs),
      peers: () => new Map(this.peers.map((address) => [address, 4789])),
      onChange: (addresses) => this.changes.push(...addresses),
      onReached: () => void (this.returns += 1),
    });
    this.paths.peersChanged();
  }

  async #ask(address: string, withinMs: number): Promise<boolean> {
    this.asked.push(address);
    this.underWay += 1;
    this.mostUnderWay = Math.max(this.mostUnderWay, this.underWay);
    if (this.cut.has(address)) await this.clock.sleep(withinMs);
    this.underWay -= 1;
    return !this.cut.has(address);
  }

  async pass(ms: number): Promise<void> {
    for (let passed = 0; passed < ms; passed += STEP_MS) {
      this.clock.advance(STEP_MS);
      await new Promise((resolve) => setImmediate(resolve));
    }
  }

  /** How long until it is so. */
  async passUntil(isSo: () => boolean, withinMs: number): Promise<number> {
    for (let passed = 0; passed < withinMs; passed += STEP_MS) {
      if (isSo()) return passed;
      await this.pass(STEP_MS);
    }
    return assert.fail(`not within ${withinMs} ms`);
  }

  stateOf(address: string): string | undefined {
    return this.paths.list().find((path) => path.address === address)?.state;
  }

  [Symbol.dispose](): void {
    this.paths[Symbol.dispose]();
  }
}

describe('paths to other nodes', () => {
  it('are doubted within 1.5 s of a cut, and trusted within one of its end', async () => {
    using world = new World(3);
    await world.pass(3_000);
    const [first = ''] = world.peers;
    for (let turn = 0; turn < 5; turn += 1) {
      world.cut.add(first);
      assert.ok((await world.passUntil(() => world.paths.isSuspected(first), 1_600)) <= 1_500);
      assert.equal(world.stateOf(first), 'suspected');
      assert.ok(world.peers.slice(1).every((address) => !world.paths.isSuspected(address)));
      await world.pass(5_000 + turn * 70);
      world.cut.delete(first);
      assert.ok((await world.passUntil(() => !world.paths.isSuspected(first), 1_100)) <= 1_000);
      await world.pass(1_000);
    }
    assert.deepEqual(world.changes, Array(10).fill(first));
    assert.equal(world.returns, 5);
  });

  it('are never doubted when they were silent from the beginning', async () => {
    using world = new World(2);
    const [first = ''] = world.peers;
    world.cut.add(first);
    await world.pass(10_000);
    assert.deepEqual([world.stateOf(first), world.paths.isSuspected(first)], ['silent', false]);
    assert.deepEqual(world.changes, []);
  });

  it('cost a bounded number of questions, however many nodes there are and whatever becomes of them', async () => {
    using world = new World(250);
    await world.pass(20_000);
    assert.ok(world.paths.list().every(({ state }) => state === 'reached'));
    const perSecond = async (): Promise<number> => {
      world.asked.length = 0;
      await world.pass(20_000);
      return world.asked.length / 20;
    };
    assert.ok((await perSecond()) <= 20);
    for (const address of world.peers) world.cut.add(address); // our own cable
    await world.passUntil(() => world.paths.list().every(({ state }) => state === 'suspected'), 30_000);
    assert.ok((await perSecond()) <= 20);
    world.cut.clear();
    await world.passUntil(() => world.paths.list().every(({ state }) => state === 'reached'), 1_000);
    assert.ok(world.mostUnderWay <= 32);
  });

  it('are forgotten with their nodes', async () => {
    using world = new World(2);
    await world.pass(2_000);
    const [first = ''] = world.peers;
    world.cut.add(first);
    await world.pass(2_000);
    world.peers = world.peers.slice(1);
    world.paths.peersChanged();
    await world.pass(1_000);
    assert.ok(!world.paths.isSuspected(first));
    assert.equal(world.paths.list().length, 1);
    world.paths[Symbol.dispose]();
    world.asked.length = 0;
    await world.pass(5_000);
    assert.deepEqual(world.asked, []);
  });
});

describe('the question whether a node is there', () => {
  it('is answered by whoever refuses or takes a connection, and by nobody else', async () => {
    const server = createServer((socket) => socket.destroy());
    await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', () => resolve()));
    const address = server.address();
    const port = typeof address === 'object' && address ? address.port : 0;
    assert.equal(await askNode('127.0.0.1', port, 1_000), true);
    await new Promise((resolve) => server.close(resolve));
    assert.equal(await askNode('127.0.0.1', port, 1_000), true);
    assert.equal(await askNode('255.255.255.255', port, 1_000), false); // nobody can be connected to everybody
  });
});
