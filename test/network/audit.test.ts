import assert from 'node:assert/strict';
import { Background } from '../../base/background.ts';
import type { Clock } from '../../base/clock.ts';
import { silentLog } from '../../base/log.ts';
import type { Random } from '../../base/random.ts';
import { type AuditParts, auditKernel, auditRules, type Cause, findDifferences } from '../../runtime/network/audit.ts';
import { ConnectionWatch } from '../../runtime/network/connection-table.ts';
import { Upkeep } from '../../runtime/network/upkeep.ts';

const broken = (): Promise<never> => Promise.reject(new Error('no such thing'));

/** A machine of which every part but the rules and one network is out of order. */
function parts(): AuditParts {
  const overlay = (name: string, audit: () => Promise<string[]>) => ({ shape: { name }, audit, differences: audit });
  const firewall = { differences: async () => ['a rule was gone'], rebuild: async () => undefined };
  return {
    netd: { dump: broken, run: async () => [] },
    networks: [],
    firewall,
    linkLocal: { ensure: async () => [], differences: async () => [] },
    ways: { audit: broken, differences: broken },
    overlays: {
      each: () => [overlay('red', broken), overlay('blue', async () => ['a row was gone'])],
      differences: async () => ['a state was gone'],
      audit: async () => ['a state was gone'],
    },
  } as unknown as AuditParts;
}

describe('an audit of which parts fail', () => {
  it('does the others, and tells what failed', async () => {
    const counted: Cause[] = [];
    const { repairs, failures } = await auditKernel(parts(), (cause) => counted.push(cause));
    assert.deepEqual(repairs, ['a rule was gone', 'a row was gone', 'a state was gone']);
    assert.deepEqual(counted, ['rules', 'overlay', 'encryption']);
    assert.deepEqual(failures, [
      'bridges and links could not be looked at: no such thing',
      'the link to other nodes could not be looked at: no such thing',
      'network red could not be looked at: no such thing',
    ]);
  });

  it('of the rules alone does so, too', async () => {
    const { repairs, failures } = await auditRules(parts(), () => undefined);
    assert.deepEqual(repairs, ['a rule was gone']);
    assert.equal(failures.length, 1);
  });

  it('says when the kernel is about to have no room for connections, and of which namespace', async () => {
    const full = (...counts: string[]) => {
      const results = counts.flatMap((count) => [count, '1000\n']);
      const run = async () => results.map((text) => ({ errno: text === '' ? 2 : 0, bytes: Buffer.from(text) }));
      return { ...parts(), netd: { dump: broken, run } } as unknown as AuditParts;
    };
    const told = async (...counts: string[]): Promise<string[]> =>
      (await findDifferences(full(...counts))).flatMap(({ cause, sentence }) =>
        cause === 'connections' ? [sentence] : [],
      );
    assert.deepEqual(await told('799\n', '', '799\n'), []);
    assert.match((await told('800\n', '', '0\n')).join(), /tracks 800 of at most 1000 connections of this machine/);
    assert.match((await told('0\n', '', '999\n')).join(), /of network blue, .*raise net.netfilter.nf_conntrack_max$/);
  });

  it('tells of a full table once each time that it fills, of others meanwhile, and when there is room again', () => {
    const lines: string[] = [];
    const line = (event: string, fields?: Record<string, unknown>) =>
      void lines.push(`${event}: ${String(fields?.['whose'] ?? fields?.['reason'])}`);
    const watch = new ConnectionWatch({ warn: line, info: line });
    const review = (red: number, blue: number): string[] => {
      const fill = (whose: string, tracked: number) => ({ whose, tracked, most: 1000 });
      watch.review([fill('red', red), fill('blue', blue)]);
      return lines.splice(0).map((text) => text.slice(0, 45));
    };
    assert.deepEqual(review(799, 0), []);
    assert.deepEqual(review(801, 0).length, 1);
    assert.deepEqual(review(990, 0), []);
    assert.match(review(790, 900).join(), /^connections are about to be dropped: [^,]*$/);
    assert.deepEqual(review(810, 900), [], 'it stayed about full');
    assert.deepEqual(review(699, 900), ['there is room for connections again: red']);
    assert.deepEqual(review(800, 0).length, 2);
  });

  it('shows what it can', async () => {
    const found = await findDifferences(parts());
    assert.deepEqual(
      found.map(({ cause }) => cause),
      ['ways', 'link', 'rules', 'overlay', 'overlay', 'encryption'],
    );
  });

  it('tells once what can not be repaired, and once that it is over', async () => {
    const told: string[] = [];
    const note = (event: string, fields?: Record<string, unknown>): void =>
      void told.push(...((fields?.['failures'] ?? []) as string[]).map((sentence) => `${event}: ${sentence}`));
    let isBroken = true;
    const dump = () => (isBroken ? broken() : Promise.resolve([]));
    const rounds = [0, 1, 2, 3];
    const done = new AbortController();
    const upkeep = new Upkeep({
      clock: {
        sleep: async () => {
          const round = rounds.shift();
          if (round === undefined) throw new Error('the end');
          isBroken = round < 2;
        },
      } as unknown as Clock,
      random: { fraction: () => 0.5 } as Random,
      log: { ...silentLog, warn: note, info: note },
      background: new Background({ onFailure: () => undefined }),
      audited: () => {
        const whole = parts();
        const quiet = { audit: async () => [], differences: async () => [] };
        return {
          ...whole,
          netd: { dump, run: async () => [] },
          ways: quiet,
          overlays: { each: () => [], ...quiet },
        } as unknown as AuditParts;
      },
      isReady: () => true,
    });
    await assert.rejects(upkeep.runPeriodically(10, done.signal), /the end/);
    const sentence = 'bridges and links could not be looked at: no such thing';
    assert.deepEqual(told, [
      `network could not be repaired: ${sentence}`,
      `what could not be repaired is over: ${sentence}`,
    ]);
  });
});
