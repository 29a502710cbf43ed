import assert from 'node:assert/strict';
import { silentLog } from '../../base/log.ts';
import { seededRandom } from '../../base/random.ts';
import { turnKeysSoon } from '../../manager/control/keyrings.ts';
import { runNetworkKeys } from '../../manager/network-keys.ts';
import type { Keyring, NetworkId } from '../../proto/objects.ts';
import { createMemoryStore } from '../support/memory-store.ts';
import { aNetwork, aNetworkSpec, anId } from '../support/objects.ts';
import { until } from '../support/until.ts';

const NET = anId('network', 1) as NetworkId;
const PERIOD_MS = 5_000;

async function setUp(options: Record<string, string>) {
  const { store, clock } = createMemoryStore();
  const over = new AbortController();
  const running = runNetworkKeys(store, { abort: over.signal, clock, random: seededRandom(7), log: silentLog });
  const ended = running.catch(() => undefined);
  await store.update((tx) => tx.networks.put(aNetwork({ spec: aNetworkSpec({ options }) })));
  const ring = (): Keyring | undefined => store.view().keyrings.get(NET);
  const end = async (): Promise<void> => {
    over.abort();
    await ended;
  };
  return { store, clock, ring, end };
}

describe('keys of encrypted networks', () => {
  it('are made with the network, and each is known a period before and a period after it is sent under', async () => {
    const { clock, ring, end } = await setUp({ encrypted: '', 'shoal.key-period': '5s' });
    await until('there is a ring', () => ring() !== undefined);
    const rings = [ring() ?? assert.fail('no ring')];
    for (let turn = 0; turn < 4; turn += 1) {
      const before = rings.at(-1);
      clock.advance(PERIOD_MS);
      await until('it has turned', () => ring()?.sendId !== before?.sendId);
      rings.push(ring() ?? assert.fail('no ring'));
    }
    for (const [at, { keys, sendId }] of rings.entries()) {
      const ids = keys.map(({ id }) => id);
      assert.ok(ids.includes(sendId));
      const [earlier, later] = [rings[at - 1], rings[at + 1]];
      if (later) assert.ok(ids.includes(later.sendId), 'what others will send under is understood already');
      if (earlier) assert.ok(ids.includes(earlier.sendId), 'what others still send under is understood');
      assert.ok(keys.length <= 3 && keys.every(({ secret }) => /^[0-9a-f]{64}$/.test(secret)));
    }
    const secrets = new Map(rings.flatMap(({ keys }) => keys.map(({ id, secret }) => [id, secret])));
    assert.equal(new Set(secrets.values()).size, secrets.size, 'no secret comes twice');
    await end();
  });

  it('stay for twelve hours where nothing was said, and go with their network', async () => {
    const { store, clock, ring, end } = await setUp({ encrypted: '' });
    await until('there is a ring', () => ring() !== undefined);
    assert.equal((ring()?.turnAtMs ?? 0) - clock.nowMs(), 12 * 3_600_000);
    await store.update((tx) => tx.networks.remove(NET));
    await until('the keys are gone', () => ring() === undefined);
    await end();
  });

  it('are all others ten seconds after somebody left who knew them, and each is still known before it is sent under', async () => {
    const { store, clock, ring, end } = await setUp({ encrypted: '' });
    await until('there is a ring', () => ring() !== undefined);
    clock.advance(60_000);
    const known = (ring()?.keys ?? []).map(({ secret }) => secret);
    let before = ring();
    await store.update((tx) => turnKeysSoon(tx, clock.nowMs()));
    for (let turn = 0; turn < 3; turn += 1) {
      if (turn > 0) {
        before = ring();
        clock.advance(4_999);
        assert.equal(ring(), before, 'not before every node has heard of the last turn');
        clock.advance(1);
      }
      await until('it has turned', () => {
        clock.advance(0);
        return ring()?.sendId !== before?.sendId;
      });
      assert.ok(before?.keys.some(({ id }) => id === ring()?.sendId));
    }
    assert.deepEqual(
      ring()?.keys.filter(({ secret }) => known.includes(secret)),
      [],
    );
    assert.equal((ring()?.turnAtMs ?? 0) - clock.nowMs(), 12 * 3_600_000);
    assert.equal(ring()?.hurriedTurns, undefined);
    await end();
  });

  it('turn no faster than they reach the nodes, however many leave, and are not put off by them', async () => {
    const { store, clock, ring, end } = await setUp({ encrypted: '' });
    await until('there is a ring', () => ring() !== undefined);
    const first = ring();
    for (let leaving = 0; leaving < 4; leaving += 1) {
      clock.advance(1_000);
      await store.update((tx) => turnKeysSoon(tx, clock.nowMs()));
      assert.equal(ring()?.sendId, first?.sendId);
    }
    clock.advance(1_000);
    await until('it has turned', () => ring()?.sendId !== first?.sendId);
    await end();
  });

  it('are not made for networks in clear', async () => {
    const { store, ring, end } = await setUp({});
    const other = anId('network', 2) as NetworkId;
    await store.update((tx) =>
      tx.networks.put(
        aNetwork({ id: other, spec: aNetworkSpec({ name: 'other', options: { encrypted: '' } }), vni: 9 }),
      ),
    );
    await until('the other has a ring', () => store.view().keyrings.get(other) !== undefined);
    assert.equal(ring(), undefined);
    await end();
  });
});
