import assert from 'node:assert/strict';
import { ManualClock } from '../../base/manual-clock.ts';
import { silentLog } from '../../base/log.ts';
import { type Ip, parseAddress } from '../../runtime/network/addresses.ts';
import type { Netd } from '../../runtime/network/netd.ts';
import type { Step } from '../../runtime/network/netd-protocol.ts';
import { WayProbes } from '../../runtime/network/way-probes.ts';
import { until } from '../support/until.ts';

const [A, B] = [parseAddress('192.0.2.1'), parseAddress('192.0.2.2')];
const PERIOD_MS = 2_000;

function setUp() {
  const clock = new ManualClock();
  const asked: Ip[][] = [];
  let changes = 0;
  const answering = new Set<Ip>();
  const netd = {
    do: async (_: string, steps: readonly Step[]) => {
      for (const step of steps) {
        if (step.do !== 'probe') continue;
        asked.push([...step.addresses]);
        for (const address of step.addresses) if (answering.has(address)) probes.heard(address);
      }
      return [];
    },
  };
  const probes = new WayProbes({
    netd: () => netd as unknown as Netd,
    clock,
    log: silentLog,
    mark: 0x5a_0000,
    periodMs: PERIOD_MS,
    onChange: () => void (changes += 1),
  });
  const abort = new AbortController();
  const running = probes.run(abort.signal).catch(() => undefined);
  const rounds = async (count: number): Promise<void> => {
    for (let round = 0; round < count; round += 1) {
      const before = asked.length;
      clock.advance(PERIOD_MS);
      await until('they are asked', () => asked.length > before);
    }
  };
  const end = async (): Promise<void> => {
    abort.abort();
    clock.advance(PERIOD_MS);
    await running;
  };
  return { clock, probes, asked, answering, changes: () => changes, rounds, end };
}

describe('questions to nodes over the link to them', () => {
  it('are waited for when a node is new, for a moment', async () => {
    const { clock, probes, answering, changes, end } = setUp();
    answering.add(A);
    await probes.use([A]);
    assert.ok(probes.answers(A));
    const both = probes.use([A, B]);
    await Promise.resolve();
    clock.advance(250);
    await both;
    assert.deepEqual([probes.answers(A), probes.answers(B), probes.silent()], [true, false, [B]]);
    assert.equal(changes(), 0, 'who waited knows');
    await end();
  });

  it('are about those in use only, and three without an answer are enough', async () => {
    const { probes, asked, answering, changes, rounds, end } = setUp();
    for (const address of [A, B]) answering.add(address);
    await probes.use([A, B]);
    answering.delete(B);
    await rounds(2);
    assert.ok(probes.answers(B), 'two may get lost');
    await rounds(1);
    assert.deepEqual([probes.silent(), changes()], [[B], 1]);
    answering.add(B);
    await rounds(1);
    assert.deepEqual([probes.silent(), changes()], [[], 2]);
    await probes.use([A]);
    await rounds(1);
    assert.deepEqual(asked.at(-1), [A]);
    await end();
  });

  it('need no answer at first where an earlier daemon passed connections on', async () => {
    const { probes, changes, rounds, end } = setUp();
    probes.adopt([A]);
    await probes.use([A]);
    assert.ok(probes.answers(A));
    await rounds(3);
    assert.deepEqual([probes.answers(A), changes()], [false, 1]);
    await end();
  });
});
