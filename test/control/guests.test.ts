import assert from 'node:assert/strict';
import { silentLog } from '../../base/log.ts';
import { runAllocator } from '../../manager/allocator/allocator.ts';
import type { GuestRequest } from '../../proto/control.ts';
import { type ControlBench, controlBench } from '../support/control.ts';
import { aNetwork, aNetworkSpec, aNode, anId } from '../support/objects.ts';

const NODE = anId('node', 2);
const guest = (containerId: string, more: Partial<GuestRequest> = {}): GuestRequest => ({
  containerId,
  network: 'back',
  name: containerId,
  aliases: [],
  address: '',
  ...more,
});

describe('containers of no service on networks of the cluster', () => {
  let bench: ControlBench;
  let over: AbortController;
  let allocating: Promise<unknown>;

  beforeEach(async () => {
    bench = await controlBench();
    over = new AbortController();
    await bench.store.update((tx) => {
      const spec = aNetworkSpec({ attachable: true });
      tx.networks.put(aNetwork({ spec, subnet: '10.0.1.0/29' }));
      const closed = { id: anId<'network'>('network', 2), spec: aNetworkSpec({ name: 'closed' }) };
      tx.networks.put(aNetwork({ ...closed, subnet: '10.0.2.0/24', gateway: '10.0.2.1' }));
      tx.nodes.put({ ...(tx.nodes.get(NODE) ?? aNode({ id: NODE })), sessionId: 'now' });
    });
    allocating = runAllocator(bench.store, { abort: over.signal, clock: bench.clock, log: silentLog }).catch(() => {});
  });
  afterEach(async () => {
    over.abort();
    await allocating;
  });

  const set = async (...guests: GuestRequest[]) =>
    (await bench.call('SetGuests', { node: NODE, session: 'now', guests })).places;
  const addresses = async (...guests: GuestRequest[]) => (await set(...guests)).map(({ address }) => address);

  it('get an address each, keep it, and give it back when they are not named any more', async () => {
    const [first, second] = await addresses(guest('a'), guest('b'));
    assert.deepEqual([first, second], ['10.0.1.2', '10.0.1.3']);
    assert.deepEqual(await addresses(guest('b', { name: 'other' }), guest('c')), [second, '10.0.1.4']);
    assert.deepEqual([...bench.store.view().guests.all()].map(({ name }) => name).toSorted(), ['c', 'other']);
    assert.deepEqual(await set(), []);
    assert.equal(bench.store.view().guests.size, 0);
  });

  it('get the address that they ask for, unless somebody has it or the network has none such', async () => {
    assert.deepEqual(await addresses(guest('a', { address: '10.0.1.5' })), ['10.0.1.5']);
    const places = await set(guest('a'), guest('b', { address: '10.0.1.5' }), guest('c', { address: '10.9.9.9' }));
    const reasons = places.map(({ refusal }) => refusal?.reason ?? '');
    assert.match(reasons[1] ?? '', /Address already in use: 10\.0\.1\.5 of network back/);
    assert.match(reasons[2] ?? '', /10\.9\.9\.9 is not in 10\.0\.1\.0\/29/);
  });

  it('are refused one by one: no such network, one for services only, a full one', async () => {
    const full = ['d', 'e', 'f', 'g', 'h'].map((id) => guest(id));
    const places = await set(guest('a', { network: 'nosuch' }), guest('b', { network: 'closed' }), ...full, guest('i'));
    const [nosuch, closed, ...rest] = places.map(({ refusal }) => refusal);
    assert.deepEqual(nosuch, { code: 'not-found', reason: 'network nosuch not found' });
    assert.equal(closed?.code, 'forbidden');
    assert.match(closed?.reason ?? '', /network closed not manually attachable/);
    assert.match(rest.at(-1)?.reason ?? '', /network back has no free address: 6 of 6/);
    assert.ok(rest.slice(0, -1).every((refusal) => refusal === undefined));
  });

  it('of a session that is over count for nothing', async () => {
    const late = { node: NODE, session: 'before', guests: [guest('a')] };
    await bench.refused('SetGuests', late, 'forbidden', /another session/);
  });

  it('keep their network, and go with their node', async () => {
    await set(guest('a', { name: 'alpha' }));
    const held = `network back is in use by container alpha on node ${NODE}`;
    await bench.refused('RemoveNetwork', { network: 'back' }, 'invalid', held);
    await bench.call('RemoveNode', { node: NODE, force: true });
    assert.equal(bench.store.view().guests.size, 0);
    await bench.call('RemoveNetwork', { network: 'back' });
  });
});
